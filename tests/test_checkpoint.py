"""Checkpoints: a stopped, killed or interrupted run goes on bit for bit; what does not fit is refused."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch
from runs import DATA, OPTIMIZERS, Line, Noisy, equal_state, finish, noisy_run, same, whole_run
from torch import nn

from gdm_core import checkpoint, train
from gdm_core.models.ppca import PPCA


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
    assert len(checkpoint.read(copy)[1]["history"]["losses"]["loss"]) == 10
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
    elif how == "older meta":
        with safetensors.safe_open(path, "pt") as file:
            meta, tensors = json.loads(file.metadata()["gdm"]), {key: file.get_tensor(key) for key in file.keys()}
        meta["history"]["loss"] = meta["history"].pop("losses")["loss"]
        safetensors.torch.save_file(tensors, path, {"gdm": json.dumps(meta)})


@pytest.mark.parametrize("how", ["text", "half", "weights alone", "another meta", "older meta"])
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
    steps = len(checkpoint.read(path)[1]["history"]["losses"]["loss"])
    assert steps == (when if where == "between" else when + 1)  # the step that was under way is finished first
    weights = {k.removeprefix("model."): v for k, v in checkpoint.read(path)[0].items() if k.startswith("model.")}
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    same(finish(path), whole_run())


def test_a_second_ctrl_c_does_not_wait_and_takes_the_step_back(tmp_path):
    path = tmp_path / "run.safetensors"
    interrupted(path, 7, "loss", times=2)
    assert len(checkpoint.read(path)[1]["history"]["losses"]["loss"]) == 7
    same(finish(path), whole_run())


def test_no_ctrl_c_cuts_the_move_itself(tmp_path):
    path = tmp_path / "run.safetensors"
    interrupted(path, 7, "optimizer", times=3)
    assert len(checkpoint.read(path)[1]["history"]["losses"]["loss"]) == 8
    same(finish(path), whole_run())


def test_an_optimizer_that_breaks_off_keeps_the_last_whole_file(tmp_path):
    path = tmp_path / "run.safetensors"
    run = noisy_run(Noisy(), path=path)
    torch.manual_seed(7)
    list(itertools.islice(run, 7))
    run.gi_frame.f_locals["optimizer"].register_step_post_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(run)
    assert len(checkpoint.read(path)[1]["history"]["losses"]["loss"]) == 5
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


@pytest.mark.slow
def test_a_real_ctrl_c_on_a_real_process(tmp_path):
    path = tmp_path / "run.safetensors"
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1] and process.returncode != 0
    assert os.listdir(tmp_path) == [path.name]
    steps = len(checkpoint.read(path)[1]["history"]["losses"]["loss"])
    assert steps >= 10
    here = {"__name__": "child"}
    exec(CHILD, here)
    assert here["run"](path, steps + 20) == here["run"](None, steps + 20)


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
