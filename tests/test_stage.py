"""The kernel's half of the stage: controls, frames, messages, threads, files; no browser."""

import base64
import gc
import io
import itertools
import math
import threading
import time
import tracemalloc
import weakref

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import nn

from gdm_core import widgets as w
from gdm_core.widgets import overlay, still
from gdm_core.widgets.frames import pack
from gdm_core.widgets.stage import Stage, in_words, literal
from gdm_core.widgets.view import palette, picture


class Page:
    """What a page does: sends requests, keeps the answers."""

    def __init__(self, stage):
        self.stage, self.sent, self.n = stage, [], 0
        stage.send = lambda content, buffers=None: self.sent.append((content, list(buffers or [])))

    def draw(self, state=None, **rest):
        self.n += 1
        message = {"kind": "draw", "view": "a", "n": self.n, "state": state or {}, **rest}
        self.stage._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
        return self.sent[-1]

    def picture(self, state=None, **rest):
        """The first view's image of an answer, as an array."""
        content, buffers = self.draw(state, fresh=True, **rest)
        frame = content["frame"]
        told = frame["arrays"][frame["views"][0]["image"]["array"]]
        return np.frombuffer(buffers[told["buffer"]], np.uint8).reshape(told["shape"])


def gray(controls):
    """An image that shows the slider: all pixels equal to it."""
    return np.full((4, 6), controls["level"], np.uint8)


def levels(**options):
    return Stage(gray, [w.Slider("level", 0, 255, value=7, step=1)], **options)


# Controls


def test_slider_clamps_rounds_and_refuses():
    whole, real = w.Slider("a", 0, 10, step=2), w.Slider("b", 0.0, 1.0)
    assert [whole.clean(v) for v in (-3, 99, 4.6)] == [0, 10, 5]
    assert isinstance(whole.clean(4.6), int)
    assert real.clean("0.25") == 0.25 and real.value == 0.5
    assert w.Slider("c", 1e-4, 1.0, log=True).value == pytest.approx(1e-2)  # the middle of a ratio
    for wrong in (math.nan, math.inf, None, "x", [1]):
        with pytest.raises(ValueError, match="needed a finite number for b"):
            real.clean(wrong)
    with pytest.raises(ValueError, match="low < high"):
        w.Slider("d", 1.0, 1.0)
    with pytest.raises(ValueError, match="low > 0"):
        w.Slider("d", 0.0, 1.0, log=True)
    with pytest.raises(ValueError, match="a step > 0 for slider 'd'"):
        w.Slider("d", 0.0, 1.0, step=0)


def test_other_controls_clean_what_comes_from_a_page():
    pad = w.Pad("z", limit=(-1, 3, 10, 0))  # an axis may point down
    assert pad.value == [1.0, 5.0] and pad.clean([9, -4]) == [3.0, 0.0] and pad.value_of([1.0, 2.0]) == (1.0, 2.0)
    with pytest.raises(ValueError, match="two numbers"):
        pad.clean([1.0])
    choice = w.Choice("digit", np.arange(3))
    assert choice.clean(np.int64(2)) == 2 and choice.spec()["options"] == [0, 1, 2]
    with pytest.raises(ValueError, match="try 'moons'"):
        w.Choice("data", ["moons", "rings"]).clean("mons")
    with pytest.raises(ValueError, match="True or False"):
        w.Toggle("exact").clean(1)
    with pytest.raises(ValueError, match="integer"):
        w.Button("go").clean(-1)
    with pytest.raises(ValueError, match="two axes"):
        w.Pad("z", labels="xy")
    with pytest.raises(ValueError, match="fps > 0"):
        w.Timeline("t", 5, fps=0)
    line = w.Timeline("t", 5)
    assert [line.clean(v) for v in (-1, 3, 77)] == [4, 3, 4]


def test_timeline_that_follows_stays_on_the_newest():
    length = [3]
    line = w.Timeline("t", lambda: length[0], value=-1, follow=True)
    assert line.value == -1 and line.value_of(-1) == 2
    length[0] = 9
    assert line.value_of(6) == 6
    length[0] = 4
    assert line.value_of(6) == 3  # thrown away by a restart
    length[0] = 9
    assert line.value_of(line.clean(-1)) == 8 and line.clean(8) == -1 and line.clean(4) == 4


def test_gaussians_keep_means_and_covariances():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 2, 2))
    means, covs = rng.normal(size=(5, 2)), root @ root.transpose(0, 2, 1) + 0.1 * np.eye(2)
    control = w.Gaussians("g", means, covs, on="map")
    back = control.value_of(control.value)
    np.testing.assert_allclose(back.means, means, rtol=1e-14)
    np.testing.assert_allclose(back.covs, covs, rtol=1e-12)
    again = control.clean(back)  # what a press returns
    np.testing.assert_allclose(control.value_of(again).covs, covs, rtol=1e-12)
    row = control.clean([[0, 0, 0.0, 3.0, 7.0]] + control.value[1:])[0]
    assert row[2] == control.smallest and row[4] == pytest.approx(7.0 - math.tau)
    turned = w.Gaussians("g", [(0, 0)], [np.eye(2)], on="m").value_of([[0, 0, 2.0, 1.0, math.pi / 6]]).covs[0]
    axis = np.array([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    assert axis @ turned @ axis == pytest.approx(4.0)  # the first axis carries the first standard deviation
    for wrong, words in (([[1, 2], [0, 1]], "symmetric"), ([[1, 2], [2, 1]], "positive definite")):
        with pytest.raises(ValueError, match=words):
            w.Gaussians("g", [(0, 0)], [wrong], on="m")


def test_handles_tiles_and_brush():
    handles = w.Handles("h", [(0, 1), (2, 3)], on="map")
    np.testing.assert_array_equal(handles.value_of(handles.clean(((5, 6), (7, 8)))), [[5, 6], [7, 8]])
    with pytest.raises(ValueError, match="2 rows of 2"):
        handles.clean([[0, 1]])
    with pytest.raises(ValueError, match="2 labels"):
        w.Handles("h", [(0, 1), (2, 3)], on="map", labels=["a"])
    assert w.Tiles("x", on="all", rows=2, columns=3, count=5).clean(9) == 4
    mask = np.random.default_rng(1).random((3, 5))
    brush = w.Brush("m", 3, 5, value=mask)
    np.testing.assert_allclose(brush.value_of(brush.value), mask, atol=0.5 / 255 + 1e-12)
    for wrong in ("", "????", base64.b64encode(bytes(14)).decode(), "A" * 10**6):
        with pytest.raises(ValueError, match="15 painted pixels"):
            brush.clean(wrong)


# Pictures


def test_picture_takes_what_models_give():
    rng = np.random.default_rng(0)
    field = rng.normal(size=(3, 5))
    np.testing.assert_array_equal(picture(field > 0)[0], 255 * (field > 0))
    np.testing.assert_array_equal(picture(torch.tensor([[0.0, 0.5, 1.0, 2.0]]))[0], [[0, 128, 255, 255]])
    shown, (low, high), lost = picture(field, "cividis")
    assert (low, high, lost) == (pytest.approx(field.min()), pytest.approx(field.max()), 0)
    np.testing.assert_allclose(low + shown / 255 * (high - low), field, atol=(high - low) / 509)
    np.testing.assert_array_equal(picture(np.array([[-1.0, 0, 3]]), "cividis", (0, 2))[0], [[0, 0, 255]])
    color = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(picture(color)[0], color)
    assert picture(np.array([[np.nan, 1.0], [np.inf, 0.0]]))[2] == 2
    assert picture(np.zeros((2, 2)), "cividis")[0].max() == 0  # a flat field divides by nothing
    expected = [[round(255 * c) for c in matplotlib.colormaps["cividis"](i)[:3]] for i in range(256)]
    np.testing.assert_array_equal(palette("cividis"), expected)


@pytest.mark.parametrize(
    "image, words",
    [
        (np.zeros(4), "an image (H, W)"),
        (np.zeros((3, 8, 8)), "channels last"),
        (np.zeros((2, 4, 4, 3)), "tile"),
        (np.zeros((4, 4), int), "uint8"),
        (np.array([["a"]]), "numbers"),
        (np.zeros((0, 4), np.uint8), "pixels a side"),
        (np.zeros((5000, 4), np.uint8), "pixels a side"),
    ],
)
def test_picture_refuses(image, words):
    with pytest.raises(ValueError) as error:
        picture(image)
    assert words in str(error.value)


def test_tile_puts_every_image_in_its_place():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3), dtype=np.uint8)
    out = w.tile(images, columns=2, gap=2, ground=0.0)
    assert out.shape == (3 * 5, 2 * 6, 3)
    for k, image in enumerate(images):
        row, column = divmod(k, 2)
        np.testing.assert_array_equal(out[5 * row + 1 : 5 * row + 4, 6 * column + 1 : 6 * column + 5], image)
    rest = out.sum() - images.sum(dtype=int)
    assert rest == 0
    floats = torch.rand(6, 3, 8, 8)
    assert w.tile(floats).shape == (18, 27, 3) and w.tile(floats[:, :1]).shape == (18, 27)


def test_plane_is_the_center_of_each_pixel_with_the_top_first():
    grid = w.plane((-1, 3, 0, 6), 3, 2)
    np.testing.assert_allclose(grid[:, 0, 1], [5, 3, 1])
    np.testing.assert_allclose(grid[0, :, 0], [0, 2])


def test_marks_say_what_is_wrong():
    for wrong, words in (
        (lambda: w.Points([[0, np.nan]]), "finite xy"),
        (lambda: w.Points([0, 1]), "shape (N, 2)"),
        (lambda: w.Points([[0, 1]], color="modle"), "try 'model'"),
        (lambda: w.Points([[0, 1]], color=[1, 2]), "one color, or 1"),
        (lambda: w.Text([[0, 1]], ["a", "b"]), "shape (2, 2)"),
    ):
        with pytest.raises(ValueError) as error:
            w.View(np.zeros((2, 2)), overlay=[wrong()]).encode("v")
        assert words in str(error.value)
    with pytest.raises(ValueError, match="extent for a view without an image"):
        w.View(None).encode("v")
    for wrong in ("step", ("step",)):
        with pytest.raises(ValueError, match="axes as True or"):
            w.View(np.zeros((2, 2)), axes=wrong).encode("v")
    with pytest.raises(ValueError, match=r"limits as \(low, high\)"):
        w.View(np.zeros((2, 2)), limits=(1,)).encode("v")
    with pytest.raises(ValueError, match="marks such as Points"):
        w.View(np.zeros((2, 2)), overlay=[np.zeros(3)]).encode("v")


def test_a_mark_may_be_shown_again_with_other_data():
    mark = w.Ellipses(np.zeros((3, 2)), np.tile(np.eye(2), (3, 1, 1)))
    assert mark.encode()["cycle"].tolist() == [0, 1, 2]
    mark.means, mark.covs = mark.means[:2], mark.covs[:2]
    assert mark.encode()["cycle"].tolist() == [0, 1]


def test_ellipse_is_the_level_set_of_the_density():
    cov = np.array([[1.3, 0.7], [0.7, 0.9]])
    row = overlay.Ellipses([[1.0, -2.0]], [cov]).encode()["xy"][0]
    for turn in np.linspace(0, 6, 7):
        v = np.cos(turn) * row[2:4] + np.sin(turn) * row[4:6]
        assert v @ np.linalg.solve(cov, v) == pytest.approx(1.0)


def test_pack_sends_each_array_once():
    field = np.random.default_rng(0).normal(size=(8, 8))
    frame = w.Frame({"a": w.View(field, colormap="cividis"), "b": w.View(field, colormap="cividis")}).encode()
    header, buffers, keys = pack(frame)
    assert len(buffers) == len(keys) == 2  # the same levels and palette in both views
    header2, buffers2, keys2 = pack(frame, keys)
    assert not buffers2 and keys2 == keys and header2["views"] == header["views"]
    moved = w.Frame({"a": w.View(field.T, colormap="cividis")}).encode()
    assert len(pack(moved, keys)[1]) == 1
    told = header["arrays"][header["views"][0]["image"]["array"]]
    sent = np.frombuffer(buffers[told["buffer"]], np.uint8).reshape(told["shape"])
    np.testing.assert_array_equal(sent, picture(field, "cividis")[0])
    same_bytes = {"x": np.zeros((2, 3), np.uint8), "y": np.zeros((3, 2), np.uint8)}
    assert len(pack(same_bytes)[1]) == 2  # another shape is another array


# Messages


def test_a_request_is_answered_with_its_number_and_its_pixels():
    page = Page(levels())
    assert (page.picture({"level": 200}) == 200).all()
    content, _ = page.sent[-1]
    assert (content["kind"], content["view"], content["n"]) == ("frame", "a", 1) and content["ms"] > 0
    assert (page.picture() == 7).all()  # what a request leaves out is as the model has it
    assert (page.picture({"level": 999}) == 255).all()  # clamped, not refused
    assert page.sent[-1][0]["set"] == {"level": 255}  # and the page hears where the control is now


def test_a_restart_takes_a_scrubbed_timeline_along():
    length = [9]
    line = w.Timeline("t", lambda: length[0])
    page = Page(Stage(lambda c: np.full((2, 2), c["t"], np.uint8), [line]))
    assert page.draw({"t": 7})[0]["set"] == {}
    length[0] = 2
    assert page.draw({"t": 7})[0]["set"] == {"t": 1} and (page.picture({"t": 7}) == 1).all()


def test_bad_requests_are_answered_in_words():
    page = Page(levels())
    for state, words in (
        ({"lvl": 3}, "try 'level'"),
        ({"level": "NaN"}, "finite number for level"),
        ([1], "a dict of control values"),
    ):
        content, buffers = page.draw(state)
        assert content["kind"] == "error" and words in content["text"] and not buffers
    assert page.draw({}, presses={"level": 1})[0]["kind"] == "error"  # no button of that name
    assert page.draw({}, train=["format"])[0]["kind"] == "error"
    assert (page.picture({"level": 3}) == 3).all()
    before = len(page.sent)
    for other in ({"kind": "nonsense"}, "text", None):
        page.stage._receive(page.stage, other, [])
    assert len(page.sent) == before


def test_errors_of_the_callback_are_words_and_do_not_stick():
    broken = [None]

    def draw(controls):
        if broken[0]:
            raise broken[0]
        return gray(controls)

    page = Page(Stage(draw, [w.Slider("level", 0, 255, value=7, step=1)]))
    for error, words in (
        (KeyError("theta"), "KeyError: 'theta'"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "Out of memory while drawing"),
        (MemoryError(), "Out of memory while drawing"),
        (ValueError("needed a, got b; try c"), "needed a, got b; try c"),
    ):
        broken[0] = error
        content, _ = page.draw()
        assert content["kind"] == "error" and words in content["text"] and content["n"] == page.n
    broken[0] = None
    assert (page.picture() == 7).all()
    assert in_words(RuntimeError("HIP out of memory")).startswith("Out of memory")


def test_a_callback_that_returns_no_picture_is_told_at_once():
    with pytest.raises(ValueError, match="needed a picture"):
        Stage(lambda c: None)
    with pytest.raises(ValueError, match="two called 'a'"):
        Stage(lambda c: np.zeros((2, 2)), [w.Toggle("a"), w.Slider("a", 0, 1)])
    with pytest.raises(ValueError, match="function draw"):
        Stage(np.zeros((2, 2)))
    for wrong, words in ((w.Slider("a", 0, 1), "a list of controls, got Slider"), (["a"], "controls such as Slider")):
        with pytest.raises(ValueError, match=words):
            Stage(lambda c: np.zeros((2, 2)), wrong)
    with pytest.raises(ValueError, match="sampled control"):
        levels(sampled={"lvl": 3})
    with pytest.raises(ValueError, match="the view under 'z' to be one of 'picture', got 'map'"):
        Stage(lambda c: np.zeros((2, 2)), [w.Pad("z", on="map")])
    with pytest.raises(ValueError, match="another name for pad 'z' than that of a view, got .*; try on='z'"):
        Stage(lambda c: {"z": np.zeros((2, 2))}, [w.Pad("z")])


@pytest.mark.parametrize("top, lines", [(0.9, 1), (120_000, 1), (-1e-4, 1), (120_000, 2)])
def test_numbers_and_label_of_an_axis_stand_apart(top, lines):
    """Left of the plot: nothing, the label, nothing, the numbers; so in all rows."""
    label = "nats" if lines == 1 else "nats per example of the whole test set, a sum over all of its pixels, long"
    chart = w.View(None, [], extent=(0, 1, -abs(top), abs(top)), axes=("step", label), aspect=1.0)
    image = Image.open(io.BytesIO(Stage(lambda c: {"chart": chart}).png()))
    dark = np.asarray(image.convert("L")) < 160
    frame = np.asarray(image) == (244, 246, 248)  # the ground of the plot
    rows, columns = np.flatnonzero(frame.all(2).sum(1) > 99), np.flatnonzero(frame.all(2).sum(0) > 99)
    inked = np.flatnonzero(dark[rows[0] : rows[-1], : columns[0] - 12].any(0))
    gaps = [(int(a), int(b - a)) for a, b in itertools.pairwise(inked) if b - a > 6]  # 3 pixels of the screen
    edge, wide = 2 * still.EDGE, 2 * 18
    assert inked[0] >= edge
    assert any(edge + (lines - 0.7) * wide < at <= edge + lines * wide + 4 for at, _ in gaps), (inked[0], gaps)


@pytest.mark.parametrize(
    "make",
    [
        lambda name: w.Tiles(name, on="all", rows=2, columns=2, value=1, label="chosen"),
        lambda name: w.Pad(name, limit=(0, 8, 8, 0), on="all", label="chosen"),
        lambda name: w.Handles(name, [(2, 3)], on="all", label="chosen"),
    ],
)
def test_a_control_may_have_the_name_of_the_view_it_lies_on(make):
    draw = lambda c: {"all": np.arange(64, dtype=np.uint8).reshape(8, 8)}
    assert Stage(draw, [make("all")]).png() == Stage(draw, [make("other")]).png()


def test_presses_are_transitions_of_the_state():
    def halve(controls):
        return {"level": controls["level"] // 2}

    seen = []
    buttons = [w.Button("halve", press=halve), w.Button("look", press=lambda c: seen.append(c["level"]))]
    stage = Stage(gray, [w.Slider("level", 0, 255, value=8, step=1), *buttons, w.Button("new noise")])
    page = Page(stage)
    content, _ = page.draw({"level": 200, "halve": 3}, presses={"halve": 3, "look": 1})
    assert content["set"] == {"level": 25} and seen == [25]
    assert page.draw({"level": 25, "halve": 3})[0]["set"] == {}  # a count alone does nothing: links do not press
    assert page.draw({"new noise": 2}, presses={"new noise": 2})[0]["set"] == {}
    assert stage.set(level=100).press("halve", 2).state == {"level": 25, "halve": 2, "look": 0, "new noise": 0}
    with pytest.raises(ValueError, match="needed button to be one of 'halve'"):
        stage.press("level")


def test_a_frame_may_move_controls():
    def draw(controls):
        return w.Frame(gray(controls), controls={"level": 9} if controls["level"] > 100 else {})

    page = Page(Stage(draw, [w.Slider("level", 0, 255, value=7, step=1)]))
    assert page.draw({"level": 200})[0]["set"] == {"level": 9}
    assert page.draw({"level": 50})[0]["set"] == {}


def test_arrays_that_the_page_holds_are_not_sent_again():
    page = Page(levels())
    assert len(page.draw({"level": 1}, fresh=True)[1]) == 1
    assert len(page.draw({"level": 1})[1]) == 0
    assert len(page.draw({"level": 2})[1]) == 1
    assert len(page.draw({"level": 2}, fresh=True)[1]) == 1  # a page that was opened anew


def test_memory_stays_flat_over_frames():
    stage = Stage(lambda c: np.random.default_rng(c["level"]).random((64, 64)), levels().controls.values())
    stage.send = lambda content, buffers=None: None

    def frames(count):
        for n in range(count):
            stage._receive(stage, {"kind": "draw", "n": n, "view": "a", "state": {"level": n % 256}}, [])
        gc.collect()

    tracemalloc.start()
    try:
        frames(50)
        before = tracemalloc.get_traced_memory()[0]
        frames(500)
        assert tracemalloc.get_traced_memory()[0] - before < 4 * 64 * 64  # less than four frames
    finally:
        tracemalloc.stop()
    assert len(stage._known) == 1


def test_state_follows_python_and_page_and_stays_valid():
    stage = levels()
    assert stage.set(level=300).state == {"level": 255}
    update = {"method": "update", "state": {"state": {"level": -5}}, "buffer_paths": []}
    stage._handle_msg({"content": {"data": update}, "buffers": []})
    assert stage.state == {"level": 0}
    with pytest.raises(ValueError, match="control"):
        stage.set(lvl=1)


def test_refresh_is_said_once_until_the_page_asked():
    page = Page(levels())
    for _ in range(50):
        page.stage.refresh()
    assert [c["kind"] for c, _ in page.sent] == ["stale"]
    page.draw()
    page.stage.refresh()
    assert [c["kind"] for c, _ in page.sent] == ["stale", "frame", "stale"]


def test_refresh_while_drawing_is_not_lost():
    stage = levels()
    page = Page(stage)

    def draw(controls):
        stage.refresh()  # the model changed after this picture had begun
        return gray(controls)

    stage.draw = draw
    page.draw()
    assert sorted(c["kind"] for c, _ in page.sent) == ["frame", "stale"]


def test_requests_from_many_threads_get_their_own_pictures_one_at_a_time():
    inside, most = [0], [0]

    def draw(controls):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1
        return gray(controls)

    stage = Stage(draw, [w.Slider("level", 0, 255, value=7, step=1)])
    answers = {}
    stage.send = lambda content, buffers=None: answers.setdefault(content["n"], np.frombuffer(buffers[0], np.uint8)[0])

    def page(k):
        for n in range(k, 80, 4):
            stage._receive(stage, {"kind": "draw", "n": n, "state": {"level": n}, "fresh": True}, [])

    threads = [threading.Thread(target=page, args=(k,)) for k in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert answers == {n: n for n in range(80)} and most[0] == 1


# Training


def counting(n=5, pause=0.0):
    def make():
        for k in range(1, n + 1):
            time.sleep(pause)
            yield k

    return make


def test_trainer_starts_steps_pauses_resets_and_ends():
    trainer = w.Trainer(counting(5), every=0)
    assert trainer.latest == w.Snapshot(0, None) and not trainer.running
    trainer.step(2).wait()
    assert [(s.step, s.state) for s in trainer.snapshots] == [(0, None), (1, 1), (2, 2)]
    assert trainer.start().wait().done and trainer.latest.state == 5 and trainer.status()["steps"] == 5
    assert trainer.at(-1).state == 5 and trainer.at(0).state is None and trainer.at(99).state == 5
    trainer.reset().wait()
    assert (trainer.steps, trainer.done, len(trainer.snapshots)) == (0, False, 1)
    assert trainer.step().wait().latest.state == 1
    trainer.stop().wait()
    assert trainer._thread is None and trainer.latest.state == 1


def test_steps_that_are_asked_for_quickly_are_all_done():
    gate = threading.Semaphore(0)

    def make():
        for k in itertools.count(1):
            gate.acquire()
            yield k

    trainer = w.Trainer(make, every=0)
    trainer.step().step(2)  # the second before the first was done
    [gate.release() for _ in range(3)]
    assert trainer.wait(10).latest == w.Snapshot(3, 3)
    gate.release()
    trainer.stop().wait()


def test_pause_shows_the_very_last_step():
    trainer = w.Trainer(counting(10**6, 0.001), every=60.0)
    trainer.start()
    while trainer.steps < 5:
        time.sleep(0.005)
    trainer.pause().wait()
    assert trainer.latest.step == trainer.steps == trainer.latest.state
    assert trainer.start().running
    trainer.stop().wait()


def test_checkpoints_span_the_run_and_stay_few():
    trainer = w.Trainer(counting(1000), every=0, keep=20)
    trainer.start().wait()
    steps = [s.step for s in trainer.snapshots]
    assert steps[0] == 0 and steps[-1] == 1000 and 8 <= len(steps) <= 21
    gaps = np.diff(steps[:-1])
    assert (gaps == gaps[0]).all()  # evenly


def test_snapshots_do_not_change_when_training_goes_on():
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.zero_()

    def make():
        while True:
            with torch.no_grad():
                model.weight.add_(1.0)
            assert model.training
            yield None

    trainer = w.Trainer(make, lambda _: w.frozen(model), every=0)
    trainer.step(3).wait()
    twins = [s.state for s in trainer.snapshots]
    assert [t.weight[0, 0].item() for t in twins] == [0, 1, 2, 3]
    assert not any(t.training or t.weight.requires_grad for t in twins) and model.training
    trainer.stop().wait()


def test_an_error_ends_the_run_is_shown_and_can_be_tried_again():
    attempts = itertools.count()

    def make():
        first = next(attempts) == 0
        yield 1
        if first:
            raise FloatingPointError("needed a finite loss, got nan at step 1; try lr=1e-4")
        yield 2

    trainer = w.Trainer(make, every=0)
    page = Page(levels(trainer=trainer))
    with pytest.raises(FloatingPointError):
        trainer.start().wait()
    told = page.draw()[0]
    assert told["kind"] == "frame" and "finite loss" in told["trainer"]["error"] and not told["trainer"]["running"]
    assert trainer.latest.state == 1
    page.draw(train=["start"])
    assert trainer.wait().done and page.draw()[0]["trainer"]["error"] == ""


def test_a_model_that_cannot_be_made_says_so():
    def make():
        raise ValueError("needed data, got none; try data.load")

    with pytest.raises(ValueError, match="needed data"):
        _ = w.Trainer(make).latest


def test_stop_closes_the_generator():
    closed = threading.Event()

    def forever():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    held = forever()  # held here too: garbage collection does not close it
    trainer = w.Trainer(lambda: held)
    trainer.step().wait()
    trainer.stop().wait()
    assert closed.is_set()


def test_stage_draws_from_snapshots_while_a_model_trains():
    trainer = w.Trainer(counting(10**6), every=0.005, total=10**6)

    def draw(controls):
        step = trainer.at(controls["checkpoint"]).step
        return w.Frame(np.full((2, 2), step % 256, np.uint8), text=f"step {step}")

    line = w.Timeline("checkpoint", trainer.count, value=-1, follow=True)
    stage = Stage(draw, [line], trainer=trainer)
    page = Page(stage)
    page.draw(train=["start"])
    seen = []
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        seen.append(page.draw()[0]["frame"]["text"])
        time.sleep(0.01)
    assert len(set(seen)) > 5  # the picture moved
    assert "stale" in [c["kind"] for c, _ in page.sent]
    told = page.draw(train=["pause"])[0]
    trainer.wait()
    assert told["lengths"]["checkpoint"] >= 5 and page.draw()[0]["trainer"]["steps"] == trainer.steps
    scrubbed = page.draw({"checkpoint": 0})[0]["frame"]["text"]
    assert scrubbed == "step 0"
    trainer.stop().wait()


def test_a_trainer_does_not_keep_a_closed_stage():
    trainer = w.Trainer(counting(3), every=0)
    stage = levels(trainer=trainer)
    ghost = weakref.ref(stage)
    stage.close()
    del stage
    gc.collect()
    assert ghost() is None
    assert trainer.start().wait().done


def test_training_lets_the_hand_go_first():
    from gdm_core.widgets.trainer import drawing

    trainer = w.Trainer(counting(10**6, 0.001), every=60.0)
    trainer.start()
    time.sleep(0.1)
    free = trainer.steps
    with drawing():
        time.sleep(0.02)
        before = trainer.steps
        time.sleep(0.2)
        held = trainer.steps - before
    trainer.stop().wait()
    assert free > 20 and 1 <= held <= 6  # one step each 50 ms: slowed, never starved


# Honesty


def test_noise_stays_until_it_is_pressed():
    noise, state = w.Noise(3), torch.get_rng_state()
    first = noise(0, 5000)
    assert torch.equal(first, noise(0, 5000)) and torch.equal(first, w.Noise(3)(0, 5000))
    for other in (noise(1, 5000), w.Noise(4)(0, 5000)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / math.sqrt(5000)
    assert stats.kstest(first.numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(noise(0, 5000, uniform=True).numpy(), "uniform").pvalue > 1e-3
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's numbers were used
    for press in range(200):
        noise(press, 3)
    assert len(noise._kept) <= 32 and torch.equal(first, noise(0, 5000))


@pytest.mark.parametrize("d", [1, 2, 7, 64])
def test_density_and_shell_of_a_latent(d):
    z = np.random.default_rng(d).normal(size=d)
    assert w.log_normal(z) == pytest.approx(stats.multivariate_normal(np.zeros(d)).logpdf(z), rel=1e-12)
    low, median, high = w.shell(d, 0.8)
    inside = [stats.chi2.cdf(r**2, d) for r in (low, median, high)]
    np.testing.assert_allclose(inside, [0.1, 0.5, 0.9], atol=1e-9)


def test_leaving_the_data_is_said():
    assert w.atypical([0.0, 0.0]) == "" and w.atypical(np.ones(30)) == ""
    assert "far out" in w.atypical([4.0, 0.0]) and "too central" in w.atypical(np.zeros(30))
    said = w.where_is([3.0, 4.0], mass=0.5)
    assert "radius 5.00" in said and "log p(z) = -14.34 nats" in said and "50\xa0%" in said
    with pytest.raises(ValueError, match="finite latent"):
        w.where_is([math.nan])


# Files


def scene(controls):
    """Left view: a red point at (1, 1) of a white picture; right view: gray."""
    image = np.full((10, 10), 255, np.uint8)
    view = w.View(image, extent=(-2, 2, -2, 2), overlay=[w.Points([[1.0, 1.0]], "#ff0000", size=20)], label="")
    return w.Frame({"left": view, "right": w.View(np.full((10, 10), controls["level"], np.uint8), label="")}, "said")


def staged(**options):
    return Stage(scene, [w.Slider("level", 0, 255, value=100, step=1)], title="Scene", **options)


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
    assert literal([1e-05, 1 / 3, "it's"]) == '[1e-5, 0.3333333333, "it\'s"]'


# Without a kernel


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 16), nn.SiLU(), nn.Sequential(nn.Linear(16, 9), nn.Tanh()), nn.Linear(9, 6))


def test_decoder_computes_what_torch_computes():
    net = mlp()
    decoder = w.BrowserDecoder.of(net, ["z", "digit"], (2, 3), final="sigmoid")
    x = torch.randn(5)
    wanted = torch.sigmoid(net(x)).reshape(2, 3) * 255
    np.testing.assert_allclose(decoder(x.numpy()), wanted.detach().numpy(), atol=0.501)
    assert [a for _, _, a in decoder.layers] == ["silu", "tanh", "sigmoid"]
    assert len(decoder.weights()) == 2 * sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("part", [nn.BatchNorm1d(16), nn.LeakyReLU(0.3), nn.Conv1d(1, 1, 1)])
def test_decoder_refuses_what_the_page_cannot_run(part):
    with pytest.raises(ValueError, match=type(part).__name__):
        w.BrowserDecoder.of(nn.Sequential(nn.Linear(2, 16), part, nn.Linear(16, 6)), ["z"], (2, 3))


def test_decoder_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="6 outputs|16 outputs"):
        w.BrowserDecoder.of(nn.Linear(2, 6), ["z"], (4, 4))
    decoder = w.BrowserDecoder.of(nn.Linear(3, 4), ["z"], (2, 2))
    stage = Stage(lambda c: np.zeros((2, 2)), [w.Pad("z")], decoder=decoder)
    with pytest.raises(ValueError, match="3 inputs of the decoder, got 2 from z"):
        stage.to_html()


def test_html_is_one_piece_and_small_enough():
    stage = staged(sampled={"level": 5})
    page = stage.to_html()
    assert "http://" not in page and "https://" not in page and page == stage.to_html()
    assert page.count("<script") == 2 and "<img alt=" in page
    assert len(stage.to_html(script=False)) < len(page) - 20_000
    with pytest.raises(ValueError, match="a page of at most 0.0 MB.*level: 5"):
        stage.to_html(limit=20_000)
    assert levels().to_html().startswith("<img")  # nothing sampled: a picture
    with pytest.raises(ValueError, match="decoder for the browser"):
        stage.to_html("browser")
    for wrong in (0, (3, 3)):
        with pytest.raises(ValueError, match="samples .*level"):
            staged(sampled={"level": wrong}).to_html()
    handles = Stage(lambda c: np.zeros((2, 2)), [w.Handles("h", [(0, 0)], on="picture")], sampled={"h": 3})
    with pytest.raises(ValueError, match="can be sampled"):
        handles.to_html()


@pytest.mark.parametrize(
    "sizes, lengths",
    [
        ([1], [1]),
        ([1, 1, 1], [3]),
        ([1] * 4, [2, 2]),
        ([3, 1, 1], [1, 2]),
        ([1.2, 0.7, 0.7, 2.6], [3, 1]),
        ([1, 9], [1, 1]),
    ],
)
def test_static_rows_squeeze_no_view(sizes, lengths):
    assert [len(row) for row in still.rows([{"size": s} for s in sizes])] == lengths
