"""An optimizer for each player, a rule of `games` in the trainer, what a history says of gradients: by hand."""

import itertools
import math

import pytest
import torch
from runs import DATA, Duel, equal_state, same
from torch import nn

from gdm_core import checkpoint, games, train
from gdm_core.movers import Several
from gdm_core.turns import players

BOTH = {"critic": torch.optim.Adam, "generator": torch.optim.RMSprop}


def each(model, **kinds):
    own = {name: list(p) for name, p in model.players().items()}
    return {name: kind(own[name], lr=0.01) for name, kind in (BOTH | kinds).items()}


def duel(model, *, seed=7, steps=12, **options):
    torch.manual_seed(seed)
    options = {"optimizer": each(model), "moves": {"critic": 2}} | options if "rule" not in options else options
    return train.steps(model, DATA, steps=steps, batch_size=8, **{"average": 0.9} | options)


def test_each_player_has_its_optimizer_and_the_history_its_gradients():
    model, by_hand = Duel(), Duel()
    *_, history = duel(model, average=None, clip=0.5)
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(0)
    index = torch.cat([torch.randperm(37, generator=generator) for _ in range(20)]).split(8)
    batches, optimizers, norms = (DATA[i] for i in index), each(by_hand), {"critic": [], "generator": []}
    for _ in range(12):
        for name in ("critic", "critic", "generator"):
            loss, own = getattr(by_hand, f"{name}_loss")(next(batches)), list(by_hand.players()[name])
            grads = torch.autograd.grad(loss, own)
            last = math.sqrt(sum(g.square().sum().item() for g in grads))
            for p, g in zip(own, grads):
                p.grad = g * min(1.0, 0.5 / (last + 1e-6))
            optimizers[name].step()
        norms["critic"].append(0.0), norms["generator"].append(last)
    for a, b in zip(model.parameters(), by_hand.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    assert history.norms["generator"] == pytest.approx(norms["generator"], rel=1e-6)
    assert len(history.norms["critic"]) == 12 and min(history.norms["critic"]) > 0


class Tug(nn.Module):
    """The critic goes up a b m, the generator down, m a batch's mean; both are numbers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor([v], dtype=torch.float64)) for v in (0.8, -0.5))

    def players(self):
        return {"critic": [self.a], "generator": [self.b]}

    def critic_loss(self, x):
        return -(self.a * self.b).sum() * x.mean()

    def generator_loss(self, x):
        return (self.a * self.b).sum() * x.mean()


def test_a_rule_trains_as_its_equation_says():
    """Optimistic play, which remembers, with a step size each, that fall: in plain numbers."""
    model, means = Tug(), [1 + 0.3 * math.sin(k) for k in range(6)]
    drawn = iter(means)
    draw = lambda n: torch.full((n, 1), next(drawn), dtype=torch.float64)
    lr = {"critic": 0.3, "generator": 0.2}
    (a, b), before, norms, losses = (0.8, -0.5), None, [], []
    run = train.steps(model, draw, steps=6, rule=games.optimistic, lr=lr, rate=train.falling)
    for history in run:
        step = len(history) - 1
        m, share = means[step], train.falling(step / 5)
        v = (b * m, -a * m)
        losses.append(-a * b * m), norms.append(abs(a * m))
        before = v if before is None else before
        a, b = (s + share * h * (2 * p - q) for s, h, p, q in zip((a, b), (0.3, 0.2), v, before))
        before = v
        assert (model.a.item(), model.b.item()) == pytest.approx((a, b), rel=1e-12)
    assert history.losses["critic"] == pytest.approx(losses) and history.norms["generator"] == pytest.approx(norms)


@pytest.mark.parametrize("rule", [*games.RULES])
def test_any_rule_moves_a_real_game(rule):
    def model():
        torch.manual_seed(0)
        return Small().double()

    class Small(Duel):
        def __init__(self):
            nn.Module.__init__(self)
            self.critic, self.generator, self.calls = nn.Linear(3, 1), nn.Linear(2, 3), []

    one, other = model(), model()
    torch.manual_seed(3)
    *_, history = train.steps(one, lambda n: DATA[:n], steps=3, rule=games.RULES[rule], lr=0.05, batch_size=9)
    torch.manual_seed(3)
    for _ in games.play(games.of(other, lambda: (DATA[:9],)), games.RULES[rule](0.05), 3):
        pass
    for p, q, start in zip(one.parameters(), other.parameters(), model().parameters()):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)
        assert not torch.equal(p, start)
    assert all(math.isfinite(v) for values in (history.losses | history.norms).values() for v in values)


WAYS = {
    "optimizers": {},
    "a rule that remembers": {"rule": games.optimistic, "lr": 0.01, "rate": train.falling},
    "momentum in turns": {"rule": games.RULES["momentum"], "lr": {"critic": 0.02, "generator": 0.01}},
}


def finished(path=None, **options):
    model = Duel(seed=99 if path else 0)
    *_, history = duel(model, seed=1234 if path else 7, checkpoint=path, **options)
    return model, history, torch.randn(3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stop", [1, 7])
def test_both_ways_resume_bit_for_bit(tmp_path, way, stop):
    path = tmp_path / "run.safetensors"
    for upto in (stop, 2):  # the second is resumed itself
        run = duel(Duel(), checkpoint=path, **WAYS[way])
        list(itertools.islice(run, upto))
        run.close()
    same(finished(path, **WAYS[way]), finished(**WAYS[way]))


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_take_back_a_step_that_fails(tmp_path, way):
    class Breaks(Duel):
        def generator_loss(self, x):
            loss = super().generator_loss(x)
            return loss * math.nan if self.calls.count("generator") == 5 else loss

    path, model = tmp_path / "run.safetensors", Breaks()
    with pytest.raises(train.Diverged, match="generator loss, got nan at step 4 .*learning rate 0.0"):
        list(duel(model, checkpoint=path, **WAYS[way]))
    assert len(checkpoint.read(path)[1]["history"]["norms"]["critic"]) == 4
    same(finished(path, **WAYS[way]), finished(**WAYS[way]))


def test_an_optimizer_that_remembers_nothing_is_saved_beside_one_that_does():
    model = Duel()
    kinds = each(model, critic=torch.optim.SGD, generator=torch.optim.Adam)
    *_, _ = duel(model, optimizer=kinds, steps=2)
    both = Several(kinds, players(model, {}))
    saved = both.state_dict()
    both.load_state_dict(saved)
    assert len(saved["state"]) == len(both.state) == len(list(model.players()["generator"]))


def test_a_player_that_is_frozen_rests():
    model, as_it_was = Duel(), Duel()
    model.critic.requires_grad_(False)
    *_, history = train.steps(model, DATA, steps=3, batch_size=8)
    still = lambda name: all(map(torch.equal, model.players()[name], as_it_was.players()[name]))
    assert history.losses.keys() == {"generator"} and still("critic") and not still("generator")


def test_who_diverged_is_told_a_step_size_of_its_own():
    class Breaks(Duel):
        def generator_loss(self, x):
            return super().generator_loss(x) * math.nan

    with pytest.raises(train.Diverged, match=r"generator loss, got nan .*learning rate 0.02.*; try lr=0.002,"):
        list(train.steps(Breaks(), DATA, steps=3, batch_size=8, lr={"critic": 0.3, "generator": 0.02}))


def test_a_checkpoint_of_other_movers_is_refused(tmp_path):
    path, model = tmp_path / "run.safetensors", Duel(seed=3)
    list(duel(Duel(), steps=1, checkpoint=path))
    swapped = each(model, critic=torch.optim.RMSprop, generator=torch.optim.Adam)
    with pytest.raises(ValueError, match="RMSprop and Adam over 12 tensors, got .* of Adam and RMSprop"):
        duel(model, checkpoint=path, optimizer=swapped)
    path.unlink()
    list(duel(Duel(), steps=1, checkpoint=path, **WAYS["a rule that remembers"]))
    with pytest.raises(ValueError, match="the rule simultaneous over .* got .* of the rule optimistic"):
        duel(model, checkpoint=path, rule=games.simultaneous)
    assert equal_state(model, Duel(seed=3))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"optimizer": {"critic": None}}, "an optimizer for each player, got .'critic'."),
        ({"optimizer": dict.fromkeys([*BOTH, "judge"])}, "an optimizer for each player, got .*'judge'."),
        ({"rule": games.optimistic(0.1)}, "a rule for a step size, .* got one that has its own"),
        ({"moves": {"judge": 2}}, "player to be one of 'critic', 'generator', got 'judge'"),
        ({"rule": "optimistic"}, "a rule for a step size, such as games.extragradient, got str"),
        ({"rule": games.optimistic, "lr": -1.0}, "positive, finite lr"),
        ({"rule": games.optimistic, "lr": {"critic": 0.1}}, "one lr for each player, got .'critic'."),
        ({"rule": games.optimistic, "clip": 1.0}, "no clip beside a rule"),
        ({"rule": games.optimistic, "moves": {"critic": 2}}, "no moves beside a rule"),
        ({"rule": games.optimistic, "optimizer": {}}, "no optimizer beside a rule"),
    ],
)
def test_movers_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        train.steps(Duel(), DATA, **options)
    model = Duel()
    shared = {name: torch.optim.SGD(model.critic.parameters()) for name in BOTH}
    with pytest.raises(ValueError, match="parameters that one optimizer moves"):
        train.steps(model, DATA, optimizer=shared)
    shared["generator"] = torch.optim.SGD([*model.generator.parameters(), next(model.critic.parameters())])
    with pytest.raises(ValueError, match="parameters that one optimizer moves"):  # one is too many
        train.steps(model, DATA, optimizer=shared)
