"""Corrected Langevin beside a loop that asks twice, sliced beside exact traces; what energy and score learn."""

import math

import torch

from gdm_core import mcmc, score_matching, train
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
    learned()
