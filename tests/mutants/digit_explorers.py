"""Faults of the memorizer and of denoising by hand."""

from mutants.plant import Mutant


def _memorizer(name: str, old: str, new: str, test: str, file: str = "ch12_memorizer.py") -> Mutant:
    return Mutant(
        f"memorizer-{name}", f"gdm_core/explorers/{file}", old, new, f"tests/test_digit_explorers.py::test_{test}"
    )


def _hand(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(
        f"by-hand-{name}",
        "gdm_core/explorers/ch12_denoise_by_hand.py",
        old,
        new,
        f"tests/test_digit_explorers.py::test_{test}",
    )


_WHOLE = "who_sees_the_whole_picture_copies_one_and_this_is_framed_said_and_colored"
_FEW, _COLORS = "few_pixels_make_new_digits_out_of_many", "each_pixel_has_the_color_of_the_picture_that_weighs_most"
_ANSWERS, _SCORE = "the_three_answers_and_their_errors", "score_and_next_step_are_those_of_the_network"
_LEVELS, _PAINT = "every_level_of_the_chart_has_the_noise_of_the_picture", "paint_is_ink_on_the_digit_before_the_noise"
_STEPS = "steps_go_through_one_drawing_and_a_press_draws_another"

MUTANTS = [
    _memorizer("knows-them-all", "ideal.training_set(digits[:known]", "ideal.training_set(digits", _WHOLE),
    _memorizer(
        "patch-of-half-its-side", "2 * reach + 1, schedules.cosine)", "2 * (reach // 2) + 1, schedules.cosine)", _COLORS
    ),
    _memorizer("whole-picture-a-pixel-early", "if reach == SIDE - 1:\n", "if reach >= 1:\n", _FEW),
    _memorizer(
        "finished-digit-follows-itself", "sources(*now, min(step, STEPS - 1))", "sources(*now, STEPS)", _COLORS + "[8]"
    ),
    _memorizer(
        "sources-of-the-noise",
        "states(known, reach, press)[step], sched",
        "states(known, reach, press)[0], sched",
        _COLORS,
    ),
    _memorizer("sources-look-past-their-patch", "slice(max(k - reach, 0), k + reach + 1)", "slice(None)", _COLORS),
    _memorizer("rare-colors-first", "descending=True", "descending=False", _COLORS),
    _memorizer("copies-half-as-far", "digits[:known], RATIO)", "digits[:known], 0.99)", _FEW),
    _memorizer(
        "share-the-other-way-round",
        "(found.distance / found.next)",
        "(found.next / found.distance)",
        _FEW,
    ),
    _memorizer("nearest-of-the-next", "digits[found.nearest]", "digits[found.nearest - 1]", _WHOLE),
    _memorizer("noise-that-stays-when-pressed", "start = noise(press, ", "start = noise(0, ", _STEPS),
    _memorizer("always-the-finished-digit", "x = states(*now)[step]", "x = states(*now)[-1]", _STEPS),
    _memorizer("ink-on-dark-paper", "((1 - x) / 2)", "((1 + x) / 2)", _STEPS, "digit_denoisers.py"),
    _hand(
        "patches-for-the-whole",
        "[ideal.training_set(of, schedules.cosine), ideal",
        "[ideal.patches(of, 3, schedules.cosine), ideal",
        _ANSWERS,
    ),
    _hand("patches-of-one-reach", "2 * reach + 1, schedules.cosine)", "3, schedules.cosine)", _ANSWERS),
    _hand("machines-of-every-class", "known[classes == k]", "known", _ANSWERS),
    _hand("told-its-own-class-alone", 'if controls["told"] == OWN else int(controls["told"])', "", _ANSWERS),
    _hand("error-from-the-noisy-one", "off = (told - x)", "off = (told - x_t)", _ANSWERS),
    _hand("mean-square-for-its-root", "mean((2, 3, 4)).sqrt()", "mean((2, 3, 4))", _ANSWERS),
    _hand("far-from-the-digit-not-the-network", "(told[1:, 0] - told[0, 0])", "(told[1:, 0] - x)", _ANSWERS),
    _hand("score-of-d", "mean, here, now = told[0, :1]", "mean, here, now = told[1, :1]", _SCORE),
    _hand("score-without-its-sigma", "pull = (sigma * score)", "pull = score", _SCORE),
    _hand("score-in-swapped-colors", "(pull / PULL)", "(-pull / PULL)", _SCORE),
    _hand("steps-back", "later = (now - STEP)", "later = (now + STEP)", _SCORE),
    _hand("next-step-without-its-noise", "denoising.noisy(mean, later, schedules.cosine, foretold)", "mean", _SCORE),
    _hand("levels-of-one-time", "levels.new_tensor([t]), levels]", "levels.new_tensor([t]), 0 * levels + t]", _LEVELS),
    _hand(
        "paint-over-the-digit", "torch.maximum(2 * new.x[digit] - 1, 2 * paint - 1)", "(2 * new.x[digit] - 1)", _PAINT
    ),
    _memorizer("next-is-nearest", "said(found.next.mean().item())", "said(found.distance.mean().item())", _FEW),
]
