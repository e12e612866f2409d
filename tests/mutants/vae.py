"""Faults of variational inference, the autoencoders and the latent space: most were made by somebody, somewhere."""

from mutants.plant import Mutant

_VAE, _VQ, _AE = (f"gdm_core/models/{name}.py" for name in ("vae", "vqvae", "autoencoder"))
_BOUNDS, _GRID, _OWN, _GAP, _GRADIENTS = (
    f"gdm_core/inference/{name}.py" for name in ("bounds", "grid", "per_datapoint", "gap", "gradients")
)
_LATENT, _SCORES = "gdm_core/latent.py", "gdm_core/disentanglement.py"
_LIKELIHOODS, _NETWORKS = "gdm_core/likelihoods.py", "gdm_core/networks.py"

_LOSS = "tests/test_vae.py::test_loss_is_the_sum_over_pixels_plus_beta_times_the_kl"
_GAP_IS_KL = "test_gap_of_the_bound_is_the_kl_to_the_posterior"


def _vae(name: str, old: str, new: str, tests: str, file: str = _VAE) -> Mutant:
    return Mutant(name, file, old, new, " ".join(t if "/" in t else f"tests/test_vae.py::{t}" for t in tests.split()))


def _inference(name: str, file: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(name, file, old, new, " ".join(f"tests/test_inference.py::{t}" for t in tests.split()))


def _latent(name: str, old: str, new: str, tests: str, file: str = _LATENT) -> Mutant:
    return Mutant(name, file, old, new, " ".join(f"tests/test_latent.py::{t}" for t in tests.split()))


def _vq(name: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(name, _VQ, old, new, " ".join(f"tests/test_vqvae.py::{t}" for t in tests.split()))


def _likelihood(name: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(name, _LIKELIHOODS, old, new, " ".join(f"tests/test_likelihoods.py::{t}" for t in tests.split()))


_WEIGHTED = "(self.beta * kl(q, self.prior()) - reconstruction).mean()"
_STATES = "test_states_are_snapshots_and_the_model_stays"
_ENDS = "test_both_ends_are_met_exactly"
_WORLD = "test_scores_of_aligned_rotated_and_independent_codes"

MUTANTS = [
    # The loss
    _vae("kl-sign", _WEIGHTED, "(-self.beta * kl(q, self.prior()) - reconstruction).mean()", _LOSS),
    _vae("reconstruction-sign", _WEIGHTED, "(self.beta * kl(q, self.prior()) + reconstruction).mean()", _LOSS),
    _vae("beta-on-the-reconstruction", _WEIGHTED, "(kl(q, self.prior()) - self.beta * reconstruction).mean()", _LOSS),
    _vae("beta-ignored", _WEIGHTED, "(kl(q, self.prior()) - reconstruction).mean()", _LOSS),
    _vae("posterior-and-prior-swapped", _WEIGHTED, _WEIGHTED.replace("q, self.prior()", "self.prior(), q"), _LOSS),
    _vae("kl-mean-for-sum", "td.kl_divergence(q, p)", "td.kl_divergence(q, p) / q.event_shape[0]", _LOSS, _BOUNDS),
    _vae("mean-over-pixels", ".log_prob(x), q\n", ".log_prob(x) / x[0].numel(), q\n", _LOSS),
    _vae("no-two-pi", ".log_prob(x), q\n", ".log_prob(x) + 0.9189385 * x[0].numel(), q\n", _LOSS),
    _vae("two-pi-once", ".log_prob(x), q\n", ".log_prob(x) + 0.9189385 * (x[0].numel() - 1), q\n", _LOSS),
    _vae(
        "no-reparameterization",
        "self.decode(q.rsample(), y)",
        "self.decode(q.sample(), y)",
        "test_gradient_passes_through_the_draw",
    ),
    _vae("mean-for-a-draw", "self.decode(q.rsample(), y)", "self.decode(q.mean, y)", _LOSS),
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
        "return reconstruction - kl(q, self.prior())",
        "return reconstruction - self.beta * kl(q, self.prior())",
        "test_elbo_is_the_definition_whatever_beta_is",
    ),
    _vae(
        "free-bits-as-a-ceiling",
        "each.clamp(min=self.free_bits)",
        "each.clamp(max=self.free_bits)",
        "test_free_bits_charge_at_least_their_price_and_give_no_gradient_below_it",
    ),
    _vae(
        "free-bits-for-the-total",
        "each.clamp(min=self.free_bits).sum()",
        "each.sum().clamp(min=self.free_bits)",
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
        "y = y.expand(lead).reshape(-1)",
        "y = y.repeat_interleave(lead.numel() // len(y))",
        "test_bounds_of_a_conditional_model_use_its_labels",
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
        ".log_prob(x) + model.prior().log_prob(z) - q",
        ".log_prob(x) - q",
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
        "half = _index(x, self.levels), 0.5 /",
        "half = _index(x, self.levels), 1.0 /",
        "test_probabilities_of_all_levels_sum_to_one",
    ),
    _likelihood(
        "outer-bins-cut-off",
        "torch.where(index == 0, lower(b), torch.where(index == self.levels - 1, upper(a), inner(a, b)))",
        "inner(a, b)",
        "test_probabilities_of_all_levels_sum_to_one",
    ),
    _likelihood(
        "density-for-probability",
        "return logsigmoid(b) + logsigmoid(-a) + torch.log(-torch.expm1(a - b))",
        "return logsigmoid(b) + logsigmoid(-a)",
        "test_cut_distribution_is_the_difference_of_scipys_cdf test_probabilities_of_all_levels_sum_to_one",
    ),
    _likelihood(
        "cdf-difference-without-care",
        "return top + torch.log(-torch.expm1(torch.special.log_ndtr(a) - top))",
        "return torch.log(torch.special.ndtr(b) - torch.special.ndtr(a))",
        "test_far_tails_stay_finite_with_gradient",
    ),
    _likelihood(
        "levels-off-by-one",
        "self.log_probs.dtype) / (self.levels - 1)",
        "self.log_probs.dtype) / self.levels",
        "test_samples_follow_the_probabilities",
    ),
    _likelihood(
        "gray-values-through-bernoulli",
        "if not (value * value == value).all():",
        "if False:",
        "test_bernoulli_is_scipys_and_refuses_gray_values",
    ),
    # Walks and directions
    _latent("line-that-misses-its-end", "return (1 - t) * a + t * b", "return a + t * (b - a)", _ENDS),
    _latent("line-from-the-wrong-end", "return (1 - t) * a + t * b", "return t * a + (1 - t) * b", _ENDS),
    _latent("arc-that-leaves-its-ends", "torch.sin(t * angle) / safe)", "torch.sin(t * angle))", _ENDS),
    _latent(
        "straight-line-called-an-arc",
        "sine, flat = angle.sin(), angle < 1e-4",
        "sine, flat = angle.sin(), angle < 4.0",
        "test_spherical_path_keeps_the_radius_and_the_angular_speed",
    ),
    _latent(
        "arithmetic-the-other-way", "return a - b + c", "return b - a + c", "test_arithmetic_carries_the_difference"
    ),
    _latent(
        "board-transposed",
        "board[..., first] = values.to(z)[:, None]\n    board[..., second] = values.to(z)[None, :]",
        "board[..., first] = values.to(z)[None, :]\n    board[..., second] = values.to(z)[:, None]",
        "test_traversal_moves_two_latents_and_no_other",
    ),
    _latent(
        "offset-sign",
        "float(-classifier.intercept_[0] / size)",
        "float(classifier.intercept_[0] / size)",
        "test_direction_is_the_discriminant_of_two_gaussians",
    ),
    _latent(
        "direction-not-of-unit-length",
        "torch.as_tensor(weight / size,",
        "torch.as_tensor(weight,",
        "test_moving_along_a_direction_changes_the_distance_by_as_much",
    ),
    _latent(
        "projection-on-the-other",
        "rest = direction - basis @ (basis.T @ direction)",
        "rest = basis @ (basis.T @ direction)",
        "test_removal_leaves_the_other_attribute_unmoved",
    ),
    _latent(
        "others-taken-for-orthogonal",
        "basis = torch.linalg.qr(torch.stack(others, 1))[0]",
        "basis = torch.nn.functional.normalize(torch.stack(others, 1), dim=0)",
        "test_removal_leaves_the_other_attribute_unmoved",
    ),
    # Maps
    _latent("map-without-shift", "middle - weight @ center)", "middle)", "test_ridge_is_scikit_learns"),
    _latent(
        "penalty-on-the-singular-value",
        "shrunk = size / (size**2 + penalty)",
        "shrunk = 1 / (size + penalty)",
        "test_ridge_is_scikit_learns",
    ),
    _latent(
        "penalty-by-training-error",
        "/ (1 - hat.diagonal()).clamp(min=1e-6)[:, None]",
        "",
        "test_penalty_minimizes_the_left_out_error",
    ),
    _latent(
        "rotation-transposed",
        "weight = (U @ Vh).T * size",
        "weight = (U @ Vh) * size",
        "test_procrustes_finds_rotation_scale_and_shift",
    ),
    _latent(
        "error-not-relative",
        ".square().sum(1) / spread)",
        ".square().sum(1))",
        "test_error_is_the_unexplained_share",
    ),
    # Scores
    _latent("gap-to-the-best", "(ranked[0] - second) / entropy", "ranked[0] / entropy", _WORLD, _SCORES),
    _latent("gap-not-normalized", "(ranked[0] - second) / entropy", "(ranked[0] - second)", _WORLD, _SCORES),
    _latent(
        "joint-entropy-forgotten",
        " - _entropy(table.ravel())",
        "",
        "test_mutual_information_is_scikit_learns_on_discrete_codes",
        _SCORES,
    ),
    _latent(
        "disentanglement-by-columns",
        "_entropy(row) / np.log(R.shape[1]) if row.sum() else 1.0 for row in R]",
        "_entropy(row) / np.log(R.shape[0]) if row.sum() else 1.0 for row in R.T]",
        "test_dci_of_one_latent_that_holds_two_factors test_scores_of_aligned_rotated_and_independent_codes",
        _SCORES,
    ),
    _latent(
        "judged-on-its-training-set",
        "score = forest.score(z[held], v[held])",
        "score = forest.score(z[kept], v[kept])",
        _WORLD,
        _SCORES,
    ),
    _latent(
        "units-by-std",
        "return means.var(0) > threshold",
        "return means.std(0) > threshold",
        "test_active_units_are_those_whose_mean_moves",
        _SCORES,
    ),
    # Autoencoder and vector quantization
    Mutant(
        "autoencoder-mean-over-pixels",
        _AE,
        ".square().flatten(1).sum(1)",
        ".square().flatten(1).mean(1)",
        "tests/test_autoencoder.py::test_error_is_the_squared_distance_summed_over_the_event",
    ),
    _vq(
        "gradient-not-straight-through",
        "straight = features + (entries - features).detach()",
        "straight = entries",
        "test_gradients_go_where_the_paper_sends_them",
    ),
    _vq(
        "stop-gradient-missing",
        "(entries - features.detach()).square()",
        "(entries - features).square()",
        "test_gradients_go_where_the_paper_sends_them",
    ),
    _vq(
        "commitment-moves-the-codebook",
        "(features - entries.detach()).square()",
        "(features - entries).square()",
        "test_gradients_go_where_the_paper_sends_them",
    ),
    _vq(
        "commitment-sign",
        "to_code + self.commitment * to_encoder",
        "to_code - self.commitment * to_encoder",
        "test_loss_is_equation_3",
    ),
    _vq(
        "commitment-on-the-codebook",
        "to_code + self.commitment * to_encoder",
        "self.commitment * to_code + to_encoder",
        "test_gradients_go_where_the_paper_sends_them",
    ),
    _vq(
        "nearest-by-product",
        "book.square().sum(1) - 2 * flat",
        "-2 * flat",
        "test_each_position_takes_its_nearest_code",
    ),
    _vq(
        "one-code-for-all-positions",
        "math.prod(self.grid) * math.log(self.codes)",
        "math.log(self.codes)",
        "test_gray_levels_have_a_bound_in_nats",
    ),
    _vq("codes-for-free", "- math.prod(self.grid) * math.log(self.codes)", "", "test_bound_is_below_the_exact_mixture"),
    _vq(
        "live-codes-overwritten",
        "(self.usage(x) == 0)",
        "(self.usage(x) > 0)",
        "test_dead_codes_are_revived_on_features_and_live_ones_stay",
    ),
    # Precision
    Mutant(
        "bf16-left-switched-on",
        "gdm_core/precision.py",
        "    finally:\n        setting.fp32_precision = before",
        "    finally:\n        pass",
        "tests/test_precision.py::test_the_setting_is_put_back_after_an_error",
    ),
    Mutant(
        "bf16-whatever-the-error",
        "gdm_core/precision.py",
        "if not allowed:",
        "if False:",
        "tests/test_precision.py::test_the_measured_error_decides",
    ),
]
