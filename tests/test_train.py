"""The training loop: against a loop by hand, stopped and resumed, interrupted, diverging, validated."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import safetensors.torch
import torch
from torch import nn

from gdm_core import checkpoint, train
from gdm_core.models.gmm import GMM
from gdm_core.models.ppca import PPCA

DATA = torch.randn(37, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


class Noisy(nn.Module):
    """Whatever can make a resumed run differ: noise of its own, dropout, running averages, a tied weight."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.a, self.norm, self.drop = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3)
        self.b = nn.Linear(4, 3)
        self.tied = self.b
        self.empty = nn.Parameter(torch.zeros(2, 0))
        self.double()

    def loss(self, x):
        noisy = x + 0.1 * torch.randn_like(x)
        return (self.tied(self.drop(self.norm(self.a(noisy)).tanh())) - x).square().sum(1).mean() + self.empty.sum()


class Line(nn.Module):
    """loss = slope * w: every gradient is known."""

    def __init__(self, slope=1.0, trap=None):
        super().__init__()
        self.w, self.slope, self.trap, self.calls = nn.Parameter(torch.tensor(2.0)), slope, trap, 0

    def loss(self, x):
        self.calls += 1
        if self.trap:
            self.trap(self)
        return self.slope * self.w + 0 * x.mean()


def equal_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


OPTIMIZERS = {
    "adam": None,
    "plain adamw": lambda m: torch.optim.AdamW(m.parameters(), lr=0.01, weight_decay=0.1),
    "momentum": lambda m: torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9),
    "two groups": lambda m: torch.optim.RMSprop(
        [{"params": m.a.parameters()}, {"params": m.b.parameters(), "lr": 0.1}]
    ),
}


def noisy_run(model, *, path=None, optimizer="adam", steps=23, **options):
    make = OPTIMIZERS[optimizer]
    options = {"batch_size": 8, "lr": 0.01, "schedule": train.cosine, "clip": 0.5, "checkpoint_every": 5} | options
    options |= {"validation": DATA[:9], "validate_every": 4}
    return train.steps(model, DATA, steps=steps, checkpoint=path, optimizer=make and make(model), **options)


def whole_run(**options):
    model = Noisy()
    torch.manual_seed(7)
    *_, history = noisy_run(model, **options)
    return model, history, torch.randn(3)


def finish(path, **options):
    """Another process, as it were: other weights, another seed, then the checkpoint."""
    model = Noisy(seed=99)
    torch.manual_seed(1234)
    *_, history = noisy_run(model, path=path, **options)
    return model, history, torch.randn(3)


def same(one, other):
    assert one[1] == other[1]
    assert equal_state(one[0], other[0])
    assert torch.equal(one[2], other[2]), "the random numbers after the run differ"


# The loop


@pytest.mark.parametrize("batch_size", [8, 100])
def test_steps_are_those_of_adam_by_hand(batch_size):
    model, by_hand = PPCA(3, 1).double(), PPCA(3, 1).double()
    by_hand.load_state_dict(model.state_dict())
    history = train.fit(model, DATA, steps=20, batch_size=batch_size, lr=0.05, seed=3, clip=0.7)
    optimizer, generator = torch.optim.Adam(by_hand.parameters(), lr=0.05), torch.Generator().manual_seed(3)
    size = min(batch_size, 37)
    index = torch.cat([torch.randperm(37, generator=generator) for _ in range(20)])
    losses = []
    for i in range(20):
        optimizer.zero_grad()
        loss = by_hand.loss(DATA[index[i * size : (i + 1) * size]])
        loss.backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), 0.7)
        optimizer.step()
        losses.append(loss.item())
    torch.testing.assert_close(torch.tensor(history.loss), torch.tensor(losses), rtol=1e-6, atol=0)
    for key, value in by_hand.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=1e-6, atol=1e-8)


def test_training_reaches_the_known_optimum():
    model, best = PPCA(3, 1).double(), PPCA(3, 1).double().solve(DATA)
    history = train.fit(model, DATA, steps=800, batch_size=37, lr=0.05, schedule=train.cosine)
    assert len(history) == 800 and not model.training
    assert model.loss(DATA).item() == pytest.approx(best.loss(DATA).item(), abs=1e-6)
    assert all(v > best.loss(DATA).item() - 1e-9 for v in history.loss)


def test_each_epoch_sees_each_example_once():
    seen = []

    class Look(Line):
        def loss(self, x):
            seen.append(x[:, 0])
            return super().loss(x)

    train.fit(Look(), torch.arange(10.0)[:, None], steps=15, batch_size=4)
    epochs = torch.cat(seen).reshape(6, 10)
    assert all(torch.equal(e.sort().values, torch.arange(10.0)) for e in epochs)
    assert len({tuple(e.tolist()) for e in epochs}) == 6  # in another order each time
    assert all(len(s) == 4 for s in seen)


def test_tuples_are_indexed_together():
    class Paired(Line):
        def loss(self, x, y):
            assert torch.equal(x[:, 0].long(), y) and y.dtype == torch.long and len(x) == len(y) == 4
            return super().loss(x)

    x = torch.arange(10.0)[:, None]
    model = Paired()
    train.fit(model, (x, x[:, 0].long()), steps=7, batch_size=4, validation=(x[:4], x[:4, 0].long()), validate_every=2)
    assert model.calls == 7 + 4


def test_schedule_scales_the_rate_of_each_group_and_gives_it_back():
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rates = [
        optimizer.param_groups[0]["lr"]
        for _ in train.steps(model, DATA, steps=5, optimizer=optimizer, schedule=train.cosine)
    ]
    assert rates == pytest.approx([0.1 * train.cosine(i / 4) for i in range(5)])
    assert model.w.item() == pytest.approx(2 - sum(rates))
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_rate_set_between_steps_is_kept():
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in train.steps(model, DATA, steps=3, optimizer=optimizer):
        optimizer.param_groups[0]["lr"] /= 10
    assert model.w.item() == pytest.approx(2 - 0.1 - 0.01 - 0.001)


def test_clip_bounds_the_norm_of_the_gradient():
    model = Line(slope=300.0)
    train.fit(model, DATA, steps=1, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), clip=2.0)
    assert model.w.item() == pytest.approx(2 - 0.1 * 2, rel=1e-5)


def test_parameters_left_alone_do_not_count_in_the_norm():
    """The optimizer has one of two; the gradient of the other is neither added up nor part of the clipped norm."""

    class Two(Line):
        def __init__(self):
            super().__init__(slope=1.0)
            self.other = nn.Parameter(torch.tensor(1.0))

        def loss(self, x):
            return super().loss(x) + 100 * self.other

    model = Two()
    train.fit(model, DATA, steps=3, optimizer=torch.optim.SGD([model.w], lr=0.1), clip=1.0)
    assert model.w.item() == pytest.approx(2 - 0.3, rel=1e-5)
    assert model.other.grad.item() == 100


def test_a_look_in_between_does_not_leave_evaluation_mode():
    plain, looked_at = Noisy(), Noisy()
    torch.manual_seed(0)
    expected = [h.loss[-1] for h in train.steps(plain, DATA, steps=6)]
    torch.manual_seed(0)
    losses = []
    for history in train.steps(looked_at, DATA, steps=6):
        losses.append(history.loss[-1])
        looked_at.eval()
    assert losses == expected


def test_parameters_of_size_zero_and_of_fused_adam():
    model = GMM(2, 1)
    x = torch.cat([torch.randn(50, 1) - 4, torch.randn(50, 1) + 4])
    train.fit(model, x, steps=300, batch_size=100, lr=0.05)
    assert sorted(model.means[:, 0].tolist()) == pytest.approx([-4, 4], abs=0.6)


def test_works_in_a_thread():
    model, done = Line(), []
    thread = threading.Thread(target=lambda: done.append(train.fit(model, DATA, steps=3, progress=False)))
    thread.start()
    thread.join()
    assert len(done[0]) == 3


# Validation


def test_validation_is_the_mean_over_all_held_out_examples():
    model = PPCA(3, 1).double()
    values = [(n, model.loss(DATA[:11]).item()) for h in [train.fit(model, DATA, steps=3)] for n in [len(h)]]
    assert train.evaluate(model, DATA[:11], batch_size=4) == pytest.approx(values[0][1], rel=1e-12)
    history = train.fit(model, DATA, steps=7, validation=DATA[:11], validate_every=3)
    assert [n for n, _ in history.validation] == [3, 6, 7]
    assert history.validation[-1][1] == pytest.approx(model.loss(DATA[:11]).item(), rel=1e-12)


def test_validation_does_not_disturb_the_draws():
    runs = []
    for validation in (None, DATA[:9]):
        model = Noisy()
        torch.manual_seed(7)
        history = train.fit(model, DATA, steps=12, batch_size=8, validation=validation, validate_every=1)
        runs.append((history.loss, model, torch.randn(3)))
    assert runs[0][0] == runs[1][0] and torch.equal(runs[0][2], runs[1][2])
    assert equal_state(runs[0][1], runs[1][1])


def test_evaluation_uses_evaluation_mode_and_puts_each_mode_back():
    model = Noisy().train()
    model.norm.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    first = train.evaluate(model, DATA)
    torch.manual_seed(5)
    assert train.evaluate(model, DATA) == first  # the same noise each time, no dropout
    assert model.training and model.drop.training and not model.norm.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    torch.manual_seed(0)
    model.eval()
    assert first == model.loss(DATA).item()


# Checkpoints


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stop", [1, 5, 8, 22])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, optimizer, stop):
    path = tmp_path / "run.safetensors"
    model = Noisy()
    torch.manual_seed(7)
    run = noisy_run(model, path=path, optimizer=optimizer)
    *_, history = itertools.islice(run, stop)
    run.close()
    assert len(history) == stop
    same(finish(path, optimizer=optimizer), whole_run(optimizer=optimizer))


def test_a_killed_run_resumes_bit_for_bit_from_its_last_save(tmp_path):
    path, copy = tmp_path / "run.safetensors", tmp_path / "copy.safetensors"
    model = Noisy()
    torch.manual_seed(7)
    for history in noisy_run(model, path=path):
        if len(history) == 13:  # last saved at 10; a kill leaves just that file
            shutil.copy(path, copy)
    assert len(checkpoint.read(copy)[1]["history"]["loss"]) == 10
    same(finish(copy), whole_run())


def test_resuming_without_schedule_keeps_a_rate_set_by_hand(tmp_path):
    path = tmp_path / "run.safetensors"

    def run(model, n):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in train.steps(model, DATA, steps=n, optimizer=optimizer, checkpoint=path):
            optimizer.param_groups[0]["lr"] /= 10

    run(Line(), 2)
    model = Line()
    run(model, 3)
    assert model.w.item() == pytest.approx(2 - 0.1 - 0.01 - 0.001)


def test_a_complete_checkpoint_is_loaded_and_left_alone(tmp_path):
    path = tmp_path / "run.safetensors"
    one = Noisy()
    history = train.fit(one, DATA, steps=4, checkpoint=path, validation=DATA)
    os.utime(path, (1, 1))
    other = Noisy(seed=1)
    assert train.fit(other, DATA, steps=4, checkpoint=path) == history and equal_state(one, other)
    assert path.stat().st_mtime == 1
    assert len(train.fit(other, DATA, steps=6, checkpoint=path)) == 6  # more steps go on from there


def broken(path, how):
    if how == "text":
        path.write_text("not a checkpoint")
    elif how == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "weights alone":
        safetensors.torch.save_file(Noisy().norm.state_dict(), path)
    elif how == "another meta":
        safetensors.torch.save_file({"a": torch.zeros(1)}, path, {"gdm": json.dumps({"x": 1})})


@pytest.mark.parametrize("how", ["text", "half", "weights alone", "another meta"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, how):
    path = tmp_path / "run.safetensors"
    train.fit(Noisy(), DATA, steps=1, checkpoint=path)
    broken(path, how)
    model = Noisy(seed=3)
    with pytest.raises(ValueError, match="needed a checkpoint written by train.fit, got .*run.safetensors.* try"):
        train.steps(model, DATA, checkpoint=path)
    assert equal_state(model, Noisy(seed=3))


def test_a_checkpoint_of_something_else_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "run.safetensors"
    train.fit(Noisy(), DATA, steps=1, checkpoint=path)
    wider = Noisy(seed=3)
    wider.b = nn.Linear(4, 5).double()
    before = {k: v.clone() for k, v in wider.state_dict().items()}
    with pytest.raises(ValueError, match=r"this Noisy, got .* where b.bias is \(3,\) float64 and not \(5,\) float64"):
        train.steps(wider, DATA, checkpoint=path)
    assert all(torch.equal(v, before[k]) for k, v in wider.state_dict().items())
    with pytest.raises(ValueError, match="checkpoint of this PPCA"):
        train.steps(PPCA(3, 1).double(), DATA, checkpoint=path)
    with pytest.raises(ValueError, match="float64 and not .* float32"):
        train.steps(Noisy().float(), DATA.float(), checkpoint=path)
    model = Noisy(seed=3)
    with pytest.raises(ValueError, match="checkpoint of SGD .* got .* of Adam"):
        train.steps(model, DATA, checkpoint=path, optimizer=torch.optim.SGD(model.parameters()))
    with pytest.raises(ValueError, match="checkpoint of 36 examples, got .* of 37"):
        train.steps(model, DATA[1:], checkpoint=path)
    assert equal_state(model, Noisy(seed=3))


# Divergence


def nan_at(call):
    def trap(model):
        if model.calls == call:
            model.slope = float("nan")

    return trap


def test_a_loss_that_is_not_finite_stops_with_step_loss_and_rate():
    model = Line(trap=nan_at(5))
    with pytest.raises(
        train.Diverged, match=r"finite loss, got nan at step 4 \(loss nan, learning rate 0.1\); try lr=0.01"
    ):
        train.fit(model, DATA, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    assert model.w.item() == pytest.approx(2 - 4 * 0.1)
    assert not model.training


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    class Root(Line):
        def loss(self, x):
            return (self.w - 2).abs().sqrt() + 0 * x.mean()  # 0 at w = 2, where its slope is infinite

    model = Root()
    with pytest.raises(train.Diverged, match=r"finite gradient norm, got (nan|inf) at step 0 \(loss 0,"):
        train.fit(model, DATA)
    assert model.w.item() == 2


def test_a_diverged_step_leaves_no_trace_in_averages_draws_or_file(tmp_path):
    path = tmp_path / "run.safetensors"

    class Breaks(Noisy):
        bad = None

        def loss(self, x):
            self.calls = getattr(self, "calls", 0) + 1
            return super().loss(x * float("nan") if self.calls == self.bad else x)

    model = Breaks()
    model.bad = 7
    torch.manual_seed(7)
    with pytest.raises(train.Diverged):
        for _ in train.steps(model, DATA, steps=23, batch_size=8, lr=0.01, checkpoint=path):
            draws = torch.get_rng_state()
    assert all(torch.isfinite(v).all() for v in model.state_dict().values())
    assert torch.equal(torch.get_rng_state(), draws)
    assert len(checkpoint.read(path)[1]["history"]["loss"]) == 6
    runs = []
    for file in (path, None):
        model = Breaks()
        torch.manual_seed(7)
        runs.append((train.fit(model, DATA, steps=23, batch_size=8, lr=0.01, checkpoint=file), model))
    assert runs[0][0] == runs[1][0] and equal_state(runs[0][1], runs[1][1])


# Ctrl-C


def interrupted(path, when, where, times=1):
    """Run until Ctrl-C comes `times` times at step `when` in the loss, in the optimizer, in validation or between."""
    model = Noisy()

    def press(*_):
        if len(done) == when:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    done = []
    if where == "loss":
        model.a.register_forward_hook(lambda m, *_: press() if m.training else None)
    elif where == "backward":
        model.b.weight.register_hook(press)
    elif where == "validation":
        model.a.register_forward_hook(lambda m, *_: None if m.training else press())
    run = noisy_run(model, path=path)
    if where == "optimizer":
        optimizer = run.gi_frame.f_locals["optimizer"]
        optimizer.register_step_post_hook(press)
    torch.manual_seed(7)
    with pytest.raises(KeyboardInterrupt):
        for history in run:
            done.append(len(history))
            if where == "between":
                press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return model


@pytest.mark.parametrize("where", ["loss", "backward", "optimizer", "validation", "between"])
@pytest.mark.parametrize("when", [3, 7])
def test_ctrl_c_leaves_a_whole_checkpoint(tmp_path, where, when):
    path = tmp_path / "run.safetensors"
    model = interrupted(path, when, where)
    steps = len(checkpoint.read(path)[1]["history"]["loss"])
    assert steps == (when if where == "between" else when + 1)  # the step that was under way is finished first
    weights = {k.removeprefix("model."): v for k, v in checkpoint.read(path)[0].items() if k.startswith("model.")}
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    same(finish(path), whole_run())


def test_a_second_ctrl_c_does_not_wait_and_takes_the_step_back(tmp_path):
    path = tmp_path / "run.safetensors"
    interrupted(path, 7, "loss", times=2)
    assert len(checkpoint.read(path)[1]["history"]["loss"]) == 7
    same(finish(path), whole_run())


def test_a_second_ctrl_c_inside_the_optimizer_keeps_the_last_whole_file(tmp_path):
    path = tmp_path / "run.safetensors"
    interrupted(path, 7, "optimizer", times=2)
    assert len(checkpoint.read(path)[1]["history"]["loss"]) == 5
    same(finish(path), whole_run())


CHILD = """
import sys, time, torch
from gdm_core import train
from gdm_core.models.ppca import PPCA

class Slow(PPCA):
    def loss(self, x):
        time.sleep(0.001)
        return super().loss(x + 0.1 * torch.randn_like(x))

def run(path, steps):
    torch.manual_seed(0)
    x = torch.randn(50, 3)
    return train.fit(Slow(3, 1), x, steps=steps, checkpoint=path, checkpoint_every=10)

if __name__ == "__main__":
    run(sys.argv[1], 100_000)
"""


def test_a_real_ctrl_c_on_a_real_process(tmp_path):
    path = tmp_path / "run.safetensors"
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1] and process.returncode != 0
    assert os.listdir(tmp_path) == [path.name]
    steps = len(checkpoint.read(path)[1]["history"]["loss"])
    assert steps >= 10
    here = {"__name__": "child"}
    exec(CHILD, here)
    assert here["run"](path, steps + 20) == here["run"](None, steps + 20)


# What it says


@pytest.mark.parametrize(
    "change, words",
    [
        ({"data": DATA[:0]}, "at least 1 example"),
        ({"data": DATA.tolist()}, "data as a tensor or a tuple of tensors, got list"),
        ({"data": (DATA, DATA[:5])}, r"data of one length, got \[37, 5\]"),
        ({"data": ()}, "data of one length"),
        ({"data": DATA.clone().fill_(float("inf"))}, "finite data"),
        ({"validation": DATA[:0]}, "validation with at least 1 example"),
        ({"model": Noisy().to("meta")}, "data on the model's device meta, got cpu"),
        ({"steps": 0}, "integer steps >= 1"),
        ({"batch_size": 0}, "integer batch_size >= 1"),
        ({"batch_size": 2.5}, "integer batch_size >= 1"),
        ({"lr": -1.0}, "positive, finite lr"),
        ({"lr": float("nan")}, "positive, finite lr"),
        ({"clip": 0.0}, "positive, finite clip"),
        ({"seed": -1}, "integer seed >= 0"),
        ({"validate_every": 0}, "integer validate_every"),
        ({"checkpoint_every": 0}, "integer checkpoint_every"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(change, words):
    arguments = {"model": Noisy(), "data": DATA} | change
    with pytest.raises(ValueError, match=f"needed .*{words}.*; try"):
        train.steps(**arguments)


def test_models_that_cannot_learn_are_refused():
    with pytest.raises(ValueError, match="an optimizer of this model's parameters"):
        train.steps(Noisy(), DATA, optimizer=torch.optim.SGD(Noisy().parameters()))
    with pytest.raises(ValueError, match="trainable parameters"):
        train.steps(Noisy().requires_grad_(False), DATA)

    class Each(Line):
        def loss(self, x):
            return self.w * x[:, 0]

    with pytest.raises(ValueError, match=r"scalar tensor \(\), got \(37,\)"):
        train.fit(Each(), DATA)

    class Number(Line):
        def loss(self, x):
            return 1.0

    with pytest.raises(ValueError, match="scalar tensor .*, got float"):
        train.fit(Number(), DATA)


def test_the_bar_shows_the_loss_and_can_be_silent(capsys):
    train.fit(Line(), DATA, steps=40, progress=True)
    shown = capsys.readouterr()
    assert "40/40" in shown.err and shown.out == ""
    train.fit(Line(), DATA, steps=40, progress=False)
    assert capsys.readouterr() == ("", "")


def test_the_bar_follows_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("GDM_QUIET", "1")
    train.fit(Line(), DATA, steps=2)
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("GDM_QUIET")
    train.fit(Line(), DATA, steps=2)
    assert "2/2" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_cuda_resumes_bit_for_bit(tmp_path):
    def run(path, stop, seed):
        model = Noisy(seed).cuda()
        torch.manual_seed(seed + 7)
        options = {"batch_size": 8, "validation": DATA.cuda(), "validate_every": 3}
        run = train.steps(model, DATA.cuda(), steps=20, checkpoint=path, **options)
        *_, history = itertools.islice(run, stop)
        run.close()
        return model, history, torch.randn(3, device="cuda").cpu()

    path = tmp_path / "run.safetensors"
    run(path, 9, 0)
    same(run(path, 99, 5), run(None, 99, 0))
