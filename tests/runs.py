"""Small models whose every step is known, and runs that can be stopped and compared."""

import torch
from torch import nn

from gdm_core import train

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


class Duel(nn.Module):
    """Two players, each with noise, running averages and a part of its own; who moved when is written down."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
        self.generator = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 3))
        self.double()
        self.calls = []

    def players(self):
        return {"critic": self.critic.parameters(), "generator": self.generator.parameters()}

    def critic_loss(self, x):
        self.calls.append("critic")
        fake = self.generator(torch.randn(len(x), 2).double()).detach()
        return self.critic(fake).mean() - self.critic(x).mean() + self.critic(x).square().mean()

    def generator_loss(self, x):
        self.calls.append("generator")
        return -self.critic(self.generator(torch.randn(len(x), 2).double())).mean()


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
    options = {"batch_size": 8, "lr": 0.01, "rate": train.falling, "clip": 0.5, "checkpoint_every": 5} | options
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
