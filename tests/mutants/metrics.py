"""Faults of what chapter 15 adds to the metrics: features, errors, bands, nats."""

from mutants.plant import Mutant


def _in(file: str, name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(
        f"metrics-{name}", f"gdm_core/metrics/{file}.py", old, new, f"tests/test_metrics_more.py::test_{test}"
    )


_KERNEL, _LEARNED = "the_kernel_distance_is_its_sum_over_pairs", "features_have_learned_the_classes_and_repeat"
_GUESS, _ERROR = "a_classifier_that_guesses_is_refused", "errors_are_those_of_new_draws"
_BAND, _CELLS = "a_band_is_of_pictures_that_are_never_in_both", "gray_levels_fill_their_cells_and_come_back"
_BOUND, _EXACT = "a_density_bounds_the_probabilities_of_levels", "nats_are_exact_bounds_or_none"

MUTANTS = [
    _in("gaussians", "covariance-that-is-biased", "torch.cov(s.T)", "torch.cov(s.T, correction=0)", "frechet_of_few"),
    _in("gaussians", "kernel-of-second-degree", "+ 1) ** 3)", "+ 1) ** 2)", _KERNEL),
    _in("gaussians", "kernel-that-grows-with-d", "z @ z.T / z.shape[1] + 1", "z @ z.T + 1", _KERNEL),
    _in("features", "untrained", '{"steps": steps,', '{"steps": 1,', _LEARNED),
    _in("features", "guesses-pass", "if found < min(2 * guess, (1 + guess) / 2):", "if False:", _GUESS),
    _in(
        "features",
        "graded-on-what-it-learned",
        "model.accuracy(x[held], y[held])",
        "model.accuracy(x[used], y[used])",
        _GUESS,
    ),
    _in(
        "features",
        "another-seed-each-time",
        "own_draws(seed, x.device)",
        "own_draws(torch.seed() % 9999, x.device)",
        _LEARNED,
    ),
    _in("features", "still-learning", "    model.requires_grad_(False)", "    pass", _LEARNED),
    _in("error", "band-of-the-same-pictures", "real[order[n : n + m]]", "real[order[:m]]", _BAND),
    _in(
        "error",
        "band-of-one-order",
        "order = torch.randperm(len(real), generator=generator)",
        "order = torch.arange(len(real))",
        _BAND,
    ),
    _in("error", "band-of-too-few", "> len(real):", "> 2 * len(real):", _BAND),
    _in(
        "likelihood",
        "noise-from-both-sides",
        "+ torch.rand_like(x)) / levels",
        "+ torch.rand_like(x) - 0.5) / levels",
        _CELLS,
    ),
    _in(
        "likelihood",
        "cells-of-the-largest-level",
        "torch.rand_like(x)) / levels",
        "torch.rand_like(x)) / (levels - 1)",
        _CELLS,
    ),
    _in("likelihood", "levels-rounded", "levels, 2)).floor()", "levels, 2)).round()", _CELLS),
    _in("likelihood", "volume-forgotten", "each += d * math.log(levels)", "pass", _BOUND),
    _in("likelihood", "volume-of-one-pixel", "each += d * math.log(levels)", "each += math.log(levels)", _BOUND),
    _in("likelihood", "a-bound-called-exact", "and levels is None else", "else", _BOUND),
    _in("likelihood", "elbo-called-exact", 'kind = "exact" if by == "log_prob" and', 'kind = "exact" if', _EXACT),
    _in("likelihood", "deviation-for-error", "each.std().item() / len(x) ** 0.5", "each.std().item()", _EXACT),
    _in("likelihood", "bits-by-ten", "dimensions) * math.log(2))", "dimensions) * math.log(10))", _EXACT),
    _in("likelihood", "draws-added", "double() / draws", "double()", _EXACT),
    Mutant(
        "flops-of-the-last-product",
        "gdm_core/flops.py",
        "self.total += ",
        "self.total = ",
        "tests/test_flops.py::test_products_forward_and_backward_are_counted_by_hand",
    ),
    Mutant(
        "flops-of-nothing",
        "gdm_core/flops.py",
        "if function._overloadpacket in flop_registry:",
        "if function in flop_registry:",
        "tests/test_flops.py::test_convolutions_slopes_and_nothing_else_are_counted",
    ),
    Mutant(
        "metrics-root-of-a-flat-covariance",
        "gdm_core/metrics/gaussians.py",
        "root(cov) if singular else half",
        "half",
        "tests/test_metrics.py::test_frechet_of_one_number_and_of_hard_covariances",
    ),
]
