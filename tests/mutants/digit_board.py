"""Faults of the digit board: pictures at another place, words of another picture, a judge that saw the answers."""

from mutants.plant import Mutant

_PLANE = "test_the_plane_holds_the_class_that_is_told_at_the_z_under_it"
_ORDER = "test_ten_classes_stand_in_order_at_the_z_of_the_hand"
_FRAMES = "test_the_frame_is_around_the_class_that_is_told_and_dashes_around_what_is_misread"
_WORDS = "test_its_words_are_what_the_classifier_reads"


def _board(name: str, old: str, new: str, test: str, file: str = "ch08_digit_board") -> Mutant:
    return Mutant(f"board-{name}", f"gdm_core/explorers/{file}.py", old, new, f"tests/test_digit_board.py::{test}")


MUTANTS = [
    _board("white-on-black", "image = tile(1 - x, COLUMNS)", "image = tile(x, COLUMNS)", _ORDER),
    _board("one-class-ten-times", "z.expand(10, 2), every)", "z.expand(10, 2), every * 0 + k)", _ORDER),
    _board("classes-turned-round", "z.expand(10, 2), every)", "z.expand(10, 2), every.flip(0))", _ORDER),
    _board("plane-upside-down", "generate(cells, k), k)", "generate(cells.flip(0), k), k)", _PLANE),
    _board("plane-with-axes-exchanged", "generate(cells, k), k)", "generate(cells.flip(1), k), k)", _PLANE),
    _board(
        "rows-for-columns",
        "i % COLUMNS * cell, i // COLUMNS * cell",
        "i // COLUMNS * cell, i % COLUMNS * cell",
        _FRAMES,
    ),
    _board("right-ones-marked", "wrong = (~right)", "wrong = right", _FRAMES),
    _board("surest-of-ten", "sure[k].item()", "sure.max().item()", _WORDS),
    _board("share-of-all-classes", "== every).double().mean(0))", "== every).double().mean().expand(10))", _WORDS),
    _board("obeyed-if-read-as-the-chosen", "int((read == every).sum())", "int((read == k).sum())", _WORDS),
    _board("judged-by-its-own-pictures", "pen(600, 1, device)", "pen(3000, 0, device)", _WORDS),
    _board("no-warning", '        views["board"].warning = warning\n', "", "test_far_from_the_prior_it_warns"),
    _board(
        "softmax-twice",
        "cross_entropy(self.net(x), y)",
        "cross_entropy(self(x), y)",
        "test_the_reader_learns_to_tell_classes_by_their_logarithms",
        "digit_gans",
    ),
    _board("article-of-what-was-asked", "if read[k] != 8", "if k != 8", "test_an_eight_takes_an_n"),
    _board("ring-of-half-the-prior", "shell(2)[2]", "shell(2)[1]", "test_the_ring_holds_95_of_100_draws_of_the_prior"),
]
