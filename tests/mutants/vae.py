"""Faults of variational inference and the VAE: most were made by somebody, somewhere."""

from mutants.plant import Mutant

_VAE = "gdm_core/models/vae.py"
_BOUNDS, _GRID, _OWN, _GAP, _GRADIENTS = (
    f"gdm_core/inference/{name}.py" for name in ("bounds", "grid", "per_datapoint", "gap", "gradients")
)
_LIKELIHOODS, _NETWORKS = "gdm_core/likelihoods.py", "gdm_core/networks.py"

_LOSS = "tests/test_vae.py::test_loss_is_the_sum_over_pixels_plus_beta_times_the_kl"
_GAP_IS_KL = "test_gap_of_the_bound_is_the_kl_to_the_posterior"


def _vae(name: str, old: str, new: str, tests: str, file: str = _VAE) -> Mutant:
    return Mutant(name, file, old, new, " ".join(t if "/" in t else f"tests/test_vae.py::{t}" for t in tests.split()))


def _inference(name: str, file: str, old: str, new: str, tests: str) -> Mutant:
    home = "test_per_datapoint" if file in (_OWN, _GAP) else "test_inference"
    return Mutant(name, file, old, new, " ".join(f"tests/{home}.py::{t}" for t in tests.split()))


def _likelihood(name: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(name, _LIKELIHOODS, old, new, " ".join(f"tests/test_likelihoods.py::{t}" for t in tests.split()))


_WEIGHTED = "(self.beta * price - reconstruction).mean()"
_STATES = "test_states_are_snapshots_and_the_model_stays"

MUTANTS = [
    # The loss
    _vae("kl-sign", _WEIGHTED, "(-self.beta * price - reconstruction).mean()", _LOSS),
    _vae("reconstruction-sign", _WEIGHTED, "(self.beta * price + reconstruction).mean()", _LOSS),
    _vae("beta-on-the-reconstruction", _WEIGHTED, "(price - self.beta * reconstruction).mean()", _LOSS),
    _vae("beta-ignored", _WEIGHTED, "(price - reconstruction).mean()", _LOSS),
    _vae("posterior-and-prior-swapped", "kl(q, prior) if", "kl(prior, q) if", _LOSS),
    _vae("kl-mean-for-sum", "td.kl_divergence(q, p)", "td.kl_divergence(q, p) / q.event_shape[0]", _LOSS, _BOUNDS),
    _vae("mean-over-pixels", ".log_prob(x), price, q\n", ".log_prob(x) / x[0].numel(), price, q\n", _LOSS),
    _vae("no-two-pi", ".log_prob(x), price, q\n", ".log_prob(x) + 0.9189385 * x[0].numel(), price, q\n", _LOSS),
    _vae("two-pi-once", ".log_prob(x), price, q\n", ".log_prob(x) + 0.9189385 * (x[0].numel() - 1), price, q\n", _LOSS),
    _vae(
        "no-reparameterization",
        "z, prior = q.rsample(),",
        "z, prior = q.sample(),",
        "test_gradient_passes_through_the_draw",
    ),
    _vae("mean-for-a-draw", "z, prior = q.rsample(),", "z, prior = q.mean,", _LOSS),
    _vae(
        "log-variance-for-log-std",
        "std = log_std.clamp(*LOG_STD).exp()",
        "std = (0.5 * log_std).clamp(*LOG_STD).exp()",
        "test_encoder_output_is_mean_and_log_std",
    ),
    _vae(
        "variance-for-std",
        "std = log_std.clamp(*LOG_STD).exp()",
        "std = (2 * log_std).clamp(*LOG_STD).exp()",
        "test_encoder_output_is_mean_and_log_std test_linear_vae_can_hold_the_exact_posterior",
    ),
    _vae(
        "beta-in-the-bound",
        "return reconstruction - price",
        "return reconstruction - self.beta * price",
        "test_elbo_is_the_definition_whatever_beta_is",
    ),
    _vae(
        "free-bits-as-a-ceiling",
        ".clamp(min=floor)",
        ".clamp(max=floor)",
        "test_free_bits_charge_at_least_their_price_and_give_no_gradient_below_it",
    ),
    _vae(
        "free-bits-for-the-total",
        ".clamp(min=floor).sum()",
        ".sum().clamp(min=floor)",
        "test_free_bits_charge_at_least_their_price_and_give_no_gradient_below_it",
    ),
    _vae(
        "factor-transposed",
        "factor[:, rows, columns] = below",
        "factor[:, columns, rows] = below",
        "test_full_posterior_reaches_every_covariance",
    ),
    _vae(
        "mean-shown-as-a-sample",
        '(integer("n", n),)), y).sample()',
        '(integer("n", n),)), y).mean',
        "test_sampling_is_ancestral",
    ),
    _vae(
        "latents-half-as-wide",
        "self.prior().sample((integer",
        "0.5 * self.prior().sample((integer",
        "test_sampling_is_ancestral",
    ),
    # Labels
    _vae(
        "label-not-given-to-the-decoder",
        "return self.net(_join(z, y)).unflatten(1, self.shape)\n",
        "return self.net(_join(z, y if y is None else 0 * y)).unflatten(1, self.shape)\n",
        "test_labels_reach_encoder_and_decoder[mlp-event0] tests/test_networks.py::test_the_label_reaches_a_decoder",
        _NETWORKS,
    ),
    _vae(
        "label-not-given-to-the-convolutional-decoder",
        "return self.net(_join(z, y)).unflatten(1, self.shape[:2])",
        "return self.net(_join(z, y if y is None else 0 * y)).unflatten(1, self.shape[:2])",
        "test_labels_reach_encoder_and_decoder[conv-event1]",
        _NETWORKS,
    ),
    _vae(
        "label-not-given-to-the-encoder",
        "return self.net(_join(x.flatten(1), y))",
        "return self.net(_join(x.flatten(1), y if y is None else 0 * y))",
        "test_labels_reach_encoder_and_decoder[mlp-event0]",
        _NETWORKS,
    ),
    _vae(
        "labels-mixed-up-between-draws",
        "return y.expand(lead).reshape(-1)",
        "return y.repeat_interleave(lead.numel() // len(y))",
        "test_bounds_of_a_conditional_model_use_its_labels",
        _NETWORKS,
    ),
    Mutant(
        "activation-after-the-last-layer",
        _NETWORKS,
        "return nn.Sequential(*layers)\n\n\nclass MLPEncoder",
        "return nn.Sequential(*layers, activation())\n\n\nclass MLPEncoder",
        "tests/test_networks.py::test_mlp_is_the_composition_it_names",
    ),
    # Bounds
    _inference(
        "prior-forgotten",
        _BOUNDS,
        "y) + model.prior().log_prob(z) - q",
        "y) - q",
        _GAP_IS_KL,
    ),
    _inference(
        "entropy-sign",
        _BOUNDS,
        ".log_prob(z) - q.log_prob(z)",
        ".log_prob(z) + q.log_prob(z)",
        _GAP_IS_KL,
    ),
    _inference(
        "sum-over-draws",
        _BOUNDS,
        "return log_weights(model, x, z, q, y).mean(0)",
        "return log_weights(model, x, z, q, y).sum(0)",
        "test_exact_posterior_makes_every_weight_the_likelihood",
    ),
    _inference(
        "mean-of-logs",
        _BOUNDS,
        "log_weights(model, x, z, q, y).logsumexp(0)",
        "log_weights(model, x, z, q, y).mean(0) + math.log(len(z))",
        "test_iwae_rises_to_the_likelihood_and_never_passes_it",
    ),
    _inference(
        "weights-not-averaged",
        _BOUNDS,
        "return total - math.log(samples)",
        "return total",
        "test_exact_posterior_makes_every_weight_the_likelihood",
    ),
    _inference(
        "averaged-over-the-last-chunk",
        _BOUNDS,
        "return total - math.log(samples)",
        "return total - math.log(len(z))",
        "test_exact_posterior_makes_every_weight_the_likelihood",
    ),
    _inference(
        "whole-batch-at-once",
        _BOUNDS,
        "min(chunk, left)",
        "left",
        "test_iwae_keeps_to_its_chunk_and_averages_over_all_of_them",
    ),
    _inference(
        "bound-with-cut-gradient",
        _BOUNDS,
        "draw = q.rsample if q.has_rsample else q.sample\n    z = draw",
        "draw = q.sample\n    z = draw",
        "test_gradient_of_a_bound_reaches_q",
    ),
    _inference(
        "variance-for-the-factor",
        _BOUNDS,
        "torch.diag_embed(p.stddev)",
        "torch.diag_embed(p.variance)",
        "test_analytic_kl_of_a_full_posterior_and_factorized_prior_is_the_integral",
    ),
    # Grid
    _inference(
        "cell-of-one-dimension",
        _GRID,
        "log_cell = latents * math.log(",
        "log_cell = math.log(",
        "test_grid_gives_the_closed_form",
    ),
    _inference(
        "second-moment-for-covariance",
        _GRID,
        "centered = self.points - self.mean[:, None]",
        "centered = self.points - 0 * self.mean[:, None]",
        "test_grid_gives_the_closed_form",
    ),
    _inference(
        "reversed-kl",
        _GRID,
        "(mass * (log_q - self.log_posterior)).sum(1)",
        "(self.mass * (self.log_posterior - log_q)).sum(1)",
        "test_grid_kl_is_the_closed_form test_bound_plus_kl_is_the_evidence_on_a_curved_posterior",
    ),
    _inference(
        "prior-left-out-of-the-grid",
        _GRID,
        "p.log_prob(x[i]) + log_prior",
        "p.log_prob(x[i])",
        "test_grid_gives_the_closed_form",
    ),
    _inference("border-unwatched", _GRID, "if not worst < 1e-4:", "if False:", "test_grid_refuses_what_it_cannot_see"),
    # Per datapoint
    _inference("descent", _OWN, "loss = -bound.sum()", "loss = bound.sum()", _STATES),
    _inference(
        "live-snapshot",
        _OWN,
        "mean, log_std = mean.detach().clone(), log",
        "mean, log_std = mean.detach(), log",
        _STATES,
    ),
    _inference(
        "warm-start-with-std",
        _OWN,
        "nu.log_std.copy_(q.stddev.log())",
        "nu.log_std.copy_(q.stddev)",
        "test_warm_start_reproduces_q",
    ),
    _inference(
        "covariance-for-its-factor",
        _OWN,
        "scale_tril=lower.tril(-1)",
        "covariance_matrix=lower.tril(-1)",
        "test_warm_start_reproduces_q",
    ),
    _inference(
        "theta-moves-with-nu",
        _OWN,
        '{"nu": ["nu"],',
        '{"nu": ["nu", "theta"] if shared else ["nu"],',
        "test_alternating_steps_move_one_side_at_a_time",
    ),
    _inference(
        "theta-never-moves",
        _OWN,
        '"both": ["nu", "theta"]',
        '"both": ["nu"]',
        "test_joint_optimization_reaches_the_maximum_likelihood[None]",
    ),
    # The gap
    _inference(
        "gaps-in-the-wrong-order",
        _GAP,
        "mean_and_error(self.log_px - self.best)",
        "mean_and_error(self.best - self.log_px)",
        "test_gap_of_a_mean_field_family_is_approximation",
    ),
    _inference(
        "gaps-exchanged",
        _GAP,
        "mean_and_error(self.log_px - self.best)",
        "mean_and_error(self.best - self.amortized)",
        "test_gap_of_a_mean_field_family_is_approximation",
    ),
    _inference(
        "error-of-one-for-error-of-the-mean",
        _GAP,
        "values.std() / len(values) ** 0.5",
        "values.std()",
        "test_standard_error_is_that_of_the_mean",
    ),
    _inference(
        "reference-from-q-star",
        _GAP,
        "wide = PerDatapoint.at(q_star, full=True)",
        "wide = PerDatapoint.at(q_star, full=True)\n        steps = 1",
        "test_gap_of_a_mean_field_family_is_approximation",
    ),
    # Gradients
    _inference(
        "score-of-a-moving-draw",
        _GRADIENTS,
        "own().log_prob(z.detach())",
        "own().log_prob(mean + log_std.exp() * ((z - mean) / log_std.exp()).detach())",
        "test_both_gradients_have_the_mean_of_the_closed_form",
    ),
    _inference(
        "baseline-added",
        _GRADIENTS,
        "f = f - (f.sum(0) - f)",
        "f = f + (f.sum(0) - f)",
        "test_baseline_lowers_the_variance_of_the_score_function",
    ),
    # Likelihoods
    _likelihood(
        "output-std-as-variance",
        "Normal(mean, log_std.clamp(*LOG_STD).exp())",
        "Normal(mean, (0.5 * log_std).clamp(*LOG_STD).exp())",
        "test_gaussian_is_scipys_normal_summed_over_the_event",
    ),
    _likelihood(
        "bins-twice-as-wide",
        "half = level_index(x, self.levels), 0.5 /",
        "half = level_index(x, self.levels), 1.0 /",
        "test_probabilities_of_all_levels_sum_to_one",
    ),
    _likelihood(
        "outer-bins-cut-off",
        "torch.where(index == 0, below, torch.where(index == self.levels - 1, above, between))",
        "between",
        "test_probabilities_of_all_levels_sum_to_one",
    ),
    _likelihood(
        "density-for-probability",
        "return below + above + torch.log(-torch.expm1(-width))",
        "return below + above",
        "test_cut_distribution_is_the_difference_of_scipys_cdf test_probabilities_of_all_levels_sum_to_one",
    ),
    _likelihood(
        "cdf-difference-without-care",
        "return top + torch.log(-torch.expm1(torch.special.log_ndtr(torch.where(mirror, -b, a)) - top))",
        "return torch.log(torch.special.ndtr(b) - torch.special.ndtr(a))",
        "test_far_tails_stay_finite_with_gradient",
    ),
    _likelihood(
        "levels-off-by-one",
        ".sample(sample_shape)\n        return k.to(self.log_probs.dtype) / (self.levels - 1)",
        ".sample(sample_shape)\n        return k.to(self.log_probs.dtype) / self.levels",
        "test_samples_follow_the_probabilities",
    ),
    _likelihood(
        "gray-values-through-bernoulli",
        "if not (value * value == value).all():",
        "if False:",
        "test_bernoulli_is_scipys_and_refuses_gray_values",
    ),
]
