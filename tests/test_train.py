"""The training loop: against a loop by hand, validated, diverging; what it refuses and what it shows."""

import threading

import pytest
import torch
from runs import DATA, Line, Noisy, equal_state
from torch import nn

from gdm_core import checkpoint, denormals, train
from gdm_core.models.gmm import GMM
from gdm_core.models.ppca import PPCA

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
    history = train.fit(model, DATA, steps=800, batch_size=37, lr=0.05, rate=train.falling)
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
        for _ in train.steps(model, DATA, steps=5, optimizer=optimizer, rate=train.falling)
    ]
    assert rates == pytest.approx([0.1 * train.falling(i / 4) for i in range(5)])
    assert model.w.item() == pytest.approx(2 - sum(rates))
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_rate_set_between_steps_is_kept():
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in train.steps(model, DATA, steps=3, optimizer=optimizer):
        optimizer.param_groups[0]["lr"] /= 10
    assert model.w.item() == pytest.approx(2 - 0.1 - 0.01 - 0.001)


def test_numbers_that_slow_a_processor_count_as_zero_while_weights_move_and_then_alone():
    tiny = lambda: torch.full((3,), 1e-30).mul(1e-10).max().item()
    seen = []

    class Asks(torch.optim.SGD):
        def step(self):
            seen.append(tiny())
            if len(seen) == 4:
                raise RuntimeError("in the middle")

    model = Line()
    run = train.steps(model, torch.randn(8, 1), steps=9, optimizer=Asks(model.parameters(), lr=0.1))
    for _ in range(3):
        next(run)
        assert tiny() > 0
    with pytest.raises(RuntimeError, match="middle"):
        next(run)
    assert tiny() > 0 and seen == [0.0] * 4
    with denormals.flushed(), denormals.flushed():
        pass
    assert tiny() > 0
    with denormals.flushed():
        with denormals.flushed():
            pass
        assert tiny() == 0


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


def test_a_validation_loss_that_is_not_finite_ends_the_run():
    class Model(PPCA):
        def loss(self, x):
            return super().loss(x) if self.training else super().loss(x) * float("nan")

    with pytest.raises(train.Diverged, match="validation loss"):
        train.fit(Model(3, 1).double(), DATA, steps=7, validation=DATA[:11], validate_every=3)


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
    assert len(checkpoint.read(path)[1]["history"]["losses"]["loss"]) == 6
    runs = []
    for file in (path, None):
        model = Breaks()
        torch.manual_seed(7)
        runs.append((train.fit(model, DATA, steps=23, batch_size=8, lr=0.01, checkpoint=file), model))
    assert runs[0][0] == runs[1][0] and equal_state(runs[0][1], runs[1][1])


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
