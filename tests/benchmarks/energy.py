"""Beside the textbook's loops: corrected Langevin, an energy's training, sliced score matching, exact scores and Z.

And what energy and score learn.
"""

import math
import random

import torch

from gdm_core import mcmc, score_matching, train
from gdm_core.data.ising import Ising
from gdm_core.data.targets import Mixture, grid
from gdm_core.models.ebm import EBM
from gdm_core.models.score import NoisyScore
from gdm_core.networks import mlp
from tests.benchmarks._race import race, table

BUMPS = Mixture([[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]], std=0.5, weights=[0.5, 0.3, 0.2])


def naive(energy, x, h, steps):
    """Metropolis' rule as one writes it down: both ends of every move are looked at anew."""
    score = mcmc.score_of(energy)
    log_q = lambda b, a: -(b - a - h * score(a)).square().sum(1) / (4 * h)
    for _ in range(steps):
        new = x + h * score(x) + math.sqrt(2 * h) * torch.randn_like(x)
        log_ratio = (energy(x) - energy(new) + log_q(x, new) - log_q(new, x)).detach()
        x = torch.where((torch.rand(len(x)).log() < log_ratio)[:, None], new, x).detach()
    return x


def chains() -> None:
    torch.manual_seed(0)
    net = mlp(2, (64, 64), 1, torch.nn.SiLU)
    energy, x = lambda x: net(x)[:, 0] + x.square().sum(1) / 8, torch.randn(1000, 2)
    ends = {}

    def run(name, walk):
        torch.manual_seed(1)
        ends[name] = walk()

    ms = race(
        {
            "ours": lambda: run("ours", lambda: mcmc.last(mcmc.corrected(energy, x, 0.05, 100))),
            "naive": lambda: run("naive", lambda: naive(energy, x, 0.05, 100)),
        },
        rounds=5,
    )
    apart = (ends["ours"] - ends["naive"]).abs().max().item()
    row = ("corrected, 100 steps of 1,000", ms["ours"], ms["naive"], ms["naive"] / ms["ours"], ">= 1.5", f"{apart:.0e}")
    wide, y = mlp(64, (256,), 64, torch.nn.SiLU), torch.randn(128, 64)
    losses = race(
        {
            "sliced": lambda: score_matching.sliced(wide, y).mean().backward(),
            "implicit": lambda: score_matching.implicit(wide, y).mean().backward(),
        },
        rounds=3,
    )
    ratio = losses["implicit"] / losses["sliced"]
    rows = [row, ("sliced score matching, d = 64, B = 128", losses["sliced"], losses["implicit"], ratio, ">= 15", "-")]
    table(("CPU ms", "ours", "other", "ratio", "goal", "ends differ by"), *rows)


def textbook_training(model: EBM, optimizer, kept: list, x) -> None:
    """One step of persistent chains as it is usually written: `backward` for every step, a list of chains."""
    picked = random.sample(range(len(kept)), len(x))
    z = torch.stack([kept[i] for i in picked])
    for _ in range(model.steps):
        z.requires_grad_()
        model.energy(z).sum().backward()
        z = (z - model.size * z.grad + math.sqrt(2 * model.size) * torch.randn_like(z)).detach()
    for i, chain in zip(picked, z):
        kept[i] = chain
    loss = model.energy(x).mean() - model.energy(z).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def beside_loops() -> None:
    """A training step of an energy, the score of a mixture, Z of a board."""
    torch.manual_seed(0)
    model, x = EBM(2, reborn=0.0), BUMPS.sample(256)
    kept = list(model.chains.places.clone())
    ours = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    theirs = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        ours.zero_grad()
        model.loss(x).backward()
        ours.step()

    points, ising = BUMPS.sample(10_000).double().requires_grad_(), Ising()
    ends = {}

    def by_autograd() -> None:
        ends["autograd"] = torch.autograd.grad(BUMPS.log_prob(points).sum(), points)[0]

    def by_hand() -> None:
        ends["ours"] = BUMPS.score(points.detach())

    def listed() -> None:
        ends["listed"] = (-ising.energy(ising.states())).logsumexp(0).item()

    def by_transfer() -> None:
        ends["transfer"] = ising.log_z_by_transfer()

    pairs = {
        "energy, a step of 256, 20 moves a chain": (step, lambda: textbook_training(model, theirs, kept, x), ">= 1"),
        "score of three bumps at 10,000 points, autograd": (by_hand, by_autograd, ">= 1"),
        "log Z of 4 x 4 spins, all states listed": (by_transfer, listed, ">= 10"),
    }
    rows = []
    for what, (fast, slow, goal) in pairs.items():
        ms = race({"ours": fast, "other": slow}, rounds=9)
        rows.append((what, ms["ours"], ms["other"], ms["other"] / ms["ours"], goal))
    table(("CPU ms", "ours", "other", "ratio", "goal"), *rows)
    apart = (ends["ours"] - ends["autograd"]).abs().max().item(), abs(ends["listed"] - ends["transfer"])
    print(f"  scores apart by at most {apart[0]:.0e}, log Z by {apart[1]:.0e}")


def learned() -> None:
    points, cells = grid([-6.0] * 2, [6.0] * 2, 0.1)
    exact = BUMPS.log_prob(points)
    torch.manual_seed(0)
    model = EBM(2, width=2.5, size=0.05, reborn=0.0)
    train.fit(model, BUMPS.sample, steps=2000, batch_size=256, lr=1e-2, rate=train.falling, progress=False)
    with torch.no_grad():
        energy = model.energy(points.float()).double()
    kl = (cells * exact.exp() * (exact + energy + (cells.log() - energy).logsumexp(0))).sum().item()
    scores = NoisyScore(2, largest=3.0)
    train.fit(scores, BUMPS.sample, steps=5000, batch_size=512, lr=5e-3, rate=train.falling, progress=False)
    rows = [("energy, kept chains, 2,000 steps of 256: KL, nats", kl, "<= 0.05")]
    for sigma in (0.2, 0.5, 2.0):
        noisy = BUMPS.noisy(sigma)
        x = noisy.sample(20_000)
        with torch.no_grad():
            off = (scores.score_at(x, sigma) - noisy.score(x)).square().sum() / noisy.score(x).square().sum()
        rows.append((f"score, 5,000 steps of 512, σ = {sigma}: share of it missed", off.sqrt().item(), "<= 0.15"))
    table(("three bumps, beside the truth", "ours", "goal"), *rows)


def main() -> None:
    chains()
    beside_loops()
    learned()
