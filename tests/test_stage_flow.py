"""What a page asks for and when: alone in headless Chromium, with a model that the test plays."""

import browser
import numpy as np
import pytest
import stage_page
from browser import BARE, open_stage
from stage_page import PAD, PICTURE, answer, drag, field, level, padded, pixels, place, sent, settled, stop_clock

from gdm_core import widgets as w

pytestmark = browser.needed
chromium_running, tab, live = browser.chromium_running, browser.tab, stage_page.live  # fixtures


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
    assert waits() and tab.evaluate("getComputedStyle(document.querySelector('.views .view')).opacity") == "0.6"
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


def test_a_kernel_that_goes_is_told_a_state_that_has_not_rested_yet(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    drag(tab, [place(tab, ".plain .layer"), place(tab, ".plain .layer", 0.75)])
    assert tab.evaluate("__saved.length") == 0
    tab.evaluate("__emit('msg:custom', { kind: 'gone' })")
    assert tab.evaluate("__saved.length") == 1
    assert tab.evaluate("__saved[0].z[0]") == pytest.approx(1.5, abs=0.05)  # a quarter of 6 units
    tab.clock.run_for(1000)
    assert tab.evaluate("__saved.length") == 1


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
