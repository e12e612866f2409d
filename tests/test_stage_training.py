"""A model that trains behind a stage: pictures have their share of the time, and training the rest."""

import threading
import time

import browser
import numpy as np
import pytest
import stage_page
import torch
from browser import open_stage
from kernel_page import Page
from stage_page import PAD, answer, padded, sent, stop_clock
from torch import nn

from gdm_core import widgets as w
from gdm_core.explorers.learning import Learned, Ration

pytestmark = browser.needed
chromium_running, tab, live = browser.chromium_running, browser.tab, stage_page.live  # fixtures


def busy(seconds: float) -> None:
    """Takes so much of a processor, however many others want it."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def working(step=0.003):
    def make():
        while True:
            busy(step)
            yield

    return make


@pytest.mark.parametrize("hand, rest", [(True, 20), (False, 37)])
def test_a_picture_is_asked_for_when_training_has_had_its_time(tab, hand, rest):
    """Half of the time for pictures of 13 + 7 ms, and 35 % where no hand moves."""
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, ms=12, cost=13)
    tab.clock.run_for(1000)
    stir = lambda: tab.keyboard.press("ArrowRight") if hand else tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    tab.focus(PAD)
    stir()
    assert len(sent(tab)) == 2  # nothing was asked for a while
    stir()
    tab.clock.run_for(70)
    assert len(sent(tab)) == 2  # one at a time, however slow
    answer(tab, 2, ms=12, cost=13)
    tab.clock.run_for(rest - 2)
    assert len(sent(tab)) == 2
    tab.clock.run_for(4)
    assert len(sent(tab)) == 3
    answer(tab, 3, ms=12)  # the training has ended
    stir()
    assert len(sent(tab)) == 4


def test_a_dear_picture_now_and_then_does_not_break_the_pace(tab):
    """A quarter of what it costs more counts: 8.5 + 0.25 x 20 + 7 = 20.5 ms."""
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, ms=7.5, cost=8.5)
    tab.clock.run_for(1000)
    tab.focus(PAD)
    tab.keyboard.press("ArrowRight")
    answer(tab, 2, ms=27.5, cost=28.5)
    tab.keyboard.press("ArrowRight")
    tab.clock.run_for(19)
    assert len(sent(tab)) == 2
    tab.clock.run_for(4)
    assert len(sent(tab)) == 3


def test_a_page_asks_again_by_itself_when_there_is_always_news(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, ms=7.5, cost=8.5, again=True)
    tab.clock.run_for(27)
    assert len(sent(tab)) == 1  # a watcher's share, as ever
    tab.clock.run_for(4)
    assert len(sent(tab)) == 2
    answer(tab, 2, ms=7.5, cost=8.5)
    tab.clock.run_for(1000)
    assert len(sent(tab)) == 2


def test_a_view_that_stays_as_it_is_is_not_painted_again(tab):
    open_stage(tab, padded().spec)
    tab.evaluate("""(() => { const all = CanvasRenderingContext2D.prototype, plain = all.putImageData;
      globalThis.__painted = 0;
      all.putImageData = function (...given) { __painted++; return plain.apply(this, given) } })()""")
    for n, (level, painted) in enumerate([(3, 1), (3, 1), (5, 2), (3, 3)], 1):
        answer(tab, n, level=level)
        assert tab.evaluate("__painted") == painted and stage_page.level(tab) == level
        tab.focus(PAD)
        tab.keyboard.press("ArrowRight")


@pytest.mark.parametrize("pause, told", [(0.002, False), (0.1, True)])
def test_only_a_slow_training_tells_the_page_of_its_news(pause, told):
    """A fast one has news whenever the page asks: each answer says so, until the training rests."""
    trainer = w.Trainer(lambda: (time.sleep(pause) for _ in range(10**6)), every=0.001)
    page = Page(w.Stage(lambda c: np.zeros((2, 2), np.uint8), [w.Pad("z", 1.0)], trainer=trainer))
    page.draw(train=["start"])
    time.sleep(0.4)
    page.draw()
    page.sent.clear()
    replies = [page.draw()[0] for _ in range(3) if not time.sleep(0.25)]
    assert all(("again" in reply) is not told for reply in replies)
    assert ("stale" in [content["kind"] for content, _ in page.sent]) is told
    page.draw(train=["pause"])
    trainer.wait()
    assert "again" not in page.draw()[0]
    page.sent.clear()
    trainer.step().wait()
    assert "stale" in [content["kind"] for content, _ in page.sent]
    trainer.stop().wait()


class Watched:
    """A training as a ration sees it."""

    running, steps = True, 7

    def count(self):
        return 4


def test_what_is_heavy_waits_for_its_share_of_the_time():
    trainer, made = Watched(), []
    ration = Ration(trainer)

    def make():
        busy(0.02)
        made.append(trainer.steps)
        return len(made)

    ask = lambda index=-1, *by: ration(index, make, *by)
    assert [ask(), ask(), ask(3), ask(2)] == [1, 1, 1, 1]
    assert ask(-1, "map") == 2 and ask(-1, "map") == 2  # a hand chose it
    time.sleep(0.2)
    assert ask(-1, "map") == 2  # 0.02 s of a third of a second
    time.sleep(0.3)
    assert ask(-1, "map") == 3
    assert ask(1, "map") == 4 and ask(1, "map") == 5  # an older checkpoint is shown as it was
    assert ask(-1, "map") == 6
    trainer.steps = 2  # it began anew
    assert ask(-1, "map") == 7
    trainer.running = False
    assert ask(-1, "map") == 8 and ask(-1, "map") == 9


def test_the_newest_model_is_at_hand_while_what_is_heavy_is_a_moment_old(tmp_path, monkeypatch):
    monkeypatch.setenv("GDM_MODELS", str(tmp_path))

    def recipe(steps=10**6, device="cpu"):
        model = nn.Linear(1, 1)
        with torch.no_grad():
            model.weight.zero_()

        def run():
            for _ in range(steps):
                with torch.no_grad():
                    model.weight.add_(1.0)
                time.sleep(0.002)
                yield

        return model, run()

    def look(model):
        busy(0.05)
        return model.weight.item()

    learned = Learned(recipe, look, seed=0, device="cpu", steps=500)
    assert learned.model(-1).weight.item() == learned.finished == 500.0
    trainer = learned.trainer.start()
    while trainer.count() < 3:
        time.sleep(0.01)
    shown, said = learned.at(-1)
    assert said == f"step {shown:.0f} of 500"
    time.sleep(0.2)
    assert learned.at(-1) == (shown, said) and learned.model(-1).weight.item() > shown
    trainer.pause().wait()
    assert learned.at(-1)[0] == learned.model(-1).weight.item() == trainer.steps
    trainer.stop().wait()


def test_a_hand_does_not_wait_as_long_as_one_who_watches(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, ms=7.5, cost=8.5)
    tab.evaluate("__emit('msg:custom', { kind: 'stale' })")
    tab.clock.run_for(19)
    assert len(sent(tab)) == 1
    tab.focus(PAD)
    tab.keyboard.press("ArrowRight")
    assert len(sent(tab)) == 2


def test_nothing_is_dimmed_while_a_model_trains(tab):
    stop_clock(tab)
    open_stage(tab, padded().spec)
    answer(tab, 1, cost=13)
    tab.focus(PAD)
    tab.clock.run_for(100)
    tab.keyboard.press("ArrowRight")
    tab.clock.run_for(900)
    assert len(sent(tab)) == 2 and not tab.locator(".views[aria-busy]").count()


def test_an_answer_tells_what_a_running_training_lost_to_it():
    def draw(controls):
        time.sleep(0.05)
        busy(0.01)
        return np.zeros((2, 2), np.uint8)

    trainer = w.Trainer(working(0.0005))
    page = Page(w.Stage(draw, [w.Pad("z", 1.0)], trainer=trainer))
    assert "cost" not in page.draw()[0]
    page.draw(train=["start"])
    told = page.draw()[0]
    trainer.stop().wait()
    assert 9 < told["cost"] < 40 and told["ms"] > 55, told  # nothing was computed while it slept
    assert "cost" not in page.draw()[0]


def test_what_a_page_asks_for_between_two_pictures_is_part_of_their_price():
    """Messages are read and sent on the thread that draws; what a cell computes there is not the pictures' fault."""
    trainer = w.Trainer(working(0.0005))
    page = Page(w.Stage(lambda c: np.zeros((2, 2), np.uint8), [w.Pad("z", 1.0)], trainer=trainer))
    page.draw()
    busy(0.02)
    page.draw(train=["start"])
    first = page.draw()[0]["cost"]
    busy(0.02)
    asked = page.draw()[0]["cost"]
    busy(0.2)
    held_up = page.draw()[0]["cost"]
    page.draw(train=["pause"])
    trainer.wait()
    page.draw()
    busy(0.02)
    again = page.draw(train=["start"])[0].get("cost", 0.0)
    trainer.stop().wait()
    assert first < 10 and 20 < asked < 35 and 30 < held_up < 45 and again < 10, (first, asked, held_up, again)


def test_training_waits_for_the_whole_answer():
    """Two threads that take turns in one picture would lose more than they share."""
    held = []

    class Slow:
        def encode(self):
            before = trainer.steps
            time.sleep(0.02)  # within the patience of a training
            held.append(trainer.steps - before)
            return w.Points([[0.0, 0.0]]).encode()

    trainer = w.Trainer(working(0.0005))
    page = Page(w.Stage(lambda c: w.View(None, [Slow()], (0, 1, 0, 1)), [w.Pad("z", 1.0)], trainer=trainer))
    page.draw(train=["start"])
    time.sleep(0.05)
    for _ in range(5):
        page.draw()
    trainer.stop().wait()
    assert max(held[2:]) <= 1, held


def test_snapshots_of_a_large_model_are_taken_less_often():
    def copy(_):
        busy(0.02)

    trainer = w.Trainer(working(), copy, every=0.001)
    trainer.start()
    time.sleep(1.5)
    trainer.stop().wait()
    assert 0 < len(trainer.snapshots) <= 7  # 0.02 s of each third of a second, and the first and the last


def test_what_is_shown_of_a_checkpoint_is_computed_when_somebody_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("GDM_MODELS", str(tmp_path))
    seen = []

    def recipe(steps=8, device="cpu"):
        model = nn.Linear(1, 1).to(device)

        def run():
            for _ in range(steps):
                with torch.no_grad():
                    model.weight.add_(1.0)
                yield

        return model, run()

    def look(model):
        seen.append(threading.current_thread().name)
        return model.weight.item()

    learned = Learned(recipe, look, seed=0, device="cpu", steps=8)
    assert len(seen) == 1 and learned.at(-1) == (learned.finished, "trained 8 steps")
    learned.trainer.every = 0
    for _ in range(8):
        learned.trainer.step().wait()
    learned.trainer.start().wait()
    assert len(seen) == 1 and len(learned.trainer.snapshots) == 9
    assert learned.at(-1)[0] == pytest.approx(learned.finished) and learned.at(-1)[1] == "step 8 of 8"
    assert learned.at(3)[0] == pytest.approx(learned.finished - 5) and len(seen) == 3
    assert "trainer" not in seen


def test_training_keeps_most_of_the_time_in_a_page_that_watches_and_some_while_one_drags(live, tab):
    """Steps of 3 ms and pictures of 8 ms of a processor; .82 and .74 on a quiet machine."""
    drawn = []

    def draw(controls):
        busy(0.008)
        drawn.append(1)
        return np.full((16, 16), trainer.latest.step % 256, np.uint8)

    trainer = w.Trainer(working(), lambda _: None)
    live(w.Stage(draw, [w.Pad("z", 1.0)], trainer=trainer))
    tab.click('[data-control="train start"]')
    tab.evaluate("void setInterval(() => __emit('msg:custom', { kind: 'stale' }), 30)")  # as the kernel tells it

    def share():
        steps, pictures = trainer.steps, len(drawn)
        tab.wait_for_timeout(2000)
        steps, pictures = trainer.steps - steps, len(drawn) - pictures
        assert pictures > 15, pictures
        return 3 * steps / (3 * steps + 8 * pictures)

    alone = share()
    hand = """(() => { const knob = document.querySelector(".knob"), keys = ["ArrowRight", "ArrowLeft"]; let i = 0;
      globalThis.hand = setInterval(() =>
        knob.dispatchEvent(new KeyboardEvent("keydown", { key: keys[Math.floor(i++ / 20) % 2] })), 5) })()"""
    tab.evaluate(hand)
    dragged = share()
    tab.evaluate("clearInterval(globalThis.hand)")
    trainer.stop().wait()
    assert alone > 0.6 and 0.3 < dragged < alone, (alone, dragged)
