"""Faults of colors and words in the explorers of chapters 06 to 08."""

from mutants.plant import Mutant

_COLORS, _BENCH = "each_mark_has_the_color_of_what_it_is[{}]", "the_words_of_the_two_sample_bench[energy]"
_END = "the_words_of_the_digit_board_and_of_the_studio_end_with_how_far_they_are_trained"


def _fault(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    where = f"gdm_core/explorers/ch0{file}.py"
    return Mutant(f"colors-{name}", where, old, new, f"tests/test_explorers_colors.py::test_{test}")


MUTANTS = [
    _fault("what-came-is-noise", "6_bench", '"accent", width=4),', '"noise", width=4),', _COLORS.format("bench")),
    _fault("twice-the-examples", "6_bench", "of {n} ", "of {2 * n} ", _BENCH),
    _fault("p-of-another-bound", "6_bench", "p-value {test.p:.3f}: diff", "p-value {test.value:.3f}: diff", _BENCH),
    _fault("foretold-is-learned", "7_game_bench", '"exact", width=6', '"model", width=6', _COLORS.format("game_bench")),
    _fault(
        "data-are-samples", "8_gan_studio", 'real[:300], "data"', 'real[:300], "model"', _COLORS.format("gan_studio")
    ),
    _fault(
        "told-is-noise",
        "8_digit_board",
        'frame(k, 0.3), "accent"',
        'frame(k, 0.3), "noise"',
        _COLORS.format("digit_board"),
    ),
    _fault("board-without-its-steps", "8_digit_board", "· {when}", "· trained", _END),
    _fault("k-untold", "8_gan_studio", "if k > 1 else", "if k > 3 else", _END),
]
