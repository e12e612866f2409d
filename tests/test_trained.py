"""Models that explorers train: once, for what they are, and never at the cost of the page."""

import functools
import os
import threading
import time

import pytest
import torch
from torch import nn

from gdm_core import data, train
from gdm_core.explorers import trained as module
from gdm_core.explorers.trained import learner, own_draws, place, trained
from gdm_core.models.vae import VAE

counted = []  # one entry a training step


def line(width: int = 2, steps: int = 3):
    """Recipe: weights move by chance, so that a training leaves its mark."""
    model = nn.Linear(width, 1)

    def run():
        for _ in range(steps):
            counted.append(width)
            with torch.no_grad():
                model.weight += torch.randn_like(model.weight)
            yield

    return model, run()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GDM_MODELS", str(tmp_path))
    forget()
    counted.clear()
    yield tmp_path
    forget()


def forget():
    """As if the process were new."""
    module._kept.clear()


def test_trains_once_and_is_then_read_from_memory_and_from_the_file(home):
    first = trained(line, steps=3)
    assert len(counted) == 3 and not first.training and not first.weight.requires_grad
    assert trained(line, steps=3) is first
    forget()
    again = trained(line, steps=3)
    assert len(counted) == 3 and again is not first
    torch.testing.assert_close(again.state_dict(), first.state_dict(), rtol=0, atol=0)
    assert len(list(home.glob("line-*.safetensors"))) == 1


def test_the_seed_alone_decides_and_the_callers_random_numbers_stay(home):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    weight = trained(line, steps=2).weight
    assert torch.equal(torch.get_rng_state(), before)
    forget()
    for file in home.iterdir():
        file.unlink()
    torch.manual_seed(6)
    assert torch.equal(trained(line, steps=2).weight, weight)
    assert not torch.equal(trained(line, seed=1, steps=2).weight, weight)


def test_gradients_are_recorded_while_training_whatever_the_caller_does():
    seen = []

    def recipe():
        model = nn.Linear(1, 1)
        return model, (seen.append(model(torch.ones(1)).requires_grad) for _ in range(1))

    with torch.no_grad():
        trained(recipe)
    assert seen == [True]


def test_other_options_other_code_other_sizes_train_anew(home, monkeypatch):
    trained(line, steps=3)
    trained(line, steps=3, width=4)
    assert len(counted) == 6 and len(list(home.iterdir())) == 2
    forget()
    monkeypatch.setattr(module, "_text", lambda file: b"another loop")
    trained(line, steps=3)
    assert len(counted) == 9
    assert len(list(home.iterdir())) == 2, "the file of the older code goes, that of other options stays"


@functools.cache
def examples():
    return drawn(2)


def drawn(n):
    return torch.ones(n) if n else examples()


def from_examples():
    """Recipe: its data are made by other functions of this file."""
    return nn.Linear(2, 1), [examples()]


def test_the_key_knows_the_functions_that_a_recipe_calls():
    told = module._told(from_examples)
    assert all(words in told for words in ("def from_examples", "return drawn(2)", "return torch.ones(n)"))
    assert told.count("return drawn(2)") == 1 and "def counted" not in told and "class Linear" not in told


def test_the_key_knows_the_code_that_shapes_a_model():
    files = {f.name for f in module._sources(VAE(2, 1, hidden=(4,)))}
    assert {"train.py", "networks.py", "likelihoods.py", "vae.py", "digits.py", "checkpoint.py"} <= files
    assert "gmm.py" not in files
    narrow, wide = (place(line, VAE(2, 1, hidden=(h,)), 0, {}) for h in (4, 5))
    assert narrow != wide


@pytest.mark.parametrize("payload", [b"", b"not a model", None])
def test_a_file_that_cannot_be_read_is_replaced(home, payload):
    wanted = trained(line, steps=3).state_dict()
    (file,) = home.iterdir()
    if payload is None:  # a good file of another model
        trained(line, steps=1, width=4)
        (other,) = set(home.iterdir()) - {file}
        payload = other.read_bytes()
    file.write_bytes(payload)
    forget()
    counted.clear()
    torch.testing.assert_close(trained(line, steps=3).state_dict(), wanted, rtol=0, atol=0)
    assert len(counted) == 3
    forget()
    trained(line, steps=3)
    assert len(counted) == 3


def test_a_home_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("GDM_MODELS", os.fspath(blocked))
    assert trained(line, steps=3) is trained(line, steps=3)
    assert len(counted) == 3


def test_an_error_in_training_leaves_nothing_behind(home):
    def recipe():
        def run():
            yield
            raise FloatingPointError("needed a finite loss")

        return nn.Linear(1, 1), run()

    with pytest.raises(FloatingPointError):
        trained(recipe)
    assert not list(home.iterdir()) and not module._kept


def test_the_learner_starts_from_zero_and_keeps_frozen_looks():
    trainer = learner(line, lambda model: (model, model.weight.sum().item()), steps=4)
    try:
        trainer.step(4).wait()
        assert trainer.status()["total"] == 4 and trainer.status()["steps"] == 4
        (start, before), (end, after) = trainer.at(0).state, trainer.latest.state
        assert start.weight.sum().item() == before != after == end.weight.sum().item()
        assert not end.weight.requires_grad and not end.training
    finally:
        trainer.stop().wait()  # or its last step would take the next test's random numbers


def digits(steps: int = 30):
    """Recipe: chance in the weights, in the order of the examples and in the noise of z."""
    x = data.load("digits").x[:200]
    model = VAE((1, 8, 8), 2, hidden=(16,))
    return model, train.steps(model, x, steps=steps, batch_size=32)


def test_trained_while_one_watches_it_ends_at_the_kept_model():
    """Whatever else draws random numbers between its steps; and a restart repeats the run."""
    kept, other = (trained(digits, seed=seed, steps=30).state_dict() for seed in (3, 4))
    assert not torch.equal(kept["encoder.net.0.weight"], other["encoder.net.0.weight"])
    trainer = learner(digits, seed=3, steps=30)
    try:
        for _ in range(30):
            torch.randn(3)
            trainer.step().wait()
        torch.testing.assert_close(trainer.latest.state.state_dict(), kept, rtol=0, atol=0)
        half = trainer.at(15)
        trainer.reset().wait().start().wait()
        assert trainer.done and trainer.steps == 30
        torch.testing.assert_close(trainer.latest.state.state_dict(), kept, rtol=0, atol=0)
        trainer.reset().wait().step(half.step).wait()
        torch.testing.assert_close(trainer.latest.state.state_dict(), half.state.state_dict(), rtol=0, atol=0)
    finally:
        trainer.stop().wait()  # or its last step would take the next test's random numbers


def test_the_learner_leaves_everybodys_random_numbers_alone():
    torch.manual_seed(8)
    before = torch.get_rng_state()
    trainer = learner(line, seed=1, steps=5)
    try:
        for _ in range(5):
            trainer.step().wait()
            assert torch.equal(torch.get_rng_state(), before)
        trainer.start().wait()
        assert trainer.done and torch.equal(torch.get_rng_state(), before)
    finally:
        trainer.stop().wait()  # or its last step would take the next test's random numbers


def test_a_run_that_is_stopped_cleans_up_in_its_own_thread():
    seen = []

    class Endless:
        """Not a generator: nothing but `close` ends it."""

        def __iter__(self):
            return self

        def __next__(self):
            return 0

        def close(self):
            seen.append(threading.current_thread().name)

    trainer = learner(lambda: (nn.Linear(1, 1), Endless()))
    trainer.step(2).wait().stop().wait()
    assert seen == ["trainer"]


def test_own_draws_and_a_training_take_turns():
    """Both would take from the same stream."""
    expected, inside = torch.Generator().manual_seed(9), threading.Event()

    def recipe():
        def run():
            while True:
                torch.randn(1)
                inside.set()
                time.sleep(0.01)  # a large step, with its numbers in everybody's place
                torch.randn(1)
                yield

        return nn.Linear(1, 1), run()

    trainer = learner(recipe)
    try:
        trainer.start()
        inside.wait(10)
        for _ in range(3):
            with own_draws(9):
                found = [torch.randn(1), time.sleep(0.03), torch.randn(1)]
            assert torch.equal(torch.stack(found[::2]), torch.randn(2, 1, generator=expected.manual_seed(9)))
    finally:
        trainer.stop().wait()  # or its last step would take the next test's random numbers
