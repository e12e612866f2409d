"""Marks, axes and legends of the static picture, pixel by pixel: colors at known places, labels at the right ends."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdm_core import colors
from gdm_core import widgets as w
from gdm_core.widgets import marks, overlay, still
from gdm_core.widgets.marks import draw_axes, draw_legend, draw_marks, spell, ticks
from gdm_core.widgets.view import palette

EXTENT, SIZE = (0.0, 20.0, -2.0, 8.0), (400, 200)  # 20 pixels a unit both ways, y = 0 at row 160
RED, BLUE = (255, 0, 0), (0, 0, 255)


def drawn(*given, extent=EXTENT, size=SIZE, scale=1.0, rim=False):
    """RGBA pixels (height, width, 4) of marks on nothing."""
    layer = Image.new("RGBA", size)
    draw_marks(layer, [mark.encode() for mark in given], extent, scale, rim)
    return np.asarray(layer).astype(int)


def box(pixels, color=RED):
    """Left, right, top, bottom of what has this color, in pixels; right and bottom are the last."""
    rows, columns = np.nonzero((pixels[..., :3] == color).all(-1) & (pixels[..., 3] > 0))
    return columns.min(), columns.max(), rows.min(), rows.max()


def rgb(named):
    return tuple(int(named[i : i + 2], 16) for i in (1, 3, 5))


@pytest.mark.parametrize("extent, x, y", [(EXTENT, 5, 6), ((20, 0, -2, 8), 15, 6), ((0, 400, 200, 0), 100, 40)])
def test_a_dot_has_its_center_and_its_diameter(extent, x, y):
    found = box(drawn(w.Points([[x, y]], "#ff0000", size=10), extent=extent, scale=2.0))
    assert found == pytest.approx((90, 110, 30, 50), abs=1)


def test_each_dot_has_its_own_color_or_that_of_its_number():
    xy = [[2, 5], [6, 5], [10, 5]]
    cycle = drawn(w.Points(xy, np.array([1, 3, len(colors.CYCLE)])))
    mixed = drawn(w.Points(xy, np.array([[1, 0, 0], [0, 0.2, 1], [0, 0, 0]])))
    for k, (number, shade) in enumerate(((1, RED), (3, (0, 51, 255)), (0, (0, 0, 0)))):
        at = (60, 40 + 80 * k)
        assert tuple(cycle[at]) == (*rgb(colors.CYCLE[number]), 255) and tuple(mixed[at]) == (*shade, 255)
    for name in ("data", "latent", "model", "exact", "noise", "family", "accent", "encoder"):
        assert tuple(drawn(w.Points([[5, 5]], name))[60, 100, :3]) == rgb(getattr(colors, name.upper()))


def test_a_page_knows_every_color_by_its_name():
    """A name that the style sheet lacks would be drawn in black."""
    widgets = Path(w.__file__).parent
    sheet, script = ((widgets / name).read_text() for name in ("stage.css", "js/page.js"))
    for name in overlay.NAMED:
        assert f"--{name}: light-dark(#" in sheet and f'"{name}",' in script
    (cycle,) = re.findall(r"const CYCLE = (\[.*?\]);", script)
    assert [overlay.NAMED[name] for name in json.loads(cycle)] == list(colors.CYCLE)


def test_opacity_lies_over_what_was_there():
    below, above = w.Points([[5, 5]], "#ff0000", size=40), w.Points([[5, 5]], "#0000ff", size=10, alpha=0.25)
    assert drawn(above)[60, 100].tolist() == [*BLUE, 64]
    both = drawn(below, above)
    assert both[60, 100].tolist() == pytest.approx([191, 0, 64, 255], abs=1)
    assert both[60, 112].tolist() == [*RED, 255]  # what it does not cover stays


def test_curves_keep_their_own_points_and_colors():
    curves = [[1, 1], [4, 1]], [[6, 5], [8, 5], [12, 5]], [[14, 3], [18, 3]]
    pixels = drawn(w.Lines(list(curves), np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]]), width=4))
    assert box(pixels) == pytest.approx((20, 80, 138, 142), abs=2)
    assert box(pixels, BLUE) == pytest.approx((120, 240, 58, 62), abs=2)
    assert box(pixels, (0, 255, 0)) == pytest.approx((280, 360, 98, 102), abs=2)


def test_a_hole_in_a_curve_stays_open():
    hole = np.full((1, 2), np.nan)
    curve = np.concatenate([[[1, 5], [4, 5]], hole, [[8, 5], [12, 5]], hole, [[15, 5], [19, 5]]])
    row = drawn(w.Lines(curve, "#ff0000", width=4))[60, :, 3] > 0
    on = [(20, 80), (160, 240), (300, 380)]
    assert all(row[a + 1 : b - 1].all() for a, b in on)
    assert not any(row[a:b].any() for a, b in ((0, 18), (84, 157), (244, 297), (384, 400)))


def test_dashes_go_on_around_corners():
    """Three widths on, two and a half off, whatever points the curve has on the way."""
    x = np.array([1.0, 1.3, 2.9, 3.0, 7.7, 19.0])
    straight, many = (drawn(w.Lines(np.stack([v, 0 * v + 5], 1), "#ff0000", 4, dash=True)) for v in (x[[0, -1]], x))
    on = straight[60, :, 3] > 0
    assert on[20:380].mean() == pytest.approx(3 / 5.5, abs=0.06)  # Pillow draws both ends
    starts = np.flatnonzero(np.diff(on.astype(int)) == 1)
    assert np.diff(starts) == pytest.approx(np.full(len(starts) - 1, 22), abs=1)
    assert ((many[60, :, 3] > 0) != on).sum() <= 2 * len(x)


def test_the_area_under_a_curve_ends_at_zero():
    pixels = drawn(w.Lines([[2, 2], [10, 6], [18, 2]], "#ff0000", width=2, fill=True))
    inside = [(150, 50), (100, 200), (150, 200), (150, 350), (130, 70)]  # rows between the curve and y = 0, row 160
    outside = [(170, 200), (50, 100), (150, 30), (150, 370)]
    assert all(pixels[at].tolist() == [*RED, 46] for at in inside)
    assert all(pixels[at][3] == 0 for at in outside)
    assert not (drawn(w.Lines([[2, 2], [10, 6], [18, 2]], "#ff0000", width=2))[..., 3] == 46).any()


@pytest.mark.parametrize("delta", [(6, 0), (-6, 0), (0, 4), (0, -4)])
def test_an_arrow_has_its_head_at_its_tip(delta):
    dx, dy = delta
    pixels = drawn(w.Arrows([[10, 3]], [delta], "#ff0000", width=3))
    left, right, top, bottom = box(pixels)
    x, y = 200 + 20 * dx, 100 - 20 * dy  # the tip
    assert (left, right) == pytest.approx((min(200, x), max(200, x)), abs=9 if dx == 0 else 3)
    assert (top, bottom) == pytest.approx((min(100, y), max(100, y)), abs=9 if dy == 0 else 3)
    across = (pixels[..., 3] > 0).sum(0 if dx else 1)
    near = lambda at, step: across[at + 6 * step]
    start, step = (200, np.sign(dx)) if dx else (100, -np.sign(dy))
    assert near(start, step) <= 5 and near(x if dx else y, -step) >= 7


def test_the_head_of_a_short_arrow_is_no_longer_than_the_arrow():
    left, right, top, bottom = box(drawn(w.Arrows([[10, 3]], [[0.5, 0]], "#ff0000", width=8)))
    assert left >= 196 and bottom - top < 18


def test_an_arrow_of_no_length_leaves_no_ink():
    assert not drawn(w.Arrows([[10, 3]], [[0, 0.01]], "#ff0000"))[..., 3].any()


def test_an_ellipse_touches_the_box_of_its_standard_deviations():
    """The level set of radius r reaches r standard deviations along each axis, and r a along an eigenvector."""
    cov = np.array([[4.0, 1.2], [1.2, 1.0]])
    for radius in (1.0, 1.5):
        left, right, top, bottom = box(drawn(w.Ellipses([[10, 3]], [cov], (radius,), "#ff0000", width=1)))
        reach = 20 * radius * np.sqrt(np.diag(cov))
        assert ((right - left) / 2, (bottom - top) / 2) == pytest.approx(reach, abs=2)
        assert ((right + left) / 2, (bottom + top) / 2) == pytest.approx((200, 100), abs=1)
    pixels = drawn(w.Ellipses([[10, 3]], [cov], (1.0,), "#ff0000", width=3))
    values, vectors = np.linalg.eigh(cov)
    for value, (dx, dy) in zip(values, vectors.T):
        assert pixels[round(100 - 20 * value**0.5 * dy), round(200 + 20 * value**0.5 * dx), 3]


def test_ellipses_have_the_cycle_and_both_radii():
    pixels = drawn(w.Ellipses([[4, 3], [14, 3]], np.tile(np.eye(2), (2, 1, 1)), (1.0, 2.0), width=3))
    for k, x in enumerate((4, 14)):
        for reach in (1, 2):
            assert tuple(pixels[100, 20 * (x + reach), :3]) == rgb(colors.CYCLE[k])


def test_bars_stand_around_their_place_on_their_base():
    found = box(drawn(w.Bars([5], [3.0], 2.0, 1.0, "#ff0000")))
    assert found == pytest.approx((80, 120, 80, 140), abs=1)  # x from 4 to 6, y from 1 to 4
    assert box(drawn(w.Bars([5], [-1.0], 2.0, 0.0, "#ff0000"))) == pytest.approx((80, 120, 160, 180), abs=1)


@pytest.mark.parametrize(
    "anchor, across, down",
    [("center", 0, 0), ("left", 1, 0), ("right", -1, 0), ("above", 0, -1), ("below", 0, 1)],
)
def test_words_lie_on_the_side_that_they_are_told(anchor, across, down):
    left, right, top, bottom = box(drawn(w.Text([[10, 3]], ["HHH"], "#ff0000", size=20, anchor=anchor)))
    for low, high, at, side in ((left, right, 200, across), (top, bottom, 100, down)):
        if side == 0:
            assert (low + high) / 2 == pytest.approx(at, abs=3)
        else:
            assert 4 < side * ((low if side > 0 else high) - at) < 14


def test_a_rim_parts_marks_from_a_picture_below():
    for mark in (w.Points([[10, 3]], "#ff0000", 10), w.Lines([[8, 3], [12, 3]], "#ff0000", 4)):
        for rim in (False, True):
            column = drawn(mark, rim=rim, scale=2.0)[:, 200]
            white = (column[:, :3] == 255).all(1) & (column[:, 3] == 230)
            assert bool(white.any()) == rim
    assert (drawn(w.Text([[10, 3]], ["H"], "#ff0000", 30), rim=True)[..., :3] == 255).all(-1).any()


# Axes and legends


class Sheet(still.Sheet):
    """A page that remembers what was written where."""

    def __init__(self, width=400, scale=1.0):
        super().__init__(width, scale)
        self.said = {}

    def text(self, x, y, words, size=15, color=still.INK, bold=False, anchor="la"):
        self.said[words] = (x, y, anchor)
        super().text(x, y, words, size, color, bold, anchor)

    def pixels(self):
        return np.asarray(self.image).astype(int)


@pytest.mark.parametrize(
    "low, high, count, expected",
    [
        (-3, 3, 4, [-2, 0, 2]),
        (3, -3, 4, [-2, 0, 2]),
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 60, 8, [0, 10, 20, 30, 40, 50, 60]),
        (0, 7, 1.2, [0, 5]),
        (0.11, 0.29, 3, [0.15, 0.2, 0.25]),
        (98, 103, 1, [98, 100, 102]),
    ],
)
def test_ticks_are_round_numbers_inside(low, high, count, expected):
    found = ticks(low, high, count)
    assert len(found) >= 2 and all(min(low, high) <= v <= max(low, high) for v in found)
    if expected:
        assert found == pytest.approx(expected)


def view(**more):
    return {"extent": [0.0, 10.0, -4.0, 4.0], "axes": ["step", "nats"], "marks": [], **more}


@pytest.mark.parametrize("extent", [[0.0, 10.0, -4.0, 4.0], [0.0, 10.0, 4.0, -4.0]])
def test_numbers_stand_at_their_places_and_names_on_their_own_axes(extent):
    sheet = Sheet()
    draw_axes(sheet, view(extent=extent), 60, 20, 300, 160, 54)
    numbers = {words: at for words, at in sheet.said.items() if words != "step"}
    for words, (x, y, anchor) in numbers.items():
        value = float(words.replace("−", "-"))
        if anchor == "ma":  # below the plot
            assert (x, y) == pytest.approx((60 + 30 * value, 187))
        else:
            assert anchor == "rm" and x == 52
            assert y == pytest.approx(20 + (4 - value if extent[3] > 0 else 4 + value) * 20)
    assert {"−4", "4", "10"} <= numbers.keys() and "nats" not in sheet.said
    assert sheet.said["step"] == (210, 205, "ma")
    assert spell(-0.25) == "−0.25"


def test_the_name_of_the_upright_axis_is_its_own_and_reads_upwards():
    for words, side in (("MMMM ....", 1), (".... MMMM", -1)):
        sheet = Sheet()
        seen = view(axes=["step", words])
        room, lines = marks.beside(sheet, seen, 160)
        assert lines == [words] and room > 14 + marks.LINE
        draw_axes(sheet, seen, 60, 20, 300, 160, 54)
        dark = (sheet.pixels()[20:180, 7:26].sum(-1) < 300).sum(1)  # the strip beside the numbers, row by row
        assert side * (dark @ np.arange(160) / dark.sum() - 80) > 5  # where the heavy letters are: first ones lowest


def test_axes_without_names_have_numbers_alone():
    sheet = Sheet()
    draw_axes(sheet, view(axes=True), 60, 20, 300, 160, 54)
    assert sheet.said and all(words.replace("−", "-").lstrip("-").isdigit() for words in sheet.said)


def test_a_warning_in_two_lines_stays_in_its_box_and_none_lies_over_another():
    sheet = Sheet()
    end = still.draw_warning(sheet, {"warning": "far out, and so far that no line holds it"}, 20, 40, 160)
    lines = [y for _, y, _ in sheet.said.values()]
    inked = (sheet.pixels() == (154, 52, 18)).all(-1).any(1)
    assert len(lines) >= 2 and (np.diff(lines) >= 15).all() and lines[0] >= 46 and lines[-1] + 15 <= end
    assert not inked[round(lines[1]) - 1 : round(lines[1]) + 1].any()
    assert still.draw_warning(sheet, {"warning": ""}, 20, 40, 160) == 40


def test_a_color_scale_runs_from_its_low_end_to_its_high_end():
    sheet, colored = Sheet(), palette("cividis")
    scaled = view(palette=colored, scale={"low": "−10", "high": "0", "label": "nats"})
    assert draw_legend(sheet, scaled, 20, 40, 360) == 61
    (low, _, left), (high, _, _) = sheet.said["−10"], sheet.said["0 nats"]
    assert left == "lm" and low == 20
    ramp = sheet.pixels()[48, int(low) : int(high)]
    start, end = (np.flatnonzero((np.abs(ramp - shade) <= 3).all(1)) for shade in colored[[0, -1]].astype(int))
    assert start[0] < 40 < end[-1] and end[-1] - start[0] == pytest.approx(80, abs=2)
    assert high - (20 + end[-1]) == pytest.approx(7, abs=2)


def test_a_legend_has_a_sample_of_each_labeled_mark():
    line = [[0, 0], [1, 1]]
    given = [
        w.Points([[0, 0]], "#ff0000", label="dots"),
        w.Lines(line, "#0000ff", label="line"),
        w.Lines(line, "#00ff00", dash=True, label="dashes"),
        w.Ellipses([[0, 0]], [np.eye(2)], color="#ff00ff", label="rings"),
        w.Points([[0, 0]], "#000001"),
    ]
    sheet = Sheet(width=900)
    below = draw_legend(sheet, view(marks=[m.encode() for m in given]), 20, 40, 800)
    pixels, samples = sheet.pixels(), {}
    for mark in given[:4]:
        x, y, anchor = sheet.said[mark.label]
        samples[mark.label] = (pixels[40:60, int(x) - 25 : int(x) - 2] == rgb(mark.color)).all(-1)
        assert samples[mark.label].any() and anchor == "lm" and y == 48
    filled = {label: sample[8].sum() for label, sample in samples.items()}  # along the middle
    assert filled["line"] == 19 and filled["dashes"] == 15 and filled["rings"] <= 8 < filled["dots"]
    assert len(sheet.said) == 4 and below == 61
    narrow = Sheet()
    assert draw_legend(narrow, view(marks=[m.encode() for m in given]), 20, 40, 160) == 61 + 21
    assert max(x for x, *_ in narrow.said.values()) < 180
    assert draw_legend(Sheet(), view(), 20, 40, 300) == 32  # nothing to say takes no room
