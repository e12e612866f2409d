"""A model that trains behind a stage: steps, snapshots, errors, ends."""

import gc
import itertools
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from kernel_page import Page, levels
from torch import nn

from gdm_core import widgets as w
from gdm_core.kept import frozen
from gdm_core.widgets.stage import Stage


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


def test_a_single_step_is_seen_though_no_snapshot_was_due():
    trainer = w.Trainer(counting(5), every=1000.0)
    assert trainer.count() == 1  # of the untrained model, before there is one
    assert [s.step for s in trainer.step().wait().snapshots] == [0, 1]
    trainer.stop().wait()


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


def test_checkpoints_fit_into_their_room():
    """What all of them share is counted once; that of the start and the newest stay, whatever they weigh."""
    shared = torch.zeros(10_000)

    def make():
        for k in range(100):
            yield {"own": torch.full((250,), float(k)), "set": shared}  # 1,000 bytes of its own

    trainer = w.Trainer(make, lambda state: state and {**state, "own": state["own"].clone()}, every=0, room=60_000)
    trainer.start().wait()
    steps = [s.step for s in trainer.snapshots]
    assert steps[0] == 0 and steps[-1] == 100 and 10 <= len(steps) <= 21
    tight = w.Trainer(make, every=0, room=1)
    tight.start().wait()
    assert [s.step for s in tight.snapshots] == [0, 100]


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

    trainer = w.Trainer(make, lambda _: frozen(model), every=0)
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


def test_a_timeline_over_checkpoints_is_numbered_by_steps():
    trainer = w.Trainer(counting(40), every=0, keep=5, total=40)
    stage = Stage(
        lambda c: np.full((2, 2), trainer.at(c["checkpoint"]).step, np.uint8),
        [w.Timeline("checkpoint", trainer.count, value=-1, follow=True)],
        trainer=trainer,
        source="make()",
    )
    trainer.start().wait()
    marks = trainer.marks()
    assert marks == sorted(set(marks)) and marks[0] == 0 and marks[-1] == 40 and len(marks) <= 6
    page = Page(stage)
    for wanted in (marks[1], marks[1] + 1, 40, -1):
        shown = page.picture({"checkpoint": wanted})[0, 0]
        assert shown == (40 if wanted < 0 else min(marks, key=lambda m: (abs(m - wanted), -m)))
    stage.set(checkpoint=marks[2])
    assert stage.state == {"checkpoint": marks[2]} and stage.values()["checkpoint"] == 2
    assert stage.code() == "make()"  # the cell would start without the training
    trainer.reset().wait()
    assert stage.values()["checkpoint"] == 0 and stage.frame().encode()["views"][0]["image"][0, 0] == 0


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
    assert len(told["lengths"]["checkpoint"]) >= 5 and page.draw()[0]["trainer"]["steps"] == trainer.steps
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
    time.sleep(0.4)
    free = trainer.steps
    with drawing():
        time.sleep(0.02)
        before = trainer.steps
        time.sleep(0.2)
        held = trainer.steps - before
    trainer.stop().wait()
    assert free > 20 and 1 <= held <= 6  # one step each 50 ms: slowed, never starved
