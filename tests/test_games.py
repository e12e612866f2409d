"""The loop of several players, the average that a model wears, data drawn anew, bfloat16: against loops by hand."""

import itertools

import pytest
import second_device
import torch
from runs import DATA, Duel, Line, Noisy, equal_state, same
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gdm_core import checkpoint, train
from gdm_core.models.gan import GAN
from gdm_core.models.ppca import PPCA
from gdm_core.models.vae import VAE

OPTIONS = {"batch_size": 8, "lr": {"critic": 0.02, "generator": 0.01}, "moves": {"critic": 3}}


def duel(model, *, seed=7, steps=12, **options):
    torch.manual_seed(seed)
    return train.steps(model, DATA, steps=steps, **OPTIONS | options)


# Turns


def test_a_game_is_that_of_a_loop_by_hand():
    """Three moves of the critic, one of the generator, each on a new batch and with an optimizer of its own."""
    model, by_hand = Duel(), Duel()
    *_, history = duel(model, clip=0.3, average=0.8)
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(0)
    index = torch.cat([torch.randperm(37, generator=generator) for _ in range(20)]).split(8)
    batches = (DATA[i] for i in index)
    players = {"critic": by_hand.critic, "generator": by_hand.generator}
    optimizers = {k: torch.optim.Adam(p.parameters(), lr=OPTIONS["lr"][k]) for k, p in players.items()}
    losses, weights = {"critic": [], "generator": []}, []
    for _ in range(12):
        for name in ("critic", "critic", "critic", "generator"):
            loss = getattr(by_hand, f"{name}_loss")(next(batches))
            by_hand.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(players[name].parameters(), 0.3)
            optimizers[name].step()
            last = loss.item()
            losses[name].append(last)
        weights.append([p.detach().clone() for p in by_hand.parameters()])
    assert history.losses["generator"] == pytest.approx(losses["generator"], rel=1e-6)
    assert history.losses["critic"] == pytest.approx(losses["critic"][2::3], rel=1e-6)
    assert model.calls == by_hand.calls and len(history) == 12
    share = 0.8 ** torch.arange(11, -1, -1, dtype=torch.float64)
    for p, own in zip(model.parameters(), zip(*weights)):
        mean = torch.einsum("n,n...->...", share, torch.stack(own)) / share.sum()
        torch.testing.assert_close(p.detach(), mean, rtol=1e-6, atol=1e-8)
    for a, b in zip(model.buffers(), by_hand.buffers()):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_how_often_a_player_moves_may_change_from_step_to_step():
    told = iter([1, 1, 3, 2])  # the first is asked at the call
    model = Duel()
    run = duel(model, steps=3, moves={"critic": lambda: next(told)}, average=None)
    assert [model.calls.count("critic") for _ in run] == [1, 4, 6] and model.calls.count("generator") == 3
    with pytest.raises(ValueError, match="integer moves of the critic >= 1"):
        duel(Duel(), moves={"critic": lambda: 0})


def test_a_history_tells_the_players_apart():
    *_, history = duel(Duel(), steps=2)
    with pytest.raises(ValueError, match=r"needed the name of a player, .* try history.losses\['critic'\]"):
        history.loss.append(0.0)
    assert train.fit(Line(), DATA, steps=3).loss == pytest.approx([2.0, 1.999, 1.998], abs=1e-5)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"moves": {"critics": 2}}, "player to be one of 'critic', 'generator', got 'critics'"),
        ({"moves": {"critic": 0}}, "integer moves of the critic >= 1"),
        ({"lr": {"critic": 1e-3}}, "one lr for each player, got .'critic'."),
        ({"validation": DATA}, "a model with a loss to validate"),
        ({"average": 1.0}, "average between 0 and 1, got 1.0"),
        ({"model": Noisy()}, r"a model with players\(\) for moves"),
        ({"optimizer": torch.optim.SGD([nn.Parameter(torch.zeros(2))])}, "an optimizer of the critic's parameters"),
    ],
)
def test_games_that_cannot_be_are_refused(change, words):
    arguments = {"model": Duel(), "data": DATA, "steps": 2, **OPTIONS} | change
    with pytest.raises(ValueError, match=f"needed .*{words}.*; try"):
        train.steps(**arguments)


def test_the_bar_shows_each_player(capsys):
    train.fit(Duel(), DATA, steps=20, progress=True)
    shown = capsys.readouterr().err
    assert "20/20" in shown and "critic " in shown and "generator " in shown


# Whole steps


class Fails(Duel):
    """The loss of `player` breaks at its call number `at`."""

    def __init__(self, player, at, how):
        super().__init__()
        self.player, self.at, self.how = player, at, how

    def broken(self, loss, player):
        if player != self.player or self.calls.count(player) != self.at:
            return loss
        if self.how == "error":
            raise RuntimeError("out of paper")
        return loss * float("nan")

    def critic_loss(self, x):
        return self.broken(super().critic_loss(x), "critic")

    def generator_loss(self, x):
        return self.broken(super().generator_loss(x), "generator")


def finished(path=None, **options):
    """A whole run, or the rest of one by another process, as it were."""
    model = Duel(seed=99 if path else 0)
    *_, history = duel(model, seed=1234 if path else 7, checkpoint=path, **options)
    return model, history, torch.randn(3)


@pytest.mark.parametrize("average", [None, 0.9])
@pytest.mark.parametrize("how", ["nan", "error", "optimizer"])
@pytest.mark.parametrize("player, at", [("critic", 13), ("critic", 14), ("generator", 5)])
def test_a_step_that_fails_takes_back_all_of_it(tmp_path, player, at, how, average):
    """In the fifth step, before, between and after the moves of the critic: the run goes on as if it had not begun."""
    path = tmp_path / "run.safetensors"
    model = Fails(None if how == "optimizer" else player, at, how)
    run = duel(model, checkpoint=path, average=average)
    if how == "optimizer":
        moves, last = itertools.count(1), 16 + (at - 12 if player == "critic" else 4)
        trip = lambda *_: 1 / 0 if next(moves) == last else None
        run.gi_frame.f_locals["optimizer"].register_step_post_hook(trip)
    errors = {"nan": (train.Diverged, f"{player} loss, got nan at step 4"), "error": (RuntimeError, "out of paper")}
    kind, words = errors.get(how, (ZeroDivisionError, "zero"))
    with pytest.raises(kind, match=words):
        list(run)
    assert len(checkpoint.read(path)[1]["history"]["losses"]["critic"]) == 4
    same(finished(path, average=average), finished(average=average))


def test_a_first_step_that_fails_leaves_what_there_was():
    model = Fails("generator", 1, "nan")
    run = duel(model)
    draws, optimizer = torch.get_rng_state(), run.gi_frame.f_locals["optimizer"]
    with pytest.raises(train.Diverged, match=r"generator loss, got nan at step 0 .*learning rate 0.01\); try lr=0.001"):
        next(run)
    assert torch.equal(torch.get_rng_state(), draws) and not optimizer.state and equal_state(model, Duel())


def test_what_an_earlier_move_broke_is_not_blamed_on_a_later_one():
    class Proud(Fails):
        def generator_loss(self, x):
            if not all(p.isfinite().all() for p in self.critic.parameters()):
                raise ValueError("needed a finite critic")
            return super().generator_loss(x)

    with pytest.raises(train.Diverged, match="critic loss, got nan at step 1"):
        list(duel(Proud("critic", 6, "nan")))


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_a_stopped_game_resumes_bit_for_bit(tmp_path, stop):
    path = tmp_path / "run.safetensors"
    run = duel(Duel(), average=0.9, rate=train.falling, checkpoint=path)
    list(itertools.islice(run, stop))
    run.close()
    options = {"average": 0.9, "rate": train.falling}
    same(finished(path, **options), finished(**options))


@pytest.mark.parametrize(
    "model, options, words",
    [
        (Duel, {}, "without an average|one without"),
        (Noisy, {"moves": None, "lr": 1e-3}, "checkpoint of this Noisy"),
        (Duel, {"average": 0.9, "data": lambda n: DATA[:n]}, "of data drawn by a function, got .* of 37 examples"),
    ],
)
def test_a_checkpoint_of_another_kind_of_run_is_refused(tmp_path, model, options, words):
    path = tmp_path / "run.safetensors"
    list(duel(Duel(), steps=2, average=0.9, checkpoint=path))
    arguments = {"model": model(), "data": DATA, "checkpoint": path, **OPTIONS} | options
    with pytest.raises(ValueError, match=words):
        train.steps(**arguments)


# The average


def test_whoever_looks_between_two_steps_sees_the_average():
    class Slide(Line):
        def loss(self, x):
            self.seen = self.w.item()
            return super().loss(x)

    model, learning, worn = Slide(), 2.0, []
    sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    run = train.steps(model, DATA, steps=4, optimizer=sgd, average=0.5, validation=DATA, validate_every=1)
    for history in run:
        learning -= 0.5
        weights = [2 - 0.5 * k for k in range(1, len(history) + 1)]
        share = [0.5 ** (len(history) - k) for k in range(1, len(history) + 1)]
        worn.append(sum(s * w for s, w in zip(share, weights)) / sum(share))
        assert model.w.item() == pytest.approx(worn[-1])
        assert history.validation[-1][1] == pytest.approx(worn[-1])  # evaluation
        if len(history) == 4:
            run.close()
    assert history.loss == pytest.approx([2.0, 1.5, 1.0, 0.5])  # what learns goes on from the weights, not the average
    assert model.w.item() == pytest.approx(worn[-1])  # the end


def test_without_an_average_weights_are_those_of_before():
    a, b = PPCA(3, 1).double(), PPCA(3, 1).double()
    b.load_state_dict(a.state_dict())
    train.fit(a, DATA, steps=5)
    train.fit(b, DATA, steps=5, average=1e-9)  # the last weights, as good as alone
    for p, q in zip(a.parameters(), b.parameters()):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-8)


# Data drawn anew, bfloat16, the device


def test_data_drawn_by_a_function_resume_bit_for_bit(tmp_path):
    def run(path, stop, seed):
        model = Noisy(seed)
        torch.manual_seed(seed + 7)
        draw = lambda n: torch.randn(n, 3, dtype=torch.float64)
        run = train.steps(model, draw, steps=9, batch_size=5, checkpoint=path)
        *_, history = itertools.islice(run, stop)
        run.close()
        return model, history, torch.randn(3)

    path = tmp_path / "run.safetensors"
    run(path, 4, 0)
    same(run(path, 99, 5), run(None, 99, 0))


@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda n: [1.0] * n, r"data\(n\) draws as a tensor or a tuple of tensors, got list"),
        (lambda n: (DATA[:n], DATA[:2]), r"of one length, got \[8, 2\]"),
        (lambda n: DATA[:0], "at least 1 example"),
        (lambda n: DATA[:n].to("meta"), "on the model's device cpu, got meta"),
    ],
)
def test_what_a_function_draws_is_looked_at(draw, words):
    with pytest.raises(ValueError, match=f"needed what .*{words}.*; try"):
        next(train.steps(Noisy(), draw, batch_size=8))


def test_bfloat16_is_where_it_was_asked_for_alone():
    seen = []

    class Look(VAE):
        def loss(self, x):
            seen.append((self.encoder(x).dtype, self.training))
            return super().loss(x)

    torch.manual_seed(0)
    x = torch.randn(64, 5)
    runs = [train.fit(Look(5, 2), x, steps=3, bf16=bf16, validation=x, seed=1) for bf16 in (False, True)]
    assert [d for d, training in seen if training] == [torch.float32] * 3 + [torch.bfloat16] * 3
    assert [d for d, training in seen if not training] == [torch.float32] * 2
    model = Look(5, 2)
    history = train.fit(model, x, steps=3, bf16=True, average=0.9)
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert history.loss == pytest.approx(runs[1].loss, rel=0.3)


@pytest.mark.parametrize("model", [Line(), Duel()])
def test_a_step_waits_for_the_device_once(model, monkeypatch):
    """Every way from a tensor to a number is counted; each would stop the host until the device is done."""

    class Count(TorchDispatchMode):
        waits = 0

        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            self.waits += op.name() in ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")
            return op(*args, **(kwargs or {}))

    lists, tolist = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: lists.append(1) or tolist(self))
    options = {} if isinstance(model, Line) else OPTIONS
    run = train.steps(model, DATA.to(next(model.parameters()).dtype), steps=5, clip=1.0, average=0.9, **options)
    with Count() as count:
        list(run)
    assert (len(lists), count.waits) == (5, 0)


def test_a_frozen_player_rests():
    model = Duel()
    model.critic.requires_grad_(False)
    history = train.fit(model, DATA, steps=3)
    assert list(history.losses) == ["generator"] and set(model.calls) == {"generator"}
    assert all(p.grad is None for p in model.critic.parameters())


def test_a_game_is_the_same_on_another_device():
    """Batches, averages and what is taken back follow the model's device; a tensor left on the CPU would not mix."""
    second, runs = second_device.install(), []
    for device in ("cpu", second):
        torch.manual_seed(1)
        model = GAN(2, 2).to(device)
        x = torch.randn(20, 2).to(device)
        history = train.fit(model, x, steps=4, moves={"critic": 2}, average=0.9, batch_size=8, clip=1.0)
        runs.append((history.losses, [p.detach().cpu() for p in model.parameters()]))
    for name in ("critic", "generator"):
        assert runs[0][0][name] == pytest.approx(runs[1][0][name], rel=1e-5)
    for a, b in zip(runs[0][1], runs[1][1]):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
