"""What one takes home from a stage: pictures, recordings, links, code."""

import browser
import numpy as np
import stage_page
from browser import open_stage
from PIL import Image
from stage_page import PAD, answer, field, hold_the_clipboard, padded, sent, settled, stop_clock

from gdm_core import widgets as w

pytestmark = browser.needed
chromium_running, tab, live = browser.chromium_running, browser.tab, stage_page.live  # fixtures


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
