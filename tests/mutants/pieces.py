"""Faults of what is taken in uneven pieces, judged in another mode, or weighed alike where it weighs unlike."""

from mutants.plant import Mutant

_BOUNDS, _GRID, _GAP, _GRADIENTS = (f"gdm_core/inference/{name}.py" for name in ("bounds", "grid", "gap", "gradients"))
_VAE, _VQ, _SCORES = "gdm_core/models/vae.py", "gdm_core/models/vqvae.py", "gdm_core/disentanglement.py"
_SET = "gdm_core/data/dataset.py"


def _tests(home: str, *names: str) -> str:
    return " ".join(f"tests/test_{home}.py::test_{name}" for name in names)


_MODES = "tests/test_contracts.py::test_an_estimate_means_the_same_in_both_modes[vae-gray]"
_DRAWS = _tests("inference", "pieces_that_do_not_divide_the_draws_weigh_by_their_size")
_PAIRS = _tests("inference", "likelihood_in_uneven_pieces_is_that_of_the_whole")
_OTHERS = _tests("inference", "each_draw_is_measured_against_the_others_alone")
_MOVED = _tests("data", "a_set_moves_as_a_whole_and_its_original_stays")
_DCI = _tests("latent", "dci_is_its_definition_with_idle_latents_and_unequal_ones")
_RARE = _tests("latent", "a_class_that_is_held_out_or_kept_as_a_whole_leaves_dci_a_number")

MUTANTS = [
    # Modes
    Mutant(
        "mean-for-a-draw-in-evaluation",
        _VAE,
        "z, prior = q.rsample(),",
        "z, prior = q.rsample() if self.training else q.mean,",
        _MODES,
    ),
    # Pieces
    Mutant(
        "pieces-of-a-bound-averaged-alike",
        _BOUNDS,
        "log_weights(model, x, z, q, y).logsumexp(0))",
        "log_weights(model, x, z, q, y).logsumexp(0) - math.log(len(z) / min(chunk, samples)))",
        _DRAWS,
    ),
    Mutant("last-piece-too-long", _BOUNDS, "draw((min(chunk, left),))", "draw((chunk,))", _DRAWS),
    Mutant(
        "a-draw-of-each-piece-forgotten",
        _BOUNDS,
        "draws = slice(s, s + rows // width)",
        "draws = slice(s, s + max(1, rows // width - 1))",
        _PAIRS,
    ),
    Mutant(
        "rest-of-the-draws-forgotten", _BOUNDS, "range(0, z.shape[0], rows", "range(0, z.shape[0] - 1, rows", _PAIRS
    ),
    Mutant(
        "pieces-of-the-gap-averaged-alike",
        _GAP,
        "total = total + now * elbo",
        "total = total + min(chunk, samples) * elbo",
        _tests("gap", "bound_of_many_draws_weighs_pieces_by_their_size"),
    ),
    Mutant(
        "grid-of-the-first-points",
        _GRID,
        "z = points[start : start + size]",
        "z = points[: len(points[start : start + size])]",
        _tests("inference", "grid_in_uneven_pieces_is_the_whole_grid"),
    ),
    # Weights
    Mutant(
        "baseline-with-its-own-draw", _GRADIENTS, "f = f - (f.sum(0) - f) / (samples - 1)", "f = f - f.mean(0)", _OTHERS
    ),
    Mutant(
        "corners-watched-for-borders",
        _GRID,
        "(points.abs() >= axis[-1]).any(1)",
        "(points.abs() >= axis[-1]).all(1)",
        _tests("grid", "grid_watches_its_edges_not_only_its_corners"),
    ),
    Mutant(
        "usage-by-the-batch",
        _VQ,
        "return count / count.sum()",
        "return count / len(x)",
        _tests("vqvae", "usage_is_a_share_of_all_positions"),
    ),
    Mutant(
        "idle-latents-weigh-alike", _SCORES, "weight = R.sum(1) / R.sum()", "weight = np.ones(len(R)) / len(R)", _DCI
    ),
    Mutant(
        "entropy-in-the-other-base", _SCORES, "_entropy(row) / np.log(R.shape[1])", "_entropy(row) / np.log(L)", _DCI
    ),
    Mutant("guess-without-mistakes", _SCORES, " if chance < 1 else 0.0", "", _RARE),
    Mutant("trees-without-a-split", _SCORES, "if forest.feature_importances_.any() else np.full(L, 1 / L)", "", _RARE),
    Mutant(
        "chance-of-even-classes",
        _SCORES,
        "np.unique(v[held], return_counts=True)[1].max() / len(held)",
        "1 / len(np.unique(v))",
        _tests("latent", "guessing_the_commonest_class_is_no_knowledge"),
    ),
    Mutant(
        "left-out-without-an-intercept",
        "gdm_core/latent.py",
        "* U.T) + 1 / len(b)",
        "* U.T)",
        _tests("latent", "penalty_minimizes_the_left_out_error"),
    ),
    Mutant(
        "border-cell-by-cell",
        _GRID,
        "result.mass[:, border].sum(1).max()",
        "result.mass[:, border].max()",
        _tests("grid", "mass_along_a_whole_edge_counts_together"),
    ),
    Mutant(
        "steps-twice-as-long",
        "gdm_core/inference/per_datapoint.py",
        "falling * 0.5 * (1 +",
        "falling * (1 +",
        _tests("per_datapoint", "first_steps_are_as_long_as_they_were_told"),
    ),
    Mutant(
        "features-of-no-position",
        _VQ,
        "self._features(x).movedim(1, -1).reshape(-1, self.width)",
        "self._features(x).reshape(-1, self.width)",
        _tests("vqvae", "a_code_that_answers_once_is_alive_and_features_are_those_of_a_position"),
    ),
    Mutant(
        "last-code-never-drawn",
        _VQ,
        "torch.randint(self.codes, (",
        "torch.randint(self.codes - 1, (",
        _tests("vqvae", "every_code_is_drawn_alike"),
    ),
    Mutant(
        "channels-at-the-first-axis",
        "gdm_core/likelihoods.py",
        "raw.squeeze(-dims - 1)",
        "raw.squeeze(1)",
        _tests("likelihoods", "axes_before_the_channels_are_examples_whatever_their_number"),
    ),
    *(
        Mutant(
            name,
            "gdm_core/likelihoods.py",
            old,
            new,
            _tests("likelihoods", "what_knows_nothing_starts_spread_over_the_range"),
        )
        for name, old, new in (
            (
                "components-start-narrow",
                "torch.linspace(0, 1, self.components",
                "torch.linspace(0, 0.9, self.components",
            ),
            ("start-off-the-middle", "GrayCut(0.5 + mean", "GrayCut(0.4 + mean"),
            ("start-too-wide", "math.log(0.1)", "math.log(0.11)"),
        )
    ),
    Mutant(
        "later-strokes-twice-as-far",
        "gdm_core/data/strokes/style.py",
        "along + shift / 2 + bent",
        "along + shift + bent",
        _tests("strokes", "the_unsteady_hand_has_the_variance_that_its_parts_say"),
    ),
    # What moves with a set
    Mutant(
        "factors-left-behind",
        _SET,
        "factors = {k: v.to(device) for k, v in self.factors.items()}",
        "factors = self.factors",
        _MOVED,
    ),
    Mutant(
        "density-moved-in-place",
        _SET,
        "density = copy.deepcopy(density).to(device)",
        "density = density.to(device)",
        _MOVED,
    ),
]
