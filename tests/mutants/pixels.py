"""Faults of the explorer of pixels, and of its plans."""

from mutants.plant import Mutant

_PIXELS = "gdm_core/explorers/ch10_pixels.py"


def _pixels(name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, _PIXELS, old, new, " ".join(f"tests/test_pixels.py::test_{t}" for t in tests))


MUTANTS = [
    _pixels(
        "known-pixels-take-turns",
        "torch.where(known, SIDE**2, rank)",
        "rank",
        "what_is_hidden_is_drawn_in_even_turns_and_what_is_known_never",
    ),
    _pixels(
        "turns-of-the-whole-board",
        "among * steps // int((~known).sum())",
        "among * steps // SIDE**2",
        "what_is_hidden_is_drawn_in_even_turns_and_what_is_known_never",
    ),
    _pixels(
        "spread-in-blocks",
        "4 * spread.repeat(2, 2) + SPREAD.repeat_interleave(n, 0).repeat_interleave(n, 1)",
        "spread.repeat(2, 2) + n * n * SPREAD.repeat_interleave(n, 0).repeat_interleave(n, 1)",
        "spread_keeps_one_turn_apart",
    ),
    _pixels(
        "halves-exchanged",
        '"lower half": np.s_[:, SIDE // 2 :],',
        '"lower half": np.s_[:, : SIDE // 2],',
        "half_of_a_digit_is_the_half_it_says",
    ),
    _pixels(
        "ranks-turned-round",
        "rank).flatten().argsort().argsort()",
        "rank).flatten().argsort(stable=True)",
        "the_order_is_kept_among_the_hidden",
        "what_is_hidden_is_drawn_in_even_turns_and_what_is_known_never",
    ),
    _pixels(
        "clicked-pixel-as-if-there",
        "[pixel:] = 0.9",
        "[pixel + 1 :] = 0.9",
        "what_is_not_there_yet_is_gray_the_clicked_pixel_too",
    ),
]
