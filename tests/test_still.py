"""What a stage leaves behind: PNG, words, GIF, code."""

import base64
import io

import numpy as np
import pytest
from kernel_page import levels, staged
from PIL import Image

from gdm_core import widgets as w
from gdm_core.widgets import still
from gdm_core.widgets.stage import Stage, literal


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
