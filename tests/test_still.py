"""What a stage leaves behind: PNG, words, GIF, code."""

import base64
import io

import numpy as np
import pytest
from kernel_page import levels, staged
from PIL import Image

from gdm_core import colors
from gdm_core import widgets as w
from gdm_core.widgets import arrange, fonts, still
from gdm_core.widgets.stage import Stage, literal
from gdm_core.widgets.view import palette


def test_png_shows_picture_marks_and_is_the_same_every_time():
    stage = staged()
    data = stage.png(scale=1)
    assert data == staged().png(scale=1) and data != stage.set(level=50).png(scale=1)
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    red = np.argwhere((image == [255, 0, 0]).all(-1))
    gray = np.argwhere((image == 100).all(-1))
    assert len(gray) > 300**2 and gray[:, 1].min() > red[:, 1].max()
    side = np.ptp(gray[:, 0]) + 1  # the two plots stand side by side, of one size
    top, left = gray[:, 0].min(), red[:, 1].mean()
    assert np.ptp(red[:, 0]) + 1 == pytest.approx(20, abs=1)
    assert red[:, 0].mean() - top == pytest.approx(side / 4, abs=2)  # y = 1 is a quarter from the top of [-2, 2]
    assert left - still.EDGE == pytest.approx(0.75 * side, abs=2)


def test_still_draws_every_mark_and_every_handle():
    """Each kind leaves ink in its own color where it should."""
    marks = {
        "lines": w.Lines([[-2, 0], [2, 0]], "#ff0000", width=6),
        "fill": w.Lines([[-2, 1], [2, 1]], "#ff0000", width=6, fill=True),
        "dash": w.Lines([[-2, 0], [2, 0]], "#ff0000", width=6, dash=True),
        "gap": w.Lines([[-2, 0], [np.nan, 0], [1, 0], [2, 0]], "#ff0000", width=6),
        "arrows": w.Arrows([[-1, 0]], [[2, 0]], "#ff0000", width=6),
        "ellipses": w.Ellipses([[0, 0]], [np.eye(2)], (1.0,), "#ff0000", width=6),
        "bars": w.Bars([0], [1.0], 2.0, -0.5, "#ff0000"),
        "text": w.Text([[0, 0]], ["MM"], "#ff0000", size=60),
    }
    inked = {}
    for name, mark in marks.items():
        stage = Stage(lambda c, mark=mark: w.View(None, [mark], (-2, 2, -2, 2), label="", aspect=1.0))
        image = np.asarray(Image.open(io.BytesIO(stage.png(scale=1))).convert("RGB")).astype(int)
        inked[name] = (image == [255, 0, 0]).all(-1).mean(0).nonzero()[0]
        assert len(inked[name]), name
    width = np.ptp(inked["lines"])
    assert np.ptp(inked["arrows"]) == pytest.approx(width / 2, rel=0.05)
    assert np.ptp(inked["bars"]) == pytest.approx(width / 2, rel=0.05)
    assert np.ptp(inked["ellipses"]) == pytest.approx(width / 2, rel=0.06)
    assert len(inked["dash"]) < 0.75 * width and len(inked["gap"]) == pytest.approx(width / 4, rel=0.1)


def test_words_and_mimebundle_are_deterministic_and_carry_a_picture():
    stage = staged()
    data, metadata = stage._repr_mimebundle_()
    assert data["text/plain"] == "Scene: level 100. said"
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert metadata["image/png"]["width"] == 800 and image.width == 800 * still.SHARP
    assert "application/vnd.jupyter.widget-view+json" in data and "text/html" not in data


def test_the_still_of_a_replay_is_small_and_says_the_same(monkeypatch):
    monkeypatch.setenv("GDM_DRAFT", "1")
    data, metadata = staged()._repr_mimebundle_()
    assert data["text/plain"] == "Scene: level 100. said" and metadata["image/png"]["width"] == 800
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).width == 400


def test_html_in_outputs_only_when_asked(monkeypatch):
    monkeypatch.setenv("GDM_EXPORT", "1")
    assert "gdm-export" in staged(sampled={"level": 3})._repr_mimebundle_()[0]["text/html"]


def test_gif_has_a_frame_for_every_state():
    def draw(controls):
        return np.full((4, 4), 20 * controls["t"], np.uint8)

    moving = Image.open(io.BytesIO(Stage(draw, [w.Timeline("t", 7, fps=5)]).gif(width=200)))
    assert moving.n_frames == 7 and moving.info["duration"] == 200
    centers = []
    for k in range(7):
        moving.seek(k)
        frame = moving.convert("L")
        centers.append(frame.getpixel((60, 40)))
    np.testing.assert_allclose(centers, 20 * np.arange(7), atol=3)
    with pytest.raises(ValueError, match="stage with a timeline"):
        levels().gif()


def test_gif_has_one_size_however_many_lines_its_words_need():
    said = lambda c: "a read-out that grows " * (1 + 8 * c["t"])
    stage = Stage(lambda c: np.zeros((4, 4)), [w.Timeline("t", 2)], describe=said)
    moving = Image.open(io.BytesIO(stage.gif(width=400)))
    first = moving.size
    moving.seek(1)
    assert moving.size == first
    last = np.asarray(moving.convert("L"))
    assert first == Image.open(io.BytesIO(stage.set(t=1).png(scale=0.5))).size  # none is shrunk
    assert (last[-6:] > 250).all() and (last < 160).any(1)[-30:].any()  # all lines are there, then the edge


def test_code_rebuilds_the_stage():
    source = "from tests_of_the_stage import staged\nstaged()"
    stage = staged(source=source)
    assert stage.code() == source
    line = stage.set(level=42).code().splitlines()[-1]
    assert eval(line, {"staged": staged}).state == stage.state
    odd = Stage(lambda c: np.zeros((2, 2)), [w.Button("new noise"), w.Pad("z")], source="make()").set({"new noise": 2})
    assert odd.code() == "make().set({'new noise': 2})"
    assert literal([1e-05, 1 / 3, "it's"]) == '[1e-5, 0.3333, "it\'s"]'


def test_a_warning_is_written_below_what_it_judges():
    def drawn(warning):
        stage = w.Stage(lambda c: w.View(np.zeros((4, 4), np.uint8), label="", warning=warning), [])
        pixels = np.asarray(Image.open(io.BytesIO(stage.png())).convert("L"))
        return pixels.shape[0], (pixels[:, 60:600] < 30).all(1).sum()

    calm, warned = drawn(""), drawn("far out: no code lies here")
    assert calm[1] > 700 and calm[1] - warned[1] <= 12  # the frame is wider
    assert warned[0] > calm[0] + 30


def test_words_leave_out_a_training_that_has_not_begun_and_write_minus_signs():
    trainer = w.Trainer(lambda: iter(range(3)), every=0)
    controls = [w.Slider("z", -1.0, 1.0, value=-0.25), w.Timeline("checkpoint", trainer.count, follow=True)]
    stage = Stage(
        lambda c: w.Frame({"v": np.zeros((4, 4), np.uint8)}, "log p -2.5"), controls, title="T", trainer=trainer
    )
    assert stage.words() == "T: z −0.25. log p −2.5"


# The page, pixel by pixel


def page(views, controls=(), scale=1, **options):
    """Pixels of a stage that always shows these views."""
    stage = Stage(lambda c: views, controls, **options)
    return np.asarray(Image.open(io.BytesIO(stage.png(scale=scale))).convert("RGB")).astype(int)


def where(pixels, color, off=0):
    """Rows and columns that have this color."""
    shade = [int(color[i : i + 2], 16) for i in (1, 3, 5)] if isinstance(color, str) else color
    return np.nonzero((np.abs(pixels - shade) <= off).all(-1))


def held(control, state, extent=(0.0, 20.0, -2.0, 8.0), size=(400, 200)):
    """The handles of a control on nothing, 20 pixels a unit."""
    layer = Image.new("RGBA", size)
    still.hold(layer, control, state, extent, 1.0)
    return np.asarray(layer).astype(int)


def middle(pixels, color):
    """Mean row and column of a color."""
    rows, columns = where(pixels[..., :3], color)
    return rows.mean(), columns.mean()


def test_a_field_has_the_low_color_at_its_least_value_and_crisp_squares_unless_smooth():
    ramp = np.arange(4.0)[None].repeat(2, 0)
    view = lambda **more: {"v": w.View(ramp, colormap="cividis", label="", aspect=2.0, **more)}
    crisp, smooth = page(view()), page(view(smooth=True))
    low, high = palette("cividis")[[0, -1]].astype(int)
    first, last = where(crisp, low), where(crisp, high)
    assert first[1].max() < last[1].min() and first[1].min() <= still.EDGE + 2
    side = np.ptp(first[1]) + 1
    assert side == pytest.approx(np.ptp(last[1]) + 1, abs=3) and len(first[0]) > 0.9 * side**2
    assert len(where(smooth, low, 3)[0]) < 0.9 * len(first[0])  # neighbors run into each other


def test_a_pad_and_handles_lie_where_they_are():
    pad = w.Pad("z", (0, 20, -2, 8), on="v")
    assert middle(held(pad, [5.0, 6.0]), colors.LATENT) == pytest.approx((40, 100), abs=1)
    assert middle(held(pad, [5.0, 6.0], (20.0, 0.0, 8.0, -2.0)), colors.LATENT) == pytest.approx((160, 300), abs=1)
    points = w.Handles("p", [[5, 6], [15, 0]], "v", labels=["", ""])
    for k, at in enumerate(((40, 100), (160, 300))):
        assert middle(held(points, points.value), colors.CYCLE[k]) == pytest.approx(at, abs=1)
    named = w.Handles("p", [[5, 6]], "v", labels=["W"], color="exact")
    pixels = held(named, named.value)
    assert middle(pixels, colors.EXACT) == pytest.approx((40, 100), abs=2)
    plain = held(w.Handles("p", [[5, 6]], "v", labels=["."], color="exact"), named.value)
    assert len(where(pixels[30:50, 90:110, :3], "#ffffff")[0]) > len(where(plain[30:50, 90:110, :3], "#ffffff")[0])


def test_gaussians_have_their_grips_on_the_ellipse_that_is_drawn():
    """Two standard deviations along the axes of the covariance, whichever way it is turned."""
    angle, along, across = 0.5, 2.0, 0.8
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    control = w.Gaussians("g", [[10, 3]], [turn @ np.diag([along**2, across**2]) @ turn.T], "v", labels=[""])
    pixels = held(control, control.value)
    inked = pixels[..., 3] > 0
    for direction, length in ((turn[:, 0], along), (turn[:, 1], across)):
        for sign in (1, -1):  # the ellipse passes on both sides, of the eigenvector's two signs one has the grip
            x, y = 200 + sign * 40 * length * direction[0], 100 - sign * 40 * length * direction[1]
            assert inked[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].any()
    shades = {tuple(p) for p in pixels[inked][:, :3].tolist()}
    assert tuple(int(colors.COMPONENTS[0][i : i + 2], 16) for i in (1, 3, 5)) in shades  # of a mixture's components
    grips = [
        (round(100 - 20 * 2 * length * np.sin(a)), round(200 + 20 * 2 * length * np.cos(a)))
        for length, a in zip(control.value[0][2:4], (control.value[0][4], control.value[0][4] + np.pi / 2))
    ]
    for row, column in grips:
        assert inked[row - 4 : row + 5, column - 4 : column + 5].all()


def test_each_gaussian_has_the_color_of_its_component():
    control = w.Gaussians("g", [[5, 3], [15, 3]], [0.25 * np.eye(2)] * 2, "v", labels=["", ""])
    pixels = held(control, control.value)[..., :3]
    for k, x in enumerate((100, 300)):
        own, other = (len(where(pixels[:, x - 60 : x + 60], colors.COMPONENTS[i])[0]) for i in (k, 1 - k))
        assert own > 300 and other == 0  # middle, ellipse and both grips


def test_the_chosen_tile_is_framed():
    tiles = w.Tiles("t", "v", rows=2, columns=5)
    rows, columns = where(held(tiles, 7)[..., :3], colors.ACCENT)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((100, 199, 160, 240), abs=1)


def test_paint_covers_what_was_painted():
    brush = w.Brush("m", 2, 4, value=[[0, 1, 0, 0], [0, 0, 0, 0.5]], on="v")
    alpha = held(brush, brush.value)[..., 3]
    assert [alpha[r, c] for r, c in ((50, 50), (50, 150), (150, 350), (150, 150))] == [0, 190, 95, 0]


def test_what_waits_for_a_choice_is_drawn_while_it_is_made():
    by, points = (
        w.Choice("by", ["points", "none"]),
        w.Handles("h", [[1, 1]], on="v", color="exact", when=("by", "points")),
    )
    stage = w.Stage(lambda c: {"v": w.View(np.zeros((4, 4), np.uint8), extent=(0, 2, 0, 2))}, [points, by])
    green = lambda: len(where(np.asarray(Image.open(io.BytesIO(stage.png(1.0))).convert("RGB")), colors.EXACT)[0])
    assert green() > 100 and "h (1.00, 1.00)" in stage.words()
    assert stage.set(by="none") and green() == 0 and "h (1.00" not in stage.words()


def test_a_pad_of_its_own_has_a_cross_and_the_names_of_its_axes():
    own = still.own(w.Pad("z", (-1, 3, 0, 2), labels=("right", "up")))
    cross, across, upright = own["marks"]
    np.testing.assert_allclose(cross["xy"].reshape(2, 2, 2), [[[-1, 1], [3, 1]], [[1, 0], [1, 2]]])
    assert (own["extent"], own["aspect"]) == ([-1.0, 3.0, 0.0, 2.0], 2.0)
    assert across["text"] == ["right"] and across["anchor"] == "right" and across["xy"][0, 0] == 3
    assert upright["text"] == ["up"] and upright["anchor"] == "left" and upright["xy"][0].tolist() == [1, 1.88]
    sheet = still.own(w.Brush("m", 4, 8))
    assert sheet["extent"] == [0.0, 8.0, 4.0, 0.0] and sheet["aspect"] == 2.0 and not sheet["marks"]


def test_a_control_lies_on_its_own_view_and_pads_of_their_own_come_first():
    views = {"a": w.View(np.zeros((8, 8)), label=""), "b": w.View(np.zeros((8, 8)), label="")}
    pixels = page(views, [w.Handles("h", [[4, 4]], "b", color="#ff0000", labels=[""])])
    columns = where(pixels, "#ff0000")[1]
    black = where(pixels, "#000000")[1]
    assert columns.min() > (black.min() + black.max()) / 2
    assert np.ptp(columns) + 1 == pytest.approx(22 - 3, abs=4)
    pixels = page({"v": w.View(np.zeros((8, 8)), label="")}, [w.Pad("z", 3.0)])
    knob, picture = where(pixels, colors.LATENT)[1], where(pixels, "#000000")[1]
    assert len(knob) and knob.max() < picture.min()


def test_marks_on_a_picture_have_a_rim():
    mark = w.Points([[4, 4]], "#0000ff", 20)
    pixels = page(w.View(np.zeros((8, 8)), [mark], (0, 8, 8, 0), label=""))
    row, column = map(round, middle(pixels, "#0000ff"))
    beyond = pixels[row, column + 8 : column + 16].min(-1)
    assert beyond.max() > 60 and beyond[-1] == 0  # light between the blue dot and the black picture


def test_what_the_drawing_moved_is_where_the_handle_is():
    """A frame may move a control itself: the picture shows it there, and says so."""
    draw = lambda c: w.Frame({"v": w.View(np.zeros((8, 8)), label="")}, controls={"z": (6.0, 2.0)})
    stage = Stage(draw, [w.Pad("z", (0, 8, 8, 0), on="v")])
    pixels = np.asarray(Image.open(io.BytesIO(stage.png(scale=1))).convert("RGB")).astype(int)
    black, knob = where(pixels, "#000000"), where(pixels, colors.LATENT)
    left, top, side = black[1].min(), black[0].min(), np.ptp(black[1]) + 1
    assert (knob[1].mean() - left, knob[0].mean() - top) == pytest.approx((0.75 * side, 0.25 * side), abs=2)


def test_plots_of_a_row_align_with_room_for_the_widest_numbers(monkeypatch):
    seen = []
    draw_view = still.draw_view
    monkeypatch.setattr(
        still, "draw_view", lambda *given, **rest: seen.append((given[2], given[-1])) or draw_view(*given, **rest)
    )
    chart = lambda high: w.View(None, [], (0, 1, 0, high), label="", axes=("x", "nats"))
    page({"a": chart(1.0), "b": chart(12345.0)})
    (left, room), (_, other) = seen
    assert room == other > arrange.AXES[0] and left == still.EDGE + room


def test_lines_break_at_the_width_and_stand_apart():
    face = fonts.font(20)
    lines = fonts.broken("one two three four five six seven", 120, face)
    assert len(lines) > 2 and " ".join(lines) == "one two three four five six seven"
    assert all(face.getlength(line) <= 120 for line in lines)
    assert all(face.getlength(f"{a} {b.split()[0]}") > 120 for a, b in zip(lines, lines[1:]))
    sheet = still.Sheet(200, 1.0)
    assert sheet.wrapped(0, 10, 120, " ".join(lines), 20) == pytest.approx(10 + 1.45 * 20 * len(lines))
    assert fonts.font(20, True).getlength("words") > face.getlength("words")


def test_a_page_keeps_what_is_on_it_when_it_grows():
    sheet = still.Sheet(100, 2.0)
    sheet.rectangle(10, 20, 40, 30, fill="#ff0000")
    sheet.room(900)
    rows, columns = where(np.asarray(sheet.image).astype(int), "#ff0000")
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (20, 99, 40, 99)
    sheet.text(0, 2000, "far down")
    assert sheet.cut(2100).size == (200, 4200)


def test_words_have_every_control_but_its_buttons_and_the_picture_has_the_spoken_ones(monkeypatch):
    controls = [
        w.Slider("level", 0, 8, step=1),
        w.Toggle("on"),
        w.Button("again", value=2),
        w.Choice("kind", ["a", "b"]),
    ]
    stage = Stage(lambda c: np.zeros((2, 2)), controls, title="T", describe=lambda c: "said -1")
    assert stage.words() == "T: level 4, on off, kind a. said −1"
    said = []
    monkeypatch.setattr(still, "minus", lambda words: said.append(words) or words)
    plain = Stage(lambda c: np.zeros((2, 2)), [w.Button("again", value=2)], title="T", describe=lambda c: "said -1")
    tall = [Image.open(io.BytesIO(s.png(scale=1))).height for s in (plain, stage)]
    assert said == ["said -1", "said -1", "level 4", "on off", "kind a"]
    assert tall[1] - tall[0] == pytest.approx(1.45 * 14 + 2, abs=2)  # one line for three controls, none for the button


def test_a_gif_shows_the_state_of_each_frame_and_its_page(monkeypatch):
    """The read-out, the picture and the words of the timeline belong to the same state; the last state is there."""
    seen = []

    def draw(controls):
        seen.append(controls["t"])
        return w.View(None, [w.Lines([[0, 0], [1, controls["t"]]])], (0, 1, 0, 4), axes=True, label="")

    stage = Stage(draw, [w.Timeline("t", 5), w.Timeline("other", 3)])
    seen.clear()
    moving = Image.open(io.BytesIO(stage.gif("t", width=200)))  # so narrow that a hairline is less than a pixel
    assert seen == [0, 1, 2, 3, 4] and moving.n_frames == 5
    words = []
    monkeypatch.setattr(still, "minus", lambda s: words.append(s) or s)
    stage.gif("t", width=200)
    assert [v for v in words if v.startswith("t ")] == [f"t {k}" for k in range(5)]
    long = Stage(lambda c: np.zeros((2, 2)), [w.Timeline("t", 400)])
    long.draw = lambda c: seen.append(c["t"]) or np.zeros((2, 2))
    seen.clear()
    long.gif(width=40)
    assert len(seen) == 120 and seen[0] == 0 and seen[-1] == 399


def test_a_warned_view_has_the_frame_of_a_warning_and_room_for_its_words():
    said = lambda warning: page({"v": w.View(np.zeros((4, 4)), label="", warning=warning)})
    calm, warned, longer = said(""), said("far out"), said("far out of what was seen " * 4)
    assert not len(where(calm, colors.MODEL)[0]) and len(where(warned, colors.MODEL)[0]) > 2 * 4 * 300  # and broad
    assert len(calm) + 25 < len(warned) < len(longer)
