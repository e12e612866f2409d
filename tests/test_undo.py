"""What a step takes back: buffers of all kinds, large ones that tell for themselves; and what that costs."""

import pytest
import torch
from runs import DATA, Duel
from torch import nn

from gdm_core import train, undo
from gdm_core.models.ebm import EBM, Chains


class Buffers(nn.Module):
    """A step changes a small buffer behind torch's back, replaces another, writes into a large one; then it fails."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("large", torch.zeros(undo.LARGE + 1))
        self.register_buffer("table", torch.ones(undo.LARGE + 1))
        self.register_buffer("absent", None)
        self.calls, self.fails = 0, ()

    def loss(self, x):
        self.calls += 1
        self.norm(x)
        self.count = self.count + 1
        if self.calls % 2:
            self.large[self.calls] = 1.0
        return self.w * (float("nan") if self.calls in self.fails else 1.0)


@pytest.mark.parametrize("fails", [1, 2, 3, 4, 5])
def test_buffers_are_those_before_the_step(fails):
    model = Buffers()
    model.fails = (fails,)
    run = train.steps(model, DATA.float(), steps=9)
    for _ in range(fails - 1):
        next(run)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(train.Diverged):
        next(run)
    after = model.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items()), {k: (after[k], v) for k, v in before.items()}


def test_a_large_buffer_is_copied_only_after_it_changed(monkeypatch):
    copied, copy = [], torch._foreach_copy_
    monkeypatch.setattr(torch, "_foreach_copy_", lambda a, b: copied.append(sum(t.numel() for t in b)) or copy(a, b))
    list(train.steps(Buffers(), DATA.float(), steps=5))
    large, small = undo.LARGE + 1, 8
    assert copied == [2 * large + small, large + small, small, large + small, small]


def test_chains_put_back_the_rows_of_a_failed_step():
    torch.manual_seed(0)
    chains = Chains(torch.randn(50, 2))
    before = chains.places.clone()
    put_back = chains.savepoint()
    for _ in range(3):  # the same rows more than once
        chains.write(torch.randperm(50)[:20], torch.randn(20, 2))
    assert not torch.equal(chains.places, before)
    put_back()
    assert torch.equal(chains.places, before)
    chains.savepoint()
    assert chains.overwritten == []


def test_a_step_that_fails_takes_its_chains_back_and_copies_few(monkeypatch):
    copied, copy = [], torch._foreach_copy_
    monkeypatch.setattr(torch, "_foreach_copy_", lambda a, b: copied.append(sum(t.numel() for t in b)) or copy(a, b))

    class Breaks(EBM):
        calls = 0

        def loss(self, x):
            self.calls += 1
            return super().loss(x) * (float("nan") if self.calls == 3 else 1.0)

    model = Breaks(3, chains=undo.LARGE)
    run = train.steps(model, DATA.float(), batch_size=16)
    next(run), next(run)
    before = model.chains.places.clone()
    with pytest.raises(train.Diverged):
        next(run)
    assert torch.equal(model.chains.places, before) and sum(copied) == 0


def test_an_average_taken_in_a_step_that_fails_goes_back(monkeypatch):
    """The last thing that can fail: what is written down after the last move."""
    model = Duel()
    run = train.steps(model, DATA, steps=5, average=0.9)
    next(run)
    before = [p.detach().clone() for p in model.parameters()]
    monkeypatch.setattr(train.History, "add", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(run)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before))
