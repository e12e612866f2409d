"""Models that are trained once and kept: for what they are, and never at the cost of the page."""

import importlib
import os
import textwrap
import threading
import time

import pytest
import torch
from torch import nn

from gdm_core import data, train
from gdm_core import kept as module
from gdm_core import reachable as code
from gdm_core.explorers import style_vaes
from gdm_core.explorers.learning import learner
from gdm_core.kept import own_draws, place, trained
from gdm_core.models.vae import VAE
from gdm_core.reachable import reachable

counted = []  # one entry a training step


def line(width: int = 2, steps: int = 3, device="cpu"):
    """Recipe: weights move by chance, so that a training leaves its mark."""
    model = nn.Linear(width, 1).to(device)

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


def itself(model):
    return model


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

    def recipe(device):
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
    monkeypatch.setattr(module, "reachable", lambda recipe: {"line": "another loop"})
    trained(line, steps=3)
    assert len(counted) == 9
    assert len(list(home.iterdir())) == 2, "the file of the older code goes, that of other options stays"


def test_the_key_knows_all_that_a_recipe_reaches(tmp_path, monkeypatch):
    """Functions, classes, constants, in its own file and through imports; any change of one changes the key."""
    monkeypatch.syspath_prepend(tmp_path)
    files = {
        "key_of_recipes": """
            import functools
            import key_of_helpers
            from key_of_helpers import Net as Network, helper as renamed
            SIZE = 3
            TABLE = {"a": 1}
            TABLE["b"] = 2
            UNUSED = 0
            def unused(): return UNUSED
            @functools.cache
            def examples(): return SIZE * renamed()
            def recipe(device="cpu"):
                from key_of_helpers import late
                lr: float = TABLE["a"]
                return Network(examples()), [key_of_helpers.other.method(lr), late()]
            """,
        "key_of_helpers": """
            WIDTH, DEPTH = 4, 5
            class Base:
                shape = DEPTH
            class Net(Base):
                def __init__(self, n): self.n = n + WIDTH
            class other:
                @staticmethod
                def method(lr): return lr
            def helper(): return wrapped(2)
            wrapped = (lambda f: f)(lambda x: hidden(x))
            def hidden(x): return x
            def late(): return 1
            def idle(): return 2
            """,
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    key = lambda: (forget_code(), place(importlib.import_module("key_of_recipes").recipe, 0, {}))[1]
    first = key()
    for file, old, new, matters in (
        ("key_of_recipes", "SIZE = 3", "SIZE = 4", True),
        ("key_of_recipes", '"a": 1', '"a": 9', True),
        ("key_of_recipes", 'TABLE["b"] = 2', 'TABLE["b"] = 3', True),
        ("key_of_recipes", "UNUSED = 0", "UNUSED = 1", False),
        ("key_of_recipes", "return UNUSED", "return None", False),
        ("key_of_helpers", "WIDTH, DEPTH = 4, 5", "WIDTH, DEPTH = 4, 6", True),
        ("key_of_helpers", "n + WIDTH", "n - WIDTH", True),
        ("key_of_helpers", "shape = DEPTH", "shape = -DEPTH", True),
        ("key_of_helpers", "def method(lr): return lr", "def method(lr): return -lr", True),
        ("key_of_helpers", "def hidden(x): return x", "def hidden(x): return -x", True),
        ("key_of_helpers", "def late(): return 1", "def late(): return 3", True),
        ("key_of_helpers", "def idle(): return 2", "def idle(): return 4", False),
    ):
        path, text = tmp_path / f"{file}.py", (tmp_path / f"{file}.py").read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        assert (key() != first) == matters, f"{old} -> {new}"
        path.write_text(text)
    assert key() == first


def forget_code():
    for cached in (code._reachable, code._definitions, code._file):
        cached.cache_clear()


def test_the_key_of_a_real_recipe():
    """What shapes a VAE is there, as far down as the KL; what it has nothing to do with is not."""
    found = reachable(style_vaes.plain_vae)
    shapes = ("models.vae.VAE", "inference.bounds.kl", "likelihoods.Gaussian", "networks.MLPEncoder", "train.steps")
    shapes += ("data.three_styles.HELD", "data.strokes.paths.PATHS", "explorers.ink.InkDecoder", "checkpoint.Batches")
    assert {f"gdm_core.{name}" for name in shapes} <= found.keys()
    alone = ("models.gmm", "models.vqvae", "data.scenes", "inference.grid", "inference.per_datapoint", "widgets")
    assert not [name for name in found if name.startswith(tuple(f"gdm_core.{part}" for part in alone))]
    assert all(name.startswith("gdm_core.") for name in found)
    assert "gdm_core.explorers.style_vaes.class_vae" not in found


def documented(x: int) -> int:
    """Words."""
    return x  # more words


def test_words_are_no_code():
    assert reachable(documented) == {f"{__name__}.documented": "def documented(x):\n    return x"}


def test_a_recipe_without_a_file_is_refused_in_words():
    with pytest.raises(ValueError, match="needed a function that is defined in a file, got int"):
        reachable(int)


@pytest.mark.filterwarnings("ignore:.*meta parameter.*")
def test_a_model_serves_on_another_device_than_it_was_trained_on(home):
    """`meta` has no numbers, but it is another device: what was kept is not trained again there."""
    here = trained(line, steps=3)
    there = trained(line, steps=3, device="meta")
    assert len(counted) == 3 and len(list(home.iterdir())) == 1
    assert there.weight.device.type == "meta" and here.weight.device.type == "cpu"
    assert trained(line, steps=3) is here and trained(line, steps=3, device="meta") is there


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
    def recipe(device):
        def run():
            yield
            raise FloatingPointError("needed a finite loss")

        return nn.Linear(1, 1), run()

    with pytest.raises(FloatingPointError):
        trained(recipe)
    assert not list(home.iterdir()) and not module._kept


def test_the_learner_starts_from_zero_and_keeps_frozen_looks():
    trainer = learner(line, lambda model: (model, model.weight.sum().item()), seed=0, device="cpu", steps=4)
    try:
        trainer.step(4).wait()
        assert trainer.status()["total"] == 4 and trainer.status()["steps"] == 4
        (start, before), (end, after) = trainer.at(0).state, trainer.latest.state
        assert start.weight.sum().item() == before != after == end.weight.sum().item()
        assert not end.weight.requires_grad and not end.training
    finally:
        trainer.stop().wait()  # or its last step would take the next test's random numbers


def digits(steps: int = 30, device="cpu"):
    """Recipe: chance in the weights, in the order of the examples and in the noise of z."""
    x = data.load("digits").x[:200]
    model = VAE((1, 8, 8), 2, hidden=(16,))
    return model, train.steps(model, x, steps=steps, batch_size=32)


def test_trained_while_one_watches_it_ends_at_the_kept_model():
    """Whatever else draws random numbers between its steps; and a restart repeats the run."""
    kept, other = (trained(digits, seed=seed, steps=30).state_dict() for seed in (3, 4))
    assert not torch.equal(kept["encoder.net.0.weight"], other["encoder.net.0.weight"])
    trainer = learner(digits, itself, seed=3, device="cpu", steps=30)
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
    trainer = learner(line, itself, seed=1, device="cpu", steps=5)
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

    trainer = learner(lambda **_: (nn.Linear(1, 1), Endless()), itself, seed=0, device="cpu", steps=9)
    trainer.step(2).wait().stop().wait()
    assert seen == ["trainer"]


def test_own_draws_and_a_training_take_turns():
    """Both would take from the same stream."""
    expected, inside = torch.Generator().manual_seed(9), threading.Event()

    def recipe(device):
        def run():
            while True:
                torch.randn(1)
                inside.set()
                time.sleep(0.01)  # a large step, with its numbers in everybody's place
                torch.randn(1)
                yield

        return nn.Linear(1, 1), run()

    trainer = learner(lambda steps, device: recipe(device), itself, seed=0, device="cpu", steps=9)
    try:
        trainer.start()
        inside.wait(10)
        for _ in range(3):
            with own_draws(9):
                found = [torch.randn(1), time.sleep(0.03), torch.randn(1)]
            assert torch.equal(torch.stack(found[::2]), torch.randn(2, 1, generator=expected.manual_seed(9)))
    finally:
        trainer.stop().wait()  # or its last step would take the next test's random numbers
