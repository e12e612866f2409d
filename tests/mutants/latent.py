"""Faults of the latent space, its scores, the autoencoder, vector quantization and fast products."""

from mutants.plant import Mutant

_VQ, _AE = "gdm_core/models/vqvae.py", "gdm_core/models/autoencoder.py"
_LATENT, _SCORES = "gdm_core/latent.py", "gdm_core/disentanglement.py"
_ENDS = "test_both_ends_are_met_exactly"
_WORLD = "test_scores_of_aligned_rotated_and_independent_codes"


def _latent(name: str, old: str, new: str, tests: str, file: str = _LATENT) -> Mutant:
    return Mutant(name, file, old, new, " ".join(f"tests/test_latent.py::{t}" for t in tests.split()))


def _vq(name: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(name, _VQ, old, new, " ".join(f"tests/test_vqvae.py::{t}" for t in tests.split()))


MUTANTS = [
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
        "basis = U[:, size > size.max() * max(U.shape) * torch.finfo(size.dtype).eps]",
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
        "weight = turn.T * size",
        "weight = turn * size",
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
