"""Faults of exact denoisers: noise scales, signal rates, softmaxes over the wrong things, patches that see too much."""

from mutants.plant import Mutant


def _plant(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(
        f"ideal-{name}", "gdm_core/ideal.py", old, new, " ".join(f"tests/test_ideal.py::test_{t}" for t in tests)
    )


def _copies(name: str, old: str, new: str) -> Mutant:
    test = "tests/test_metrics.py::test_copies_are_much_nearer_to_one_example_than_to_the_next"
    return Mutant(f"copies-{name}", "gdm_core/metrics/near.py", old, new, test)


_GAUSS, _SINGULAR = "gaussian_is_tweedies_mean", "gaussian_of_pictures_with_a_singular_covariance"
_MIX, _QUAD = "mixture_is_tweedies_mean[eight_gaussians-0.3]", "mixture_is_the_mean_of_what_may_have_been"
_BAYES, _LOOP, _ENDS = "training_set_is_bayes_rule", "patches_by_a_loop_over_pixels", "at_both_ends_of_time"
_ROWS, _DROWNS = "each_row_has_its_time_whatever_the_company", "little_noise_drowns_nothing_in_single_precision"

MUTANTS = [
    _plant("gain-without-the-noise", "_positive(alpha**2 * S + sigma**2)", "_positive(alpha**2 * S)", _GAUSS),
    _plant("sigma-for-its-square", "_positive(alpha**2 * S + sigma**2)", "_positive(alpha**2 * S + sigma)", _GAUSS),
    _plant("mean-not-scaled-down", "(x - alpha * m) @ Q", "(x - m) @ Q", _GAUSS),
    _plant("axes-turned-the-wrong-way", "(x - alpha * m) @ Q", "(x - alpha * m) @ Q.mT", _GAUSS),
    _plant(
        "variance-zero-over-zero",
        "_positive(alpha**2 * S + sigma**2)",
        "alpha**2 * S + sigma**2",
        _SINGULAR,
    ),
    _plant(
        "volume-of-one-dimension",
        "d / 2 * var.log()",
        "var.log() / 2",
        "mixture_is_tweedies_mean",
    ),
    _plant(
        "std-for-variance", "_positive(alpha**2 * s**2 + sigma**2)", "_positive(alpha**2 * s + sigma**2)", _MIX, _QUAD
    ),
    _plant("components-equally-likely", "(log_w - d / 2", "(0 * log_w - d / 2", _QUAD),
    _plant("twice-the-exponent", "square / (2 * var)", "square / var", _MIX, _QUAD),
    _plant(
        "shares-before-the-mean-shrinks", "return sigma**2 * (share @ m)", "return sigma * (share @ m)", _MIX, _QUAD
    ),
    _plant("set-without-signal-rate", "closeness = alpha * (x_t @ x.T) -", "closeness = (x_t @ x.T) -", _BAYES, _LOOP),
    _plant("set-lengths-forgotten", "- alpha**2 * x.square().sum(1) / 2", "- 0 * x.square().sum(1) / 2", _BAYES),
    _plant("set-sigma-for-its-square", "/ _positive(sigma**2)).softmax(1)", "/ _positive(sigma)).softmax(1)", _BAYES),
    _plant("softmax-over-the-batch", "/ _positive(sigma**2)).softmax(1)", "/ _positive(sigma**2)).softmax(0)", _BAYES),
    _plant("no-noise-divides", "/ _positive(sigma**2)).softmax(1)", "/ sigma**2).softmax(1)", _ENDS),
    _plant("largest-not-brought-to-zero", "(closeness - closeness.amax(1, keepdim=True))", "closeness", _ENDS),
    _plant("distance-from-zero-drowns", "x_t, x = x_t - alpha * middle, x - middle", "pass", _DROWNS),
    _plant("center-not-scaled-down", "x_t - alpha * middle, x - middle", "x_t - middle, x - middle", _BAYES),
    _plant("patch-one-pixel-short", "k + reach + 1)", "k + reach)", _LOOP),
    _plant("patch-wraps-at-the-border", "slice(max(k - reach, 0), ", "slice(k - reach, ", _LOOP),
    _plant(
        "patch-sees-everything",
        "near, middle = them[:, :, rows, columns]",
        "near, middle = them[:, :, :, columns]",
        _LOOP,
    ),
    _plant("mean-of-patch-at-another-pixel", "them[:, :, i, j]  # (N", "them[:, :, i, 0]  # (N", _LOOP),
    _plant(
        "one-time-for-all-rows",
        "pair = at(schedule, t.to(x_t), x_t)",
        "pair = at(schedule, t.to(x_t).flatten()[0], x_t)",
        _ROWS,
    ),
    _plant("memory-without-bound", "count = max(ENTRIES // width, 1)", "count = len(x_t)", "memory_is_bounded"),
    _copies("third-nearest", "ratio * following", "ratio * distance"),
    _copies("in-units", "distance < ratio * following", "distance < ratio"),
    _copies(
        "squared", 'compute_mode="donot_use_mm_for_euclid_dist"', 'compute_mode="donot_use_mm_for_euclid_dist", p=1.0'
    ),
]
