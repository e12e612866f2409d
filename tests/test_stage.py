"""The kernel's half of the stage: requests, answers, state and threads; no browser."""

import gc
import io
import itertools
import threading
import time
import tracemalloc

import numpy as np
import pytest
import torch
from kernel_page import Page, gray, levels
from PIL import Image

from gdm_core import widgets as w
from gdm_core.widgets import still
from gdm_core.widgets.stage import Stage, in_words


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
    options = [w.Choice("by", ["a", "b"])]
    for when, words in (
        (("buy", "a"), "the control that 'h' waits for to be"),
        (("by", "c"), "by to be one of 'a', 'b'"),
    ):
        with pytest.raises(ValueError, match=words):
            Stage(lambda c: np.zeros((2, 2)), [w.Handles("h", [[0, 0]], on="picture", when=when), *options])
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


def test_a_description_is_read_out_where_the_frame_says_nothing():
    said = {"": "level 7", "own words": "own words"}
    for text, expected in said.items():
        draw = lambda c, text=text: w.Frame(gray(c), text)
        stage = Stage(draw, [w.Slider("level", 0, 255, value=7, step=1)], describe=lambda c: f"level {c['level']}")
        assert stage.frame().text == expected and stage.words().endswith(expected)


def test_a_press_counts_as_often_as_it_is_made():
    seen = []
    stage = Stage(lambda c: np.zeros((2, 2)), [w.Button("go", press=lambda c: seen.append(c["go"])), w.Button("new")])
    assert stage.press("go", 3).press("new").state == {"go": 3, "new": 1} and len(seen) == 3
    page = Page(stage)
    seen.clear()
    page.draw({"go": 5}, presses={"go": 2})
    assert len(seen) == 2
