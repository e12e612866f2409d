"""Where the views of a still lie: pages that are full, in an order that is kept."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from gdm_core import widgets as w
from gdm_core.widgets import arrange, still
from gdm_core.widgets.arrange import GAP, arranged, justified
from gdm_core.widgets.stage import Stage

INNER = still.WIDTH - 2 * still.EDGE


def views(*rows, axes=0):
    """Views without words, (aspect, size) each; the first `axes` of them have axes."""
    plain = {"label": "", "marks": []}
    return [{"aspect": a, "size": s, "axes": i < axes, "at": i, **plain} for i, (a, s) in enumerate(rows)]


def height(column, wide, words):
    """As it comes when it is drawn: a plot under the other, each as wide as its axes leave it."""
    return words + sum((wide - (64 + 6 if v["axes"] else 0) - 6 * v["axes"]) / v["aspect"] for v in column)


@pytest.mark.parametrize("axes", [0, 1, 3])
def test_columns_fill_a_row_and_end_at_one_line(axes):
    """The first has a view, the second two, and words of other heights around them."""
    row = views((1.5, 3), (2.0, 1), (1.6, 1), axes=axes)
    row = [row[:1], row[1:]]
    for words in ([0.0, 0.0], [26.0, 140.0], [90.0, 30.0]):
        widths = justified(row, words, INNER)
        assert sum(widths) + GAP == pytest.approx(INNER)
        first, second = (height(c, wide, said) for c, wide, said in zip(row, widths, words))
        assert first == pytest.approx(second) and first > 200


def test_no_plot_is_taller_than_any_may_be_nor_without_room():
    (square,) = views((1.0, 1))
    assert justified([[square]], [50.0], INNER) == [arrange.TALLEST]
    first, second = views((0.5, 1), (0.7, 1))
    assert max(w / v["aspect"] for w, v in zip(justified([[first], [second]], [0, 0], INNER), (first, second))) <= 440
    assert min(justified([[first], [second]], [0.0, 2000.0], INNER)) >= 60  # a legend of many lines


EXPLORERS = [
    ("points, two charts", [(1.11, 3), (1.5, 0.8), (1.5, 1)], [[[0], [1, 2]]]),
    ("latents, three pictures, gallery", [(1, 2), (3, 1), (1, 1)], [[[0], [1, 2]]]),
    ("two squares", [(1, 1.6), (1, 1)], [[[0], [1]]]),
    ("three sheets, four results", [(1.25, 0.9)] * 3 + [(1, 0.6)] * 4, [[[0], [1], [2]], [[3], [4], [5], [6]]]),
    ("a strip, a board, a matrix", [(4, 5.5), (1.84, 1.84), (1.03, 1.03)], [[[0]], [[1], [2]]]),
]


@pytest.mark.parametrize("shapes, expected", [e[1:] for e in EXPLORERS], ids=[e[0] for e in EXPLORERS])
def test_pages_as_a_person_would_lay_them(shapes, expected):
    found = arranged(views(*shapes), INNER)
    assert [[[v["at"] for v in column] for column in row] for row in found] == expected


def test_the_best_of_all_ways_to_lay_the_page_is_found():
    """Every way to cut five views into columns and the columns into rows, weighed by hand."""
    shapes = [(1.1, 3), (1.5, 0.8), (3.0, 1), (1.0, 1), (4.0, 1.2)]
    given, best = views(*shapes), (math.inf, None)
    for columns in arrange.cuts(given):
        for rows in arrange.cuts(columns):
            total, tall = 0.0, 0.0
            for row in rows:
                said = [14.0 * (len(column) - 1) for column in row]
                widths = justified(row, said, INNER)
                if len(row) > 1 and min(widths) < arrange.NARROWEST:
                    total = math.inf
                tall += height(row[0], widths[0], said[0]) + 14
                total -= sum(v["size"] * math.log(wide**2 / v["aspect"]) for wide, c in zip(widths, row) for v in c)
            total += sum(v["size"] for v in given) * tall / (0.6 * INNER)
            best = min(best, (total, [[[v["at"] for v in column] for column in row] for row in rows]))
    assert [[[v["at"] for v in column] for column in row] for row in arranged(given, INNER)] == best[1]


def test_on_the_page_plots_reach_from_edge_to_edge_and_end_together():
    black = lambda aspect, size, label="": w.View(np.zeros((4, 4)), label=label, aspect=aspect, size=size)
    chart = w.View(None, [w.Lines([[0, 0], [1, 1]], label="a line")], (0, 1, 0, 1), label="two", axes=("x", "y"))
    stage = Stage(lambda c: {"a": black(1.0, 3.0, "one"), "b": black(3.0, 1.0), "c": chart})
    pixels = np.asarray(Image.open(io.BytesIO(stage.png(scale=1))).convert("RGB")).astype(int)
    ink = (pixels < 60).all(-1)
    sides = np.flatnonzero(ink[200])
    assert sides.min() == pytest.approx(still.EDGE, abs=1) and ink[120].nonzero()[0].max() > 770
    bottom = np.flatnonzero(ink[:, sides.min() + 5]).max()
    said = np.flatnonzero((pixels[:, 440:770] < 200).any((1, 2))).max()  # the last line of the chart's legend
    assert bottom == pytest.approx(said, abs=12)
