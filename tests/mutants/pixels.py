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
    _pixels(
        "heard-without-a-root",
        ".clamp_min(1e-12)).sqrt()",
        ".clamp_min(1e-12))",
        "the_stronger_a_pixel_is_heard_the_darker_it_is",
    ),
    _pixels(
        "known-tinted-hidden-not",
        "torch.where(known[0][..., None], picture, 0.72 * picture + 0.28 * tint)",
        "torch.where(known[0][..., None], 0.72 * picture + 0.28 * tint, picture)",
        "what_is_hidden_is_tinted_and_no_other",
    ),
    _pixels(
        "dot-a-turn-late",
        "total[min(turn, len(bill))]",
        "total[min(turn - 1, len(bill))]",
        "the_dot_is_on_the_line_at_its_turn",
    ),
    Mutant(
        "exported-page-asks-for-a-click",
        _PIXELS,
        'exported="Fill in the digit',
        'exported="Click a pixel. Fill in the digit',
        "tests/test_explorers_contract.py::"
        "test_its_words_on_a_page_without_a_kernel_ask_for_nothing_that_stands_still_there[pixels]",
    ),
]
