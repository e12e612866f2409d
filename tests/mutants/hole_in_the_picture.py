"""Faults of the explorer of a hole in a picture, of the exact denoiser behind it, and of the checks of lab 14."""

from mutants.plant import Mutant

_FILE, _TEST = "gdm_core/explorers/ch14_hole_in_the_picture.py", "tests/test_hole_in_the_picture.py::test_"
_SCIPY = "classes_of_what_is_seen_are_bayes_rule_by_scipy"
_READ = "the_read_out_compares_completions_with_the_posterior"
_STEPS = "steps_are_shown_as_they_go_and_the_numbers_are_of_the_end"
_ENDS = "every_method_begins_at_the_noise_and_ends_at_what_was_seen"
_MOMENTS, _CLASSES = "draws_have_the_moments_that_are_told", "of_which_class_a_whole_picture_is"
_TWEEDIE = "tests/test_ideal.py::test_gaussians_are_tweedies_mean"


def _plant(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"hole-{name}", _FILE, old, new, _TEST + test)


def _exact(name: str, old: str, new: str, test: str = _TWEEDIE) -> Mutant:
    return Mutant(f"ideal-gaussians-{name}", "gdm_core/ideal.py", old, new, test)


MUTANTS = [
    _plant(
        "mask-inverted",
        "ob.Observation(ob.mask(~hole), y[~hole], std)",
        "ob.Observation(ob.mask(hole), y[hole], std)",
        _SCIPY,
    ),
    _plant("sees-the-clean-digit", "y = digits[digit] + std * fixed", "y = digits[digit] + 0 * fixed", _SCIPY),
    _plant("shows-a-clean-digit", "shown = digits[digit] + std * fixed", "shown = digits[digit] + 0 * fixed", _SCIPY),
    _plant(
        "prior-for-posterior",
        "return self if seen is None else self._replace",
        "return self if True else self._replace",
        _SCIPY,
    ),
    _plant(
        "wrong-classes-twice",
        "- posterior.weights).abs().sum().item() / 2",
        "- posterior.weights).abs().sum().item()",
        "a_share_in_the_wrong_class_is_counted_once",
    ),
    _plant(
        "one-seed-for-what-is-exact", "fixed = Noise(seed)", "fixed = Noise(0)", "another_seed_draws_everything_anew"
    ),
    _plant(
        "expected-of-the-hole",
        "[~hole].mean().sqrt()",
        "[hole].mean().sqrt()",
        "how_far_seen_pixels_are_off_and_should_be",
    ),
    _plant("even-classes", "(each + self.weights.log())", "(each)", _CLASSES),
    _plant("one-class", "roots[k] @", "roots[0] @", _MOMENTS),
    _plant("spread-within-classes-alone", " + (self.means - mean).square()", "", _MOMENTS),
    _plant(
        "noise-of-ppca-forgotten",
        "model.W @ model.W.T + model.var *",
        "model.W @ model.W.T + 1e-3 *",
        "each_class_has_the_mean_of_its_digits_and_their_largest_variances",
    ),
    _plant(
        "repaint-for-replacement",
        '1 if method == "replacement" else REPEATS',
        "REPEATS",
        "the_methods_are_those_of_the_library",
    ),
    _plant("prior-for-the-exact-denoiser", "plain(posterior.denoiser())", "plain(denoise)", _ENDS),
    _plant(
        "pull-forgotten",
        "inverse.dps(denoise, seen, SCHEDULE, pull)",
        "inverse.dps(denoise, seen, SCHEDULE)",
        "the_methods_are_those_of_the_library",
    ),
    _plant(
        "particles-unweighed",
        "((x, log_w.exp()) for x, log_w in run)",
        "((x, even) for x, _ in run)",
        "the_methods_are_those_of_the_library",
    ),
    _plant("off-over-all-pixels", "(found[0] - truth[0])[hole].square()", "(found[0] - truth[0]).square()", _READ),
    _plant("chance-of-one-draw", "truth[1][hole].mean() / DRAWS", "truth[1][hole].mean()", _READ),
    _plant(
        "spread-upside-down",
        "found[1][hole].sum() / truth[1][hole].sum()",
        "truth[1][hole].sum() / found[1][hole].sum()",
        _READ,
    ),
    _plant("moments-exchanged", "found, truth = (w @ x.double()", "truth, found = (w @ x.double()", _READ),
    _plant("numbers-of-the-step", "        x, w = states[-1]\n", "", _STEPS),
    _plant("always-the-end", "x, w = states[at]", "x, w = states[-1]", _STEPS),
    _plant(
        "runs-away-unnoticed",
        "if lost:\n                break",
        "if lost:\n                lost = 0",
        "who_runs_away_is_said_and_not_counted",
    ),
    _plant(
        "rim-turned",
        "np.stack([columns + k, rows + 1], 1)",
        "np.stack([rows + 1, columns + k], 1)",
        "the_rim_of_a_hole_lies_between_hidden_and_seen",
    ),
    _exact("shares-without-volume", "var.log() + away.square() / var).sum(2)", "away.square() / var).sum(2)"),
    _exact("weights-forgotten", "(log_w[:, None] - (var", "(0 * log_w[:, None] - (var"),
    _exact(
        "sigma-for-its-square",
        "_positive(alpha**2 * S + sigma**2)  # (K, 1, d)",
        "_positive(alpha**2 * S + sigma)  # (K, 1, d)",
    ),
    _exact("axes-turned-the-wrong-way", "away) @ Q.mT)", "away) @ Q)"),
    _exact(
        "shares-over-the-batch",
        ".sum(2) / 2).softmax(0)\n            return (share[..., None]",
        ".sum(2) / 2).softmax(1)\n            return (share[..., None]",
    ),
    *(
        Mutant(
            f"guidance-lab-{name}",
            "gdm_core/checks/lab14.py",
            old,
            new,
            f"tests/test_labs_checks.py::test_a_wrong_answer_is_refused_with_its_own_hint[lab14-{test}]",
        )
        for name, old, new, test in (
            ("asks-inside-alone", '("outside", (0.1, 0.9))', '("outside", ())', "guided-everywhere"),
            ("asks-between-its-ends", "(0.5, 0.2, 0.7)", "(0.5,)", "guided-open_interval"),
            ("asks-without-noise", "((0.8, 0.6), (1.0, 2.0))", "((1.0, 0.0),)", "paste-clean"),
            ("asks-for-dps-alone", ", (0.6, 1.2, 0.3, 0.8)", "", "pull-always_dps"),
            (
                "takes-any-slope",
                '"(B, d)", "the guess")\n        D = _net',
                '"(B, d)", "the guess") * 0 + 1\n        D = _net',
                "pull-detached",
            ),
        )
    ),
]
