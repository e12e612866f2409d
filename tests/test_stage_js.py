"""The page's half of the stage, alone in a bare page of headless Chromium with a model that the test plays."""

import base64
import io
import json
import time

import browser
import numpy as np
import pytest
import torch
from browser import BARE, on_stage, open_stage
from PIL import Image
from torch import nn

from gdm_core import widgets as w

pytestmark = browser.needed
chromium_running, tab = browser.chromium_running, browser.tab  # fixtures

PAD, PICTURE = '[data-control="z"]', ".view:not(.plain) canvas.picture"


def field(controls):
    """16 x 16 gray levels that depend on both coordinates of the pad."""
    x, y = controls["z"]
    grid = np.add.outer(np.arange(16) * (y + 3), np.arange(16) * (x + 3))
    return grid.astype(np.uint8)


def padded(**options):
    controls = [w.Pad("z", limit=3.0, labels=("z1", "z2"), step=0.05), *options.pop("controls", [])]
    return w.Stage(options.pop("draw", field), controls, title="Pad", source="make()", **options)


def sent(tab):
    return tab.evaluate("__sent")


def answer(tab, n, ms=20.0, level=0, kind="frame", **rest):
    """A frame of one 2 x 2 gray picture, or an error, as the reply to request n."""
    view = {"name": "picture", "label": "", "extent": [0, 1, 0, 1], "aspect": 1, "axes": False, "marks": []}
    view |= {"warning": "", "size": 1, "smooth": False, "image": {"array": f"k{level}"}}
    arrays = {f"k{level}": {"buffer": 0, "type": "u1", "shape": [2, 2]}}
    reply = {"kind": kind, "view": sent(tab)[0]["view"], "n": n, "ms": ms}
    reply |= {"frame": {"views": [view], "text": "said", "arrays": arrays}} if kind == "frame" else {}
    pixels = base64.b64encode(bytes([level] * 4)).decode()
    tab.evaluate("([reply, pixels]) => __reply(reply, [pixels])", [reply | rest, pixels])


def level(tab):
    return tab.evaluate(f"document.querySelector('{PICTURE}').getContext('2d').getImageData(0, 0, 1, 1).data[0]")


def pixels(tab, view="picture"):
    """Red channel of a view's canvas."""
    script = """(view) => { const c = document.querySelector(`[data-view="${view}"] canvas.picture`);
        return [c.height, c.width, [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]] }"""
    height, width, data = tab.evaluate(script, view)
    return np.array(data, np.uint8).reshape(height, width, 4)[..., 0]


def drag(tab, points, steps=1):
    tab.mouse.move(*points[0])
    tab.mouse.down()
    for point in points[1:]:
        tab.mouse.move(*point, steps=steps)
    tab.mouse.up()


def place(tab, selector, fx=0.5, fy=0.5):
    box = tab.locator(selector).bounding_box()
    return box["x"] + fx * box["width"], box["y"] + fy * box["height"]


def settled(tab):
    """Nothing asked, nothing in flight: as many answers as requests."""
    tab.wait_for_function("__answered === __sent.length")


def hold_the_clipboard(tab):
    """What the page copies waits in __copied."""
    hold = "navigator.clipboard.writeText = (t) => { globalThis.__copied = t; return Promise.resolve() }"
    tab.evaluate(f"Object.defineProperty(navigator, 'clipboard', {{ value: {{}}, configurable: true }}); {hold}")


def stop_clock(tab):
    """Time stands still in the page until a test runs it: a busy machine is no lost answer."""
    tab.clock.install(time=0)
    tab.clock.pause_at(1000)


@pytest.fixture
def live(tab):
    """Show a stage of this process and wait for its first picture."""

    def show(stage, html=BARE):
        on_stage(tab, stage, html)
        tab.wait_for_function(f"document.querySelector('{PICTURE}')?.width > 1")
        return tab

    return show


# Flow control


def test_a_hundred_moves_send_one_message_and_the_reply_releases_the_newest(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    assert [m["n"] for m in sent(tab)] == [1]  # the first picture is asked for at once
    drag(tab, [place(tab, ".plain .layer", 0.1, 0.5), place(tab, ".plain .layer", 0.75, 0.25)], steps=100)
    assert len(sent(tab)) == 1
    answer(tab, 1, ms=20)
    assert len(sent(tab)) == 2
    assert sent(tab)[1]["state"]["z"] == pytest.approx([1.5, 1.5], abs=0.03)  # where the hand is, not where it was
    answer(tab, 2, ms=20)
    assert len(sent(tab)) == 2  # and then there is silence


def test_two_in_flight_only_when_the_kernel_is_fast(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answered = 0
    for ms, allowed in ((9.0, 2), (11.0, 1), (2.0, 2)):
        while answered < len(sent(tab)):
            answered += 1
            answer(tab, answered, ms=ms)
        before = len(sent(tab))
        tab.focus(PAD)
        for _ in range(10):
            tab.keyboard.press("ArrowRight")
        assert len(sent(tab)) - before == allowed


def test_an_older_answer_does_not_replace_a_newer_picture(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, ms=1)
    tab.focus(PAD)
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    answer(tab, 3, ms=1, level=33)
    answer(tab, 2, ms=1, level=22)
    assert level(tab) == 33


def test_a_slow_answer_is_waited_for_in_sight_and_a_fast_one_is_not(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, level=1)
    waits = lambda: tab.locator(".views[aria-busy=true]").count() == 1
    tab.focus(PAD)
    for n in range(2, 8):  # a second of drag with answers after 150 ms: a request is always on its way
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        tab.clock.run_for(150)
        assert not waits()
        answer(tab, n, level=n)
    tab.clock.run_for(240)
    assert not waits()
    tab.clock.run_for(20)
    assert waits() and tab.evaluate("getComputedStyle(document.querySelector('.views')).opacity") == "0.6"
    tab.keyboard.press("ArrowRight")
    answer(tab, 8, level=8)
    assert waits()  # the newest is not there yet
    tab.clock.run_for(300)
    answer(tab, 9, level=9)
    assert not waits() and level(tab) == 9
    tab.clock.run_for(2000)
    assert not waits()


def test_an_error_is_an_alert_and_the_picture_stays(tab):
    open_stage(tab, padded().spec)
    answer(tab, 1, level=77)
    tab.focus(PAD)
    tab.keyboard.press("ArrowRight")
    answer(tab, 2, kind="error", text="needed a, got b; try c")
    alert = tab.get_by_role("alert").first
    assert alert.inner_text() == "needed a, got b; try c" and level(tab) == 77
    tab.keyboard.press("ArrowRight")
    answer(tab, 3, level=88)
    assert not alert.is_visible() and level(tab) == 88


def test_a_lost_answer_frees_its_slot_and_is_said_in_words(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, level=1)
    tab.focus(PAD)
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert len(sent(tab)) == 2
    tab.clock.run_for(2900)
    assert len(sent(tab)) == 2
    tab.clock.run_for(200)
    messages = sent(tab)
    assert len(messages) == 3 and messages[2]["state"]["z"] == [0.1, 0]
    assert "does not answer" in tab.locator(".status").inner_text() and level(tab) == 1
    tab.clock.run_for(60_000)
    assert 2 <= len(sent(tab)) - 3 <= 6  # it keeps trying, ever more patiently
    last = len(sent(tab))
    answer(tab, last, level=5)
    assert not tab.locator(".status").is_visible() and level(tab) == 5
    tab.clock.run_for(60_000)
    assert len(sent(tab)) == last


def test_a_slow_answer_is_not_taken_for_a_lost_one_twice(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    tab.clock.run_for(3100)  # request 1 takes long: asked again as 2
    answer(tab, 1, ms=3900, level=1)
    answer(tab, 2, ms=3900, level=2)
    tab.focus(PAD)
    tab.keyboard.press("ArrowRight")
    tab.clock.run_for(8000)
    assert len(sent(tab)) == 3  # three times what the kernel needs is waited for


def test_a_kernel_that_is_gone_is_said(tab):
    open_stage(tab, padded().spec)
    answer(tab, 1, level=9)
    tab.evaluate("document.querySelector('main').parentElement.classList.add('jupyter-widgets-disconnected')")
    tab.evaluate("__emit('comm_live_update')")
    tab.wait_for_function("document.querySelector('.status').textContent.includes('run this cell again')")
    assert level(tab) == 9


# Observers are told in the order in which they were made: when this one hears of it, the stage has.
OUT_OF_SIGHT = f"""new Promise((gone) => new IntersectionObserver((entries) => {{
    if (!entries.at(-1).isIntersecting) gone(true);
}}).observe(document.querySelector('{PICTURE}')))"""


def test_silent_while_not_visible(tab):
    stop_clock(tab)
    tall = BARE.replace("body {", "body { padding-bottom: 4000px;")
    open_stage(tab, padded().spec, html=tall)
    answer(tab, 1)
    tab.evaluate("scrollTo(0, 3500)")
    tab.evaluate(OUT_OF_SIGHT)
    for _ in range(3):
        tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    assert len(sent(tab)) == 1
    tab.evaluate("scrollTo(0, 0)")
    tab.wait_for_function("__sent.length === 2")


def test_one_model_may_be_shown_twice(live):
    tab = live(padded())
    tab.evaluate("void __module.render({ model: __m, el: document.body.appendChild(document.createElement('div')) })")
    tab.wait_for_function(f"[...document.querySelectorAll('{PICTURE}')].every((c) => c.width > 1)")
    assert tab.locator(PICTURE).count() == 2 and tab.locator(PAD).count() == 2
    tab.locator(PAD).nth(1).focus()
    tab.keyboard.press("Shift+ArrowRight")
    tab.wait_for_function("__saved.length === 1")
    tab.evaluate("__emit('change:state')")  # as the model does: the other page of this model follows
    both = "[...document.querySelectorAll('[data-control=z]')].map((e) => e.getAttribute('aria-valuenow'))"
    assert tab.evaluate(both) == ["0.5", "0.5"]


def test_closing_leaves_nothing_behind(tab):
    open_stage(tab, padded().spec)
    answer(tab, 1)
    tab.focus(PAD)
    tab.keyboard.press("End")
    answer(tab, 2)
    tab.evaluate("__close()")
    assert tab.evaluate("__saved.at(-1)") == {"z": [3, 0]}  # where the hand left it
    assert tab.evaluate("Object.values(__listeners).flat().length") == 0
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    assert len(sent(tab)) == 2


# Hands: keys, mouse, touch


def test_keys_move_the_pad_and_are_told_to_a_screen_reader(tab):
    open_stage(tab, padded().spec)
    pad = tab.locator(PAD)
    tab.keyboard.press("Tab")
    assert pad.evaluate("e => e === document.activeElement") and pad.get_attribute("role") == "slider"
    steps = [("ArrowRight", [0.05, 0]), ("ArrowUp", [0.05, 0.05]), ("Shift+ArrowLeft", [-0.45, 0.05])]
    steps += [("ArrowDown", [-0.45, 0]), ("PageUp", [-0.45, 0.5]), ("PageDown", [-0.45, 0]), ("End", [3, 0])]
    steps += [("Home", [-3, 0]), ("Shift+End", [-3, 3]), ("Shift+Home", [-3, -3]), ("ArrowLeft", [-3, -3])]
    for n, (key, wanted) in enumerate([*steps, ("0", [0, 0])], 1):
        tab.keyboard.press(key)
        answer(tab, n)
        assert sent(tab)[-1]["state"]["z"] == pytest.approx(wanted), key
    tab.keyboard.press("ArrowRight")
    assert pad.get_attribute("aria-valuetext") == "z1 0.05, z2 0.00"
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    assert pad.get_attribute("aria-valuetext") == "z1 −0.05, z2 0.00"
    assert "arrow keys" in pad.get_attribute("aria-label")


def test_every_control_can_be_worked_by_keys_alone(live):
    controls = [
        w.Slider("level", 0, 255, value=10, step=1),
        w.Slider("rate", 1e-3, 1.0, log=True, value=0.1),
        w.Choice("digit", range(10)),
        w.Choice("data", ["moons", "eight gaussians", "checkerboard", "two spirals"]),
        w.Toggle("exact"),
        w.Button("new noise"),
        w.Timeline("step", 30),
        w.Tiles("tile", on="picture", rows=2, columns=2),
        w.Brush("mask", 8, 8),
    ]
    tab = live(padded(controls=controls))
    state = lambda: tab.evaluate("__sent.at(-1).state")

    def press(control, *keys):
        tab.focus(f'[data-control="{control}"]')
        for key in keys:
            tab.keyboard.press(key)
        settled(tab)
        return state()[control]

    assert press("level", "ArrowRight", "Shift+ArrowRight", "PageUp", "ArrowLeft") == 30
    assert press("level", "Home") == 0 and press("level", "End") == 255
    assert press("rate", "End") == 1.0 and press("rate", "Home") == 1e-3
    tab.focus('[data-control="digit"] input:checked')
    tab.keyboard.press("ArrowRight")
    settled(tab)
    assert state()["digit"] == 1
    assert press("data", "ArrowDown", "ArrowDown") == "checkerboard"
    assert press("exact", "Space") is True
    assert press("new noise", "Enter", "Space") == 2
    assert press("step", "ArrowRight", "ArrowRight") == 2
    assert press("tile", "ArrowRight", "ArrowDown") == 3 and press("tile", "Home") == 0
    painted = np.frombuffer(base64.b64decode(press("mask", "Home", "PageUp", "Space")), np.uint8).reshape(8, 8)
    assert painted[0, 0] == 255 and painted.sum() < 6 * 255
    assert max(base64.b64decode(press("mask", "Delete"))) == 0
    names = tab.evaluate("""[...document.querySelectorAll('input, select, button, [tabindex="0"]')].map((e) =>
        e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)""")
    assert all(names), names  # whatever can be reached says what it is


def test_touch_drags_the_pad(live):
    tab = live(padded())
    session = tab.context.new_cdp_session(tab)
    x, y = place(tab, ".plain .layer", 0.25, 0.25)
    touch = lambda kind, *points: session.send(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]}
    )
    touch("touchStart", (x, y))
    settled(tab)
    assert tab.evaluate("__sent.at(-1).state.z") == pytest.approx([-1.5, 1.5], abs=0.05)
    touch("touchMove", place(tab, ".plain .layer", 0.75, 0.5))
    touch("touchEnd")
    settled(tab)
    assert tab.evaluate("__sent.at(-1).state.z") == pytest.approx([1.5, 0], abs=0.05)
    assert tab.evaluate("scrollY") == 0


def test_the_page_shows_the_pixels_of_the_kernel(live):
    stage = padded()
    tab = live(stage)
    start, end = place(tab, ".plain .layer", 0.5, 0.5), place(tab, ".plain .layer", 0.85, 0.2)
    drag(tab, [start, end], steps=25)
    settled(tab)
    state = tab.evaluate("__sent.at(-1).state")
    np.testing.assert_array_equal(pixels(tab), field({"z": state["z"]}))
    tab.wait_for_function("(z) => `${__saved.at(-1)?.z}` === `${z}`", arg=state["z"])  # the kernel's model has it too


def test_the_state_goes_to_the_kernels_model_when_the_hand_rests(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    start = place(tab, ".plain .layer")
    tab.mouse.move(*start)
    tab.mouse.down()
    for i in range(1, 11):
        tab.mouse.move(start[0] + 5 * i, start[1])
        tab.clock.run_for(100)
    assert tab.evaluate("__saved.length") == 0  # a second on its way, and never long in one place
    tab.clock.run_for(200)
    assert tab.evaluate("__saved.length") == 1
    assert tab.evaluate("__saved[0].z[0]") == pytest.approx(0.83, abs=0.02)  # 50 of 361 pixels, for 6 units


def test_colormaps_and_colors_arrive_as_they_were(live):
    levels = np.random.default_rng(0).normal(size=(9, 7))
    color = np.random.default_rng(1).integers(0, 256, (5, 4, 3), dtype=np.uint8)

    def draw(controls):
        return {"field": w.View(levels, colormap="cividis", scale="nats"), "color": color}

    tab = live(padded(draw=draw))
    from gdm_core.widgets.view import palette, picture

    np.testing.assert_array_equal(pixels(tab, "field"), palette("cividis")[picture(levels, "cividis")[0]][..., 0])
    np.testing.assert_array_equal(pixels(tab, "color"), color[..., 0])
    assert "nats" in tab.locator('[data-view="field"] .below').inner_text()


def test_handles_and_gaussians_are_dragged_in_data_coordinates(live):
    controls = [
        w.Handles("h", [(-2, 1), (2, -1)], on="map", labels=["a", "b"]),
        w.Gaussians("g", [(0.0, 0.0)], [np.diag([0.5, 0.1])], on="map", radius=2.0),
    ]

    def draw(controls):
        return {"map": w.View(np.zeros((8, 16), np.uint8), extent=(-4, 4, -2, 2))}

    tab = live(w.Stage(draw, controls, title="Map"))
    at = lambda x, y: place(tab, '[data-view="map"] .box', (x + 4) / 8, (2 - y) / 4)
    drag(tab, [at(2, -1), at(3, 1.5)], steps=4)
    drag(tab, [at(0, 0), at(-1, -1)], steps=4)
    settled(tab)
    state = tab.evaluate("__sent.at(-1).state")
    np.testing.assert_allclose(state["h"], [[-2, 1], [3, 1.5]], atol=0.03)
    np.testing.assert_allclose(state["g"][0], [-1, -1, 0.5**0.5, 0.1**0.5, 0], atol=0.03)
    reach = 2 * 0.5**0.5
    drag(tab, [at(-1 + reach, -1), at(-1, 1)], steps=4)  # the long axis, turned upright and stretched
    settled(tab)
    state = tab.evaluate("__sent.at(-1).state")
    np.testing.assert_allclose(state["g"][0], [-1, -1, 1.0, 0.1**0.5, np.pi / 2], atol=0.03)
    tab.focus('[data-control="h a"]')
    tab.keyboard.press("ArrowUp")
    settled(tab)
    np.testing.assert_allclose(tab.evaluate("__sent.at(-1).state.h[0]"), [-2, 1.08], atol=1e-6)


def test_marks_lie_where_their_coordinates_say(live):
    """A red dot at (1, 1) of [-2, 2] x [-2, 2] on black: three quarters across, one quarter down."""

    def draw(controls):
        image = np.zeros((4, 4), np.uint8)
        return w.View(image, [w.Points([[1, 1]], "#ff0000", size=12)], (-2, 2, -2, 2), axes=("a", "b"))

    tab = live(padded(draw=draw))
    box = tab.locator('[data-view="picture"] .box').bounding_box()
    shot = np.asarray(Image.open(io.BytesIO(tab.screenshot(clip=box))).convert("RGB")).astype(int)
    red = np.argwhere((shot[..., 0] > 200) & (shot[..., 1:] < 60).all(-1))
    np.testing.assert_allclose(red.mean(0) / shot.shape[:2], [0.25, 0.75], atol=0.01)


def test_numbers_and_label_of_an_axis_stand_apart(tab):
    def draw(controls):
        top = 10.0 ** controls["digits"]
        return w.View(None, [], extent=(0, 1, -top, top), axes=("step", "nats"), label="")

    on_stage(tab, w.Stage(draw, [w.Slider("digits", 0, 6, step=1, value=0)]))
    ink = """() => { const c = document.querySelector("canvas.marks"), x = -parseFloat(c.style.left);
        const { data, width } = c.getContext("2d").getImageData(0, 0, x - 6, c.height - 60);
        const columns = [...Array(width).keys()];
        return columns.map((i) => data.some((v, j) => j % 4 === 3 && v > 90 && (j >> 2) % width === i)) }"""
    for key, digits in (("Home", 0), ("End", 6)):
        tab.locator('[data-control="digits"]').press(key)
        tab.wait_for_function(f"document.querySelector('.number').textContent === '{digits}'")
        settled(tab)
        tab.wait_for_timeout(100)  # the box follows, then what is drawn on it
        columns = tab.evaluate(ink)
        inked = [i for i, dark in enumerate(columns) if dark]
        gaps = [a for a, b in zip(inked, inked[1:]) if b - a >= 4]
        assert inked[0] >= 1 and gaps and gaps[0] < 20, (digits, inked)  # label, nothing, numbers
    assert len(columns) > 80


def test_a_press_moves_other_controls_and_a_stale_frame_is_asked_for_anew(live):
    step = w.Button("step", press=lambda c: {"z": (c["z"][0] / 2, c["z"][1] / 2)})
    stage = padded(controls=[step]).set(z=(2.0, 1.0))
    tab = live(stage)
    tab.click('[data-control="step"]')
    tab.click('[data-control="step"]')
    tab.wait_for_function(
        "document.querySelector('[data-control=z]').getAttribute('aria-valuetext') === 'z1 0.50, z2 0.25'"
    )
    settled(tab)
    np.testing.assert_array_equal(pixels(tab), field({"z": (0.5, 0.25)}))
    assert sum(m["presses"].get("step", 0) for m in sent(tab)) == 2
    before = len(sent(tab))
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    settled(tab)
    assert len(sent(tab)) == before + 1


def test_the_model_moves_the_page(live):
    stage = padded()
    tab = live(stage)
    settled(tab)
    tab.evaluate("__m.set('state', { z: [1.5, -0.5] }); __emit('change:state')")
    settled(tab)
    np.testing.assert_array_equal(pixels(tab), field({"z": (1.5, -0.5)}))
    assert tab.locator(PAD).get_attribute("aria-valuetext") == "z1 1.50, z2 −0.50"


def test_timeline_plays_every_state_scrubs_and_follows(live):
    length = [4]
    line = w.Timeline("step", lambda: length[0], fps=50, follow=True)

    def draw(controls):
        time.sleep(0.05)  # slower than the timeline plays
        return np.full((2, 2), 10 * controls["step"], np.uint8)

    tab = live(w.Stage(draw, [line]))
    settled(tab)
    assert sent(tab)[-1]["state"]["step"] == 0  # nothing plays by itself
    tab.click('[data-control="step play"]')
    tab.wait_for_function("__sent.at(-1).state.step === -1")
    settled(tab)
    played = [m["state"]["step"] for m in sent(tab)]
    assert played == [0, 1, 2, -1]  # none left out; the last is "the newest"
    length[0] = 9
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    settled(tab)
    assert tab.locator('[data-control="step"]').get_attribute("max") == "8"
    assert pixels(tab)[0, 0] == 80
    assert tab.locator(".timeline .number").inner_text() == "8 / 8"


def test_a_training_says_what_it_would_do_and_its_timeline_counts_steps(live):
    trainer = w.Trainer(lambda: iter(range(1200)), every=0, total=1200, keep=8)
    line = w.Timeline("checkpoint", trainer.count, value=-1, follow=True)
    shown = []

    def draw(controls):
        shown.append(trainer.at(controls["checkpoint"]).step)
        return w.Frame(np.full((2, 2), 7, np.uint8), f"step {shown[-1]}")

    tab = live(w.Stage(draw, [line], title="Live", trainer=trainer, link=True, source="make()"))
    strip, number = tab.locator(".training .number"), tab.locator(".timeline .number")
    tab.wait_for_function("document.querySelector('.training .number').textContent")
    assert strip.inner_text() == "Train starts from nothing: 1,200 steps"
    assert not tab.locator(".timeline").is_visible() and not tab.locator("progress").is_visible()
    assert tab.locator('[data-control="train reset"]').is_disabled()
    trainer.start().wait()
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    tab.wait_for_function("document.querySelector('.training .number').textContent.includes('done')")
    assert strip.inner_text() == "step 1,200 of 1,200 · done" and number.inner_text() == "step 1,200 of 1,200"
    marks = trainer.marks()
    tab.locator('[data-control="checkpoint"]').press("Home")
    tab.locator('[data-control="checkpoint"]').press("ArrowRight")
    settled(tab)
    assert number.inner_text() == f"step {marks[1]} of 1,200" and shown[-1] == marks[1] > 1
    assert sent(tab)[-1]["state"] == {"checkpoint": marks[1]}
    tab.click('[data-tool="Link"]')
    assert tab.evaluate("location.hash") == "#stage=live"  # where it is opened nothing was trained
    assert "training is not in it" in tab.locator(".done").inner_text()


def test_brush_paints_where_the_hand_goes(live):
    stage = w.Stage(lambda c: c["mask"], [w.Brush("mask", 16, 16, on="picture", radius=1.0)])
    tab = live(stage)
    at = lambda x, y: place(tab, '[data-view="picture"] .box', x / 16, y / 16)
    drag(tab, [at(2.5, 8.5), at(13.5, 8.5)], steps=3)
    settled(tab)
    painted = pixels(tab)
    assert (painted[8, 2:14] == 255).all() and painted[:6].max() == 0 and painted[11:].max() == 0
    tab.click("text=Erase")
    drag(tab, [at(8.5, 8.5), at(9, 8.5)])
    settled(tab)
    assert pixels(tab)[8, 8] == 0 and pixels(tab)[8, 3] == 255


def test_a_cell_that_is_taken_off_the_page_and_put_back_goes_on(live):
    tab = live(w.Stage(lambda c: c["mask"], [w.Brush("mask", 16, 16, on="picture", radius=1.0)]))
    tab.evaluate("globalThis.__main = document.querySelector('main'); __main.remove()")
    tab.wait_for_timeout(100)  # whatever watches its size hears of it
    tab.evaluate("document.body.append(__main)")
    tab.wait_for_function("document.querySelector('.box').clientWidth > 99")
    at = lambda x, y: place(tab, '[data-view="picture"] .box', x / 16, y / 16)
    drag(tab, [at(2.5, 8.5), at(13.5, 8.5)], steps=3)
    settled(tab)
    assert (pixels(tab)[8, 2:14] == 255).all()


# Take home


def test_png_gif_link_and_code(live, tmp_path):
    stage = padded(
        controls=[w.Timeline("step", 5, fps=20), w.Button("new noise")],
        link=True,
        draw=lambda c: field(c) // (c["step"] + 1),
    )
    tab = live(stage)
    tab.focus(PAD)
    tab.keyboard.press("Shift+ArrowRight")
    tab.click('[data-control="new noise"]')
    settled(tab)
    with tab.expect_download() as kept:
        tab.click('[data-tool="PNG"]')
    image = Image.open(kept.value.path())
    assert image.width > 800 and "0.5" in kept.value.suggested_filename
    assert len(set(image.convert("L").resize((40, 40)).get_flattened_data())) > 20
    with tab.expect_download() as kept:
        tab.click('[data-tool="GIF"]')
    moving = Image.open(kept.value.path())
    assert moving.n_frames == 5 and moving.info["duration"] == 50
    frames = []
    for k in range(5):
        moving.seek(k)
        frames.append(np.asarray(moving.convert("L"), float))
    assert all(np.abs(a - b).max() > 4 for a, b in zip(frames, frames[1:]))
    settled(tab)
    state = tab.evaluate("__sent.at(-1).state")
    assert state["step"] == 0  # the timeline is back where it was
    assert tab.evaluate("(__listeners, 0)") == 0
    stage.set(state)
    hold_the_clipboard(tab)
    tab.click('[data-tool="Code"]')
    assert tab.evaluate("__copied") == stage.code() == "make().set({'z': [0.5, 0], 'new noise': 1})"
    tab.click('[data-tool="Link"]')
    assert tab.evaluate("location.hash") == "#stage=pad&z=[0.5,0]&new+noise=1"


def test_numbers_have_the_digits_that_a_hand_can_mean(live):
    controls = [w.Slider("z1", -3.0, 3.0, 0.000198, step=0.05), w.Slider("z2", -3.0, 3.0, -0.00397)]
    controls += [w.Slider("level", -300, 300, -250, step=1), w.Slider("rate", 1e-4, 1.0, 0.000123, log=True)]
    stage = padded(controls=controls, link=True)
    tab = live(stage.set(z=(-1.23456789, 2 / 3), z1=-0.2500001, z2=-0.00497))
    numbers = lambda: tab.locator(".slider .number").all_inner_texts()
    assert numbers() == ["−0.25", "0", "−250", "0.000123"]
    tab.locator('[data-control="z1"]').press("End")
    settled(tab)
    assert numbers()[0] == "3"
    stage.set(z1=3.0)
    hold_the_clipboard(tab)
    tab.click('[data-tool="Code"]')
    assert tab.evaluate("__copied") == stage.code() == "make().set(z=[-1.2346, 0.6667], z1=3, z2=-0.00497)"
    tab.click('[data-tool="Link"]')
    assert tab.evaluate("location.hash") == "#stage=pad&z=[-1.2346,0.6667]&z1=3&z2=-0.00497"


def test_a_recording_says_so_until_it_is_stopped(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, level=1)
    button, done = tab.locator('[data-tool="GIF"]'), tab.locator(".tools .done").first
    button.click()
    tab.clock.run_for(10_000)
    assert button.inner_text() == "Stop" and "then press Stop" in done.inner_text()
    tab.focus(PAD)
    for n in (2, 3):
        tab.keyboard.press("ArrowRight")
        answer(tab, n, level=40 * n)
    tab.clock.run_for(10_000)
    assert button.inner_text() == "Stop" and done.inner_text().endswith("press Stop: 2 frames so far")
    with tab.expect_download() as kept:
        button.click()
    assert Image.open(kept.value.path()).n_frames == 2
    assert button.inner_text() == "GIF" and done.inner_text() == "2 frames saved"
    tab.clock.run_for(5000)
    assert done.inner_text() == ""


def test_a_gif_keeps_its_shapes_when_words_need_more_lines(live):
    said = lambda c: "a read-out that grows " * (1 + 12 * c["step"])
    tab = live(padded(controls=[w.Timeline("step", 2, fps=20)], describe=said))
    with tab.expect_download() as kept:
        tab.click('[data-tool="GIF"]')
    moving = Image.open(kept.value.path())
    frames = []
    for k in range(2):
        moving.seek(k)
        frames.append(np.asarray(moving.convert("L"), float))
    views = slice(0, int(0.5 * len(frames[0])))
    assert np.abs(frames[0][views] - frames[1][views]).max() < 40  # the pictures stand where they stood
    assert (frames[0][-20:] > 250).all() and (frames[1][-60:-20] < 128).any()


def test_a_link_restores_the_state_and_rubbish_is_left_out(live, tab):
    tab.evaluate("location.hash = '#stage=pad&z=[1,-1]&new+noise=\"x\"&other=3&step=[1'")
    live(padded(controls=[w.Button("new noise"), w.Timeline("step", 5)], link=True))
    assert sent(tab)[0]["state"] == {"z": [1, -1], "new noise": 0, "step": 0}
    tab.evaluate("location.hash = '#stage=pad&z=[2,2]'")
    tab.wait_for_function("__sent.at(-1).state.z[0] === 2")
    tab.evaluate("location.hash = '#stage=someone-else&z=[0,0]'")
    tab.wait_for_timeout(50)
    assert sent(tab)[-1]["state"]["z"] == [2, 2]


def test_a_link_that_no_control_understands_is_left_out(tab):
    controls = [w.Brush("mask", 2, 2), w.Choice("data", ["moons", "rings"]), w.Slider("level", 0, 9, step=1)]
    stage = w.Stage(lambda c: c["mask"], controls, title="Mask", link=True)
    for mask, data in (("?", "mons"), ("AAAA", "Moons"), ("", "")):
        tab.evaluate("globalThis.__close?.()")
        tab.evaluate(f'location.hash = \'#stage=mask&mask="{mask}"&data="{data}"&level=3\'')
        open_stage(tab, stage.spec)
        assert sent(tab)[0]["state"] == {**stage.state, "level": 3}
    painted = w.Brush("mask", 2, 2, value=np.eye(2)).value
    tab.evaluate(f'location.hash = \'#stage=mask&mask="{painted}"&data="rings"\'')
    tab.wait_for_function("__sent.at(-1).state.data === 'rings'")
    assert sent(tab)[-1]["state"]["mask"] == painted


# Looks


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_legible_in_both_themes_and_nothing_is_cut_off(live, tab, theme):
    tab.emulate_media(color_scheme="light" if theme == "dark" else "dark")  # the page's word counts more
    html = BARE.replace("<main>", f'<body data-jp-theme-light="{json.dumps(theme == "light")}"><main>')
    controls = [w.Slider("level", 0, 255), w.Choice("digit", range(10)), w.Toggle("exact"), w.Timeline("step", 9)]
    live(padded(controls=controls, caption="Drag the point.", describe=lambda c: "log p = −2 nats"), html)
    contrast = """(selectors) => selectors.map((s) => {
      const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      const parts = (c) => c.match(/[\\d.]+/g).map(Number).map(channel);
      const light = (c) => parts(c).slice(0, 3).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const e = document.querySelector(s), text = light(getComputedStyle(e).color);
      let ground = e;
      while (getComputedStyle(ground).backgroundColor.includes(", 0)")) ground = ground.parentElement;
      const below = light(getComputedStyle(ground).backgroundColor);
      return [s, (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05), below] })"""
    places = [".card h3", ".caption", ".said", ".name", ".number", ".quiet", ".segments input:checked + span", ".play"]
    for selector, ratio, _ in tab.evaluate(contrast, places):
        assert ratio >= 4.5, (selector, ratio)
    ground = tab.evaluate(contrast, places[:1])[0][2]
    assert ground < 0.05 if theme == "dark" else ground > 0.9
    for width in (360, 1600):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_timeout(60)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.set_viewport_size({"width": 360, "height": 700})
    pad, picture = (tab.locator(f'[data-view="{v}"] .box').bounding_box() for v in ("z", "picture"))
    assert pad["y"] > picture["y"] + picture["height"] and pad["width"] > 280 and picture["width"] > 130  # on a phone


def wordy(controls):
    """Pictures of all shapes; how much is said, and whether the first warns, as the controls will."""
    rim = lambda high, wide: np.full((high, wide), 200, np.uint8)
    far = "far out: few of the draws from the prior lie here" if controls["far"] else ""
    views = {
        "picture": w.View(rim(28, 28), label="decoded", warning=far),
        "chart": w.View(None, [], (0, 1, 0, 1), axes=("step", "nats")),
        "strip": w.View(rim(10, 40), label="a gallery"),
    }
    return w.Frame(views, "log p(z) = −2.4 nats, radius 1.1. " * controls["length"])


def talkative(**options):
    controls = [w.Slider("length", 1, 40, 3, step=1), w.Toggle("far"), w.Pad("z", on="picture")]
    return w.Stage(wordy, controls, title="Many", caption="Move all of them.", **options)


SEEN = """() => document.querySelector(".said").textContent
    && document.querySelector(".said").getBoundingClientRect().bottom <= innerHeight"""


@pytest.mark.parametrize("size", [(1600, 900), (1280, 720), (1920, 1080)])
def test_pictures_controls_and_read_out_share_the_first_screen(live, tab, size):
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    stage = talkative()
    stage.spec = {**stage.spec, "whole": True}
    live(stage)
    tab.wait_for_function(SEEN)
    widths = tab.evaluate("[...document.querySelectorAll('.box')].map((e) => e.clientWidth)")
    assert min(widths) > 0.2 * size[1], widths
    assert tab.evaluate("document.querySelector('.controls').getBoundingClientRect().bottom") <= size[1]


def test_pictures_that_would_get_tiny_keep_their_size(live, tab):
    tab.set_viewport_size({"width": 1280, "height": 420})
    live(talkative().set(length=40))
    tab.wait_for_function("document.querySelector('.views').style.getPropertyValue('--tall') === '168px'")


def test_on_a_phone_small_pictures_stand_beside_each_other(tab):
    """A pad, three galleries, three results, each of another size: rows of three, the results first, the pad alone."""
    tab.set_viewport_size({"width": 390, "height": 844})
    names = {"a": 0.9, "b": 0.9, "c": 0.9, "picture": 1.5, "pixels": 0.8, "truth": 0.8}
    gray = np.full((4, 5), 99, np.uint8)

    def draw(controls):
        views = {"map": w.View(None, [], (-1, 1, -1, 1), aspect=1.0, axes=("z1", "z2"))}
        return views | {name: w.View(gray, label=name, size=size) for name, size in names.items()}

    controls = [w.Pad("z", on="map"), *(w.Tiles(f"of {k}", on=k, rows=2, columns=2) for k in "abc")]
    on_stage(tab, w.Stage(draw, controls))
    settled(tab)
    boxes = [tab.locator(f'[data-view="{name}"] .box').bounding_box() for name in ("map", *names)]
    assert boxes[0]["width"] > 220
    for row in (boxes[1:4], boxes[4:]):
        assert len({round(box["y"]) for box in row}) == 1 and np.ptp([box["width"] for box in row]) < 1.5, row
    assert boxes[4]["y"] < boxes[0]["y"] < boxes[1]["y"] - 200


def test_nothing_moves_under_a_hand_while_more_is_said(live, tab):
    tab.set_viewport_size({"width": 1280, "height": 720})
    stage = talkative()
    live(stage)
    settled(tab)
    tab.wait_for_function(SEEN)
    wide = "document.querySelector('.box').clientWidth"
    before = tab.evaluate(wide)
    tab.mouse.move(*place(tab, '[data-view="picture"] .box'))
    tab.mouse.down()
    stage.draw = lambda controls: wordy({**controls, "length": 40})
    tab.mouse.move(*place(tab, '[data-view="picture"] .box', 0.7, 0.6))
    tab.wait_for_function("document.querySelector('.said').textContent.length > 1000")
    frames = (
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
    )
    tab.evaluate(f"{frames}.then(() => 0)")
    assert tab.evaluate(wide) == before
    tab.mouse.up()


def test_a_warning_stands_below_its_picture_in_a_place_that_was_kept(live):
    tab = live(talkative())
    settled(tab)
    places = """() => ["[data-view=picture] .plot", "[data-view=picture] .warning", ".said"].map((s) =>
        { const b = document.querySelector(s).getBoundingClientRect(); return [b.top, b.bottom] })"""
    (_, plot), _, said = tab.evaluate(places)
    tab.click('[data-control="far"]')
    tab.wait_for_function("document.querySelector('[data-view=picture] .warning').textContent.startsWith('far out')")
    (_, warned), warning, after = tab.evaluate(places)
    assert warned == plot and warning[0] > plot and warning[1] < after[0] and after == said
    assert tab.locator('[data-view="picture"].warned').count() == 1
    assert tab.locator('[data-view="strip"].warns, [data-view="chart"].warns').count() == 0


INSIDE = """() => { const c = document.querySelector("[data-view=picture] canvas.marks"), r = devicePixelRatio;
    const box = c.closest(".plot"), [x, y] = [-parseFloat(c.style.left) * r, -parseFloat(c.style.top) * r];
    const [w, h] = [box.clientWidth * r, box.clientHeight * r];
    return [h, w, [...c.getContext("2d").getImageData(x, y, w, h).data]] }"""


def inside(tab):
    """RGBA of the marks over the picture, without its surroundings."""
    high, wide, data = tab.evaluate(INSIDE)
    return np.array(data).reshape(int(high), int(wide), 4)


def test_marks_over_a_picture_look_the_same_in_the_dark(live, tab):
    circle = 0.7 * np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 90)), np.sin(a)], 1)

    def draw(controls):
        marks = [w.Lines(circle, "noise", width=4, dash=True, label="ring"), w.Points([[0, 0]], "data", size=20)]
        marks.append(w.Text([[0, 0.5]], ["0.7"], "data", size=20))
        return w.View(np.full((9, 9), 200, np.uint8), marks, (-1, 1, -1, 1), label="")

    tab.emulate_media(color_scheme="light")
    live(padded(draw=draw))
    settled(tab)
    chip = "getComputedStyle(document.querySelector('.chip')).color"
    light, key = inside(tab), tab.evaluate(chip)
    ground = tab.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("(g) => getComputedStyle(document.querySelector('.card')).backgroundColor !== g", arg=ground)
    np.testing.assert_array_equal(inside(tab), light)
    assert tab.evaluate(chip) == key
    ring = [light[round(len(light) * (1 - y) / 2), round(len(light[0]) * (x + 1) / 2), 3] for x, y in circle]
    assert min(ring) == 0 and max(ring) > 200  # between the dashes one sees the picture


def test_numbers_of_a_table_do_not_run_into_each_other(live, tab):
    def draw(controls):
        cells = w.Text([[x + 0.5, 0.5] for x in range(5)], ["−0.88"] * 5, size=22)
        return w.View(np.full((1, 5), 255, np.uint8), [cells], (0, 5, 1, 0), label="", size=0.5)

    tab.set_viewport_size({"width": 420, "height": 700})
    tab = live(padded(draw=draw))
    settled(tab)
    inked = inside(tab)[..., 3].max(0) > 60
    gaps = np.flatnonzero(np.diff(inked.astype(int)) == 1)
    cell = len(inked) / 5
    assert all(not inked[round(k * cell) - 1 : round(k * cell) + 1].any() for k in range(1, 5)), gaps


# Without a kernel


def opened(tab, path, fragments):
    path.write_text("<!doctype html><meta charset='utf-8'><body>" + "\n".join(fragments), "utf-8")
    tab.context.set_offline(True)
    try:
        tab.goto(path.as_uri())
        tab.wait_for_function(f"document.querySelector('{PICTURE}')?.width > 1")
    finally:
        tab.context.set_offline(False)


def test_sampled_page_moves_from_disk_with_the_network_off(tab, tmp_path):
    def draw(controls):
        x, y = controls["z"]
        overlay = [w.Points([[x, y]], "model")]
        view = w.View(field(controls) // (1 + controls["exact"]), overlay, (-3, 3, -3, 3))
        return w.Frame({"picture": view}, f"z is {x:.1f}, {y:.1f}")

    controls = [w.Toggle("exact"), w.Slider("unsampled", 0, 1), w.Button("halve", press=lambda c: {"h": c["h"] / 2})]
    controls.append(w.Handles("h", [(2.0, 2.0)], on="picture"))
    stage = padded(draw=draw, controls=controls, sampled={"z": (7, 4), "exact": True, "halve": 3})
    opened(tab, tmp_path / "page.html", [stage.to_html(), stage.to_html(script=False)])
    assert tab.locator(".card").count() == 2
    drag(tab, [place(tab, ".plain .layer >> nth=0"), place(tab, ".plain .layer >> nth=0", 0.66, 0.95)], steps=5)
    tab.locator('[data-control="exact"]').first.click()
    tab.wait_for_function("document.querySelector('.said').textContent === 'z is 1.0, −3.0'")  # nearest of -3, -2 … 3
    np.testing.assert_array_equal(pixels(tab), field({"z": (1, -3)}) // 2)
    tab.locator('[data-control="halve"]').first.click()
    tab.wait_for_function(
        "document.querySelector('[data-control=\"h 1\"]').getAttribute('aria-valuetext') === 'x 1.00, y 1.00'"
    )
    assert tab.locator('[data-control="unsampled"]').count() == 0
    assert "(168 sampled pictures)" in tab.locator(".tools").first.inner_text()


def test_in_a_sampled_page_each_control_stands_where_its_picture_is(tab, tmp_path):
    """Opened between samples, moved by keys, dragged between samples: words, knob and slider always agree."""

    def draw(controls):
        x, y = controls["z"]
        said = f"{x:.1f} {y:.1f} {controls['level']:.1f} {controls['step']} {controls['tile']} {controls['digit']}"
        return w.Frame({"picture": field(controls)}, said)

    controls = [w.Slider("level", 0.0, 2.0, 0.7), w.Timeline("step", 101, value=20), w.Button("go", lambda c: None)]
    controls += [w.Tiles("tile", on="picture", rows=2, columns=2, value=1), w.Choice("digit", range(4), 2)]
    stage = padded(draw=draw, controls=controls, caption="Press Train.", exported="Drag z.")
    stage.sampled = {"z": (4, 3), "level": 3, "step": 5, "go": 2, "tile": 2, "digit": 2}
    stage.set(z=(0.4, -0.5))
    opened(tab, tmp_path / "page.html", [stage.to_html()])
    says = lambda words: tab.wait_for_function(f"document.querySelector('.said').textContent === '{words}'")
    assert tab.locator(".caption").inner_text() == "Drag z."  # what one can do here
    says("1.0 0.0 1.0 25 0 2")  # the nearest samples: z1 of -3, -1, 1, 3; levels 0, 1, 2; steps 0, 25, ...
    assert tab.locator(PAD).get_attribute("aria-valuetext") == "z1 1.00, z2 0.00"
    assert tab.locator(".slider .number").inner_text() == "1"
    assert tab.locator(".timeline .number").inner_text() == "25 / 100"
    assert tab.locator(".segments label").all_inner_texts() == ["0", "2"]  # the options that were sampled
    tab.locator(PAD).press("ArrowLeft")
    tab.locator(PAD).press("ArrowUp")
    tab.locator('[data-control="level"]').press("ArrowRight")
    tab.locator('[data-control="step"]').press("ArrowRight")
    tab.locator('[data-control="tile"]').press("ArrowRight")
    says("−1.0 3.0 2.0 50 3 2")
    drag(tab, [place(tab, ".plain .layer"), place(tab, ".plain .layer", 0.62, 0.4)], steps=7)
    says("1.0 0.0 2.0 50 3 2")
    assert tab.locator(PAD).get_attribute("aria-valuetext") == "z1 1.00, z2 0.00"
    tab.locator('[data-control="go"]').click()
    assert tab.locator('[data-control="go"]').is_disabled()  # two states of it were sampled


def test_decoder_runs_in_the_page_as_torch_runs_it(tab, tmp_path):
    torch.manual_seed(0)
    parts = [nn.Linear(5, 24), nn.SiLU(), nn.Linear(24, 24), nn.GELU(), nn.Linear(24, 24), nn.ELU(), nn.Linear(24, 24)]
    net = nn.Sequential(*parts, nn.Softplus(), nn.Linear(24, 24), nn.LeakyReLU(), nn.Linear(24, 35))

    def draw(controls):
        z = torch.tensor([*controls["z"], *(float(controls["digit"] == d) for d in range(3))])
        return w.Frame(torch.sigmoid(net(z)).reshape(5, 7), w.where_is(controls["z"]))

    decoder = w.BrowserDecoder.of(net, ["z", "digit"], (5, 7), final="sigmoid", latent="z")
    stage = padded(draw=draw, controls=[w.Choice("digit", range(3))], decoder=decoder)
    opened(tab, tmp_path / "page.html", [stage.to_html()])
    tab.locator(".segments label").nth(2).click()
    tab.focus(PAD)
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "ArrowUp", "End"):
        tab.keyboard.press(key)
    here = {"z": (3.0, 0.05), "digit": 2}
    tab.wait_for_function("document.querySelector('.said').textContent.includes('radius 3.00')")
    wanted = np.rint(255 * draw(here).views.detach().numpy())
    np.testing.assert_allclose(pixels(tab).astype(int), wanted, atol=2)  # half precision
    assert np.ptp(wanted) > 20
    assert tab.locator(".said").inner_text().replace("\xa0", " ") == w.where_is(here["z"]).replace("\xa0", " ")
    assert "" == tab.locator(".warning").first.inner_text()


def test_blended_samples_are_the_mean_of_the_neighbors(tab, tmp_path):
    stage = w.Stage(
        lambda c: w.Frame(np.full((2, 2), c["level"], np.uint8), f"level {c['level']}"),
        [w.Slider("level", 0, 240, step=1)],
        sampled={"level": 3},
    )
    opened(tab, tmp_path / "page.html", [stage.to_html(blend=True)])
    for value in (30, 120, 239):
        tab.locator('[data-control="level"]').fill(str(value))
        tab.wait_for_function(
            f"document.querySelector('{PICTURE}').getContext('2d').getImageData(0, 0, 1, 1).data[0] === {value}"
        )
        nearest = 120 * round(value / 120)
        assert tab.locator(".said").inner_text().endswith(f"level {nearest}")
        assert ("mean of the samples" in tab.locator(".said").inner_text()) == (value != nearest)
