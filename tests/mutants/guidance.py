"""Faults of guidance and of filling holes: the two swapped, clean pixels at noisy times, forgotten weights."""

from mutants.plant import Mutant


def _plant(file: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    ids = " ".join(f"tests/test_{file}.py::test_{t}" for t in tests)
    return Mutant(f"{file}-{name}", f"gdm_core/{file}.py", old, new, ids)


_ONE = "weight_one_is_the_denoiser_and_zero_the_weaker"
_BETWEEN = "an_interval_guides_inside_alone_row_by_row"
_CLASSIFIER, _TRACED = (
    "a_perfect_classifier_makes_the_conditional_denoiser",
    "traced_is_the_sampler_and_its_density_that_of_the_map",
)
_REFUSED, _UNSEEN, _UNFILLED = (
    "what_cannot_be_guided_is_refused",
    "what_cannot_be_seen_is_refused",
    "what_cannot_be_filled_is_refused",
)
_MATRIX, _CLOUD = "sights_are_their_matrices", "log_prob_is_that_of_a_round_cloud_seen_with_noise"
_BAYES, _QUAD, _SET = (
    "gaussian_posterior_is_bayes_rule_in_precisions",
    "mixture_posterior_by_quadrature",
    "shares_of_a_finite_set",
)
_PASTE, _PULLS = "replacement_pastes_noisy_pixels_and_tells_clean_ones", "pulls_are_their_matrices"
_PROJECTED, _WEIGHED = (
    "projected_is_the_denoiser_of_the_posterior",
    "weighed_particles_follow_the_posterior_of_the_sampler",
)
_ANEW, _BACK = "drawn_anew_by_their_weights", "going_back_and_forth_keeps_the_noise_level"

MUTANTS = [
    _plant("guidance", "swapped", "less + weight * (mean - less)", "mean + weight * (less - mean)", _ONE),
    _plant("guidance", "weight-one-more", "less + weight * (mean - less)", "mean + weight * (mean - less)", _ONE),
    _plant("guidance", "outside-the-interval", "(low <= t) & (t <= high)", "(t < low) | (high < t)", _BETWEEN),
    _plant("guidance", "interval-without-an-end", "(low <= t) & (t <= high)", "low <= t", _BETWEEN),
    _plant(
        "guidance",
        "weaker-outside",
        "torch.where(beside(inside, mean), further, mean)",
        "torch.where(beside(inside, mean), further, less)",
        _BETWEEN,
    ),
    _plant("guidance", "always-asked", "if not inside.any():", "if False:", _BETWEEN),
    _plant("guidance", "one-row-for-all", "if not inside.any():", "if not inside.all():", _BETWEEN),
    _plant(
        "guidance",
        "classifier-downhill",
        "+ weight * sigma**2 / alpha * slope",
        "- weight * sigma**2 / alpha * slope",
        _CLASSIFIER,
    ),
    _plant("guidance", "classifier-without-alpha", "sigma**2 / alpha * slope", "sigma**2 * slope", _CLASSIFIER),
    _plant("guidance", "classifier-sigma", "sigma**2 / alpha * slope", "sigma / alpha * slope", _CLASSIFIER),
    _plant("guidance", "classifier-weight-lost", "+ weight * sigma**2", "+ sigma**2", _CLASSIFIER),
    _plant(
        "guidance", "denser-where-it-spreads", "log_q - torch.linalg.slogdet", "log_q + torch.linalg.slogdet", _TRACED
    ),
    _plant(
        "guidance", "jacobian-of-the-mean-alone", "of_state[i] * torch.eye(d).to(x) + of_mean[i]", "of_mean[i]", _TRACED
    ),
    _plant(
        "guidance",
        "start-of-size-one",
        "-(state / std).square()",
        "-state.square()",
        "traced_of_few_steps_is_a_density",
    ),
    _plant(
        "guidance",
        "start-volume",
        "(LOG_2PI / 2 + math.log(std))",
        "(LOG_2PI / 2)",
        "traced_of_few_steps_is_a_density",
    ),
    _plant("guidance", "any-weight", "if not 0 <= weight < math.inf:", "if False:", _REFUSED),
    _plant("guidance", "nan-passes", "if not 0 <= weight < math.inf:", "if weight < 0:", _REFUSED),
    _plant("guidance", "empty-interval", "if not 0 <= low < high", "if not 0 <= low <= high", _REFUSED),
    _plant(
        "observations",
        "mask-inverted",
        "kept.flatten().nonzero()",
        "(~kept).flatten().nonzero()",
        "what_the_sights_see",
    ),
    _plant(
        "observations",
        "mean-for-gray",
        "(x * w.to(x)[:, None, None]).sum(",
        "(x * w.to(x)[:, None, None]).mean(",
        "what_the_sights_see",
    ),
    _plant("observations", "gram-of-pool", "torch.tensor(1 / side**2)", "torch.tensor(1 / side)", _MATRIX),
    _plant("observations", "gram-of-gray", "w.square().sum())", "w.sum())", _MATRIX),
    _plant("observations", "gram-turned", "A @ A.T)\n\n\n@dataclass", "A.T @ A)\n\n\n@dataclass", _MATRIX),
    _plant(
        "observations",
        "noise-lost",
        "return y + std * (torch",
        "return y + 0 * (torch",
        "measure_adds_noise_of_the_size_that_was_asked",
    ),
    _plant("observations", "std-for-variance", "var = r2 * gram + self.std**2", "var = r2 * gram + self.std", _CLOUD),
    _plant("observations", "cloud-forgotten", "var = r2 * gram + self.std**2", "var = 0 * r2 + self.std**2", _CLOUD),
    _plant(
        "observations",
        "std-for-variance-of-a-matrix",
        "gram + self.std**2 * torch.eye(m)",
        "gram + self.std * torch.eye(m)",
        _CLOUD,
    ),
    _plant("observations", "volume-once", "m * (var.log() + LOG_2PI)", "(var.log() + m * LOG_2PI)", _CLOUD),
    _plant("observations", "log-det-twice", "/ 2 - log_det", "/ 2 - 2 * log_det", _CLOUD),
    _plant(
        "observations",
        "posterior-wider",
        "told.reshape(*y.shape[:-1], *mean.shape), S - gain @ A @ S",
        "told.reshape(*y.shape[:-1], *mean.shape), S",
        _BAYES,
    ),
    _plant("observations", "mean-not-taken-off", "told = m + (y - A @ m) @ gain.T", "told = m + y @ gain.T", _BAYES),
    _plant("observations", "gain-std", "A @ S @ A.T + std**2", "A @ S @ A.T + std", _BAYES),
    _plant("observations", "evidence-forgotten", "w.log() - white.square().sum() / 2 -", "w.log() -", _QUAD),
    _plant("observations", "evidence-volume", "/ 2 - tril.diagonal().log().sum())", "/ 2)", _QUAD),
    _plant("observations", "prior-shares-forgotten", "log_w.append(w.log() -", "log_w.append(0 * w -", _QUAD),
    _plant("observations", "shares-of-another-axis", "seen.log_prob(x).softmax(0)", "seen.log_prob(x).exp()", _SET),
    _plant("observations", "y-of-any-shape", "shape[len(shape) - len(seen) :] != tuple(seen)", "False", _UNSEEN),
    _plant(
        "observations", "one-y-too-few", "if self.y.ndim == seen.ndim and len(self.y) != len(x):", "if False:", _UNSEEN
    ),
    _plant("observations", "full-mask", "or not kept.any() or kept.all()", "or not kept.any()", _UNSEEN),
    _plant(
        "inverse",
        "clean-pixels-at-noisy-times",
        "torch.where(here, noisy(known, t, schedule, shaken), x_t)",
        "torch.where(here, known, x_t)",
        _PASTE,
    ),
    _plant(
        "inverse",
        "mask-inverted",
        "return torch.where(here, known, mean)",
        "return torch.where(here, mean, known)",
        _PASTE,
    ),
    _plant(
        "inverse",
        "pasted-into-the-hole",
        "torch.where(here, noisy(known, t, schedule, shaken), x_t)",
        "torch.where(here, x_t, noisy(known, t, schedule, shaken))",
        _PASTE,
    ),
    _plant("inverse", "not-told-in-the-end", "return torch.where(here, known, mean)", "return mean", _PASTE),
    _plant("inverse", "detached", "mean = denoise(x, t)", "mean = denoise(x.detach(), t) + 0 * x", _PULLS),
    _plant(
        "inverse", "detached-unnoticed", "if not mean.requires_grad:", "if False:", "a_detached_denoiser_is_noticed"
    ),
    _plant(
        "inverse",
        "pull-without-alpha",
        "mean + scale * sigma**2 / alpha * slope",
        "mean + scale * sigma**2 * slope",
        _PULLS,
    ),
    _plant(
        "inverse",
        "pushed-away",
        "mean + scale * sigma**2 / alpha * slope",
        "mean - scale * sigma**2 / alpha * slope",
        _PULLS,
    ),
    _plant(
        "inverse",
        "scale-lost",
        'schedule, torch.zeros_like, positive("scale", scale))',
        "schedule, torch.zeros_like)",
        _PULLS,
    ),
    _plant(
        "inverse",
        "cloud-never-shrinks",
        "return sigma**2 / (alpha**2 + sigma**2)",
        "return sigma**2 / sigma**2",
        _PULLS,
    ),
    _plant("inverse", "spread-ignored", "spread or unit(schedule))", "unit(schedule))", _PULLS),
    _plant("inverse", "covariance-without-alpha", "s2 = (sigma**2 / alpha)", "s2 = (sigma**2)", _PROJECTED),
    _plant(
        "inverse",
        "noise-of-y-forgotten",
        "(there + there.mT) / 2 + seen.std**2 * torch",
        "(there + there.mT) / 2 + 0 * torch",
        _PROJECTED,
    ),
    _plant(
        "inverse",
        "goes-back-without-noise",
        "+ (sigma**2 - (rate * left) ** 2).clamp(min=0).sqrt() * own(2)",
        "",
        _BACK,
    ),
    _plant("inverse", "goes-back-too-noisy", "(sigma**2 - (rate * left) ** 2)", "(sigma**2)", _BACK),
    _plant("inverse", "goes-back-at-the-end", "if k < repeats - 1:", "if True:", "resampling_comes_nearer"),
    _plant("inverse", "never-goes-back", "if k < repeats - 1:", "if False:", _BACK),
    _plant("inverse", "weights-without-the-old", "(log_w + value - before)", "(log_w + value)", _WEIGHED),
    _plant(
        "inverse",
        "weights-without-the-proposal",
        "log_w = log_w + (e.square()",
        "log_w = log_w + 0 * (e.square()",
        _WEIGHED,
    ),
    _plant(
        "inverse",
        "weights-upside-down",
        "(e.square() - ((state - plain) / std).square())",
        "(((state - plain) / std).square() - e.square())",
        _WEIGHED,
    ),
    _plant(
        "inverse",
        "first-weights-forgotten",
        "log_w = value.log_softmax(0)",
        "log_w = (0 * value).log_softmax(0)",
        _WEIGHED,
    ),
    _plant(
        "inverse",
        "weights-kept-when-drawn-anew",
        "log_w = torch.full_like(log_w, -math.log(len(log_w)))",
        "pass",
        _WEIGHED,
    ),
    _plant(
        "inverse",
        "old-means-after-drawing",
        "state, mean, value, slope = (a[chosen] for a in (state, mean, value, slope))",
        "state = state[chosen]",
        _WEIGHED,
    ),
    _plant("inverse", "carriers-in-number", ".exp().item() * len(log_w))", ".exp().item())", _ANEW),
    _plant(
        "inverse",
        "the-last-never-drawn",
        "(torch.arange(len(log_w), device=log_w.device) + toss)",
        "(torch.arange(len(log_w), device=log_w.device) + 0 * toss)",
        _ANEW,
    ),
    _plant(
        "inverse",
        "edited-from-the-clean-picture",
        "noisy(x, times[0].to(x), schedule, first)",
        "x",
        "edited_begins_with_the_picture_as_noisy_as_its_time",
    ),
    _plant(
        "inverse",
        "no-std-no-complaint",
        'positive("std", seen.std, 0.1)\n    return _pulled',
        "return _pulled",
        _UNFILLED,
    ),
    _plant("inverse", "many-ys", "if seen.y.ndim != len(seen.sight.seen):", "if False:", _UNFILLED),
    _plant("inverse", "no-mask-no-complaint", "if seen.sight.kept is None:", "if False:", _UNFILLED),
    _plant(
        "guidance",
        "start-of-one-number",
        "d * (LOG_2PI / 2 + math.log(std))",
        "d * LOG_2PI / 2 + math.log(std)",
        _TRACED,
    ),
    _plant(
        "inverse",
        "drowned-and-shaken-alike",
        "lambda i: noise(i + 1)",
        "noise",
        "edited_begins_with_the_picture_as_noisy_as_its_time",
    ),
]
