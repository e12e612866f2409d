"""Autoregressive and masked models: sampling with and without a cache, real digits, a board whose entropy is known."""

import time

import torch
from torch import nn

from gdm_core import causal, data, decoding, likelihoods, train
from gdm_core.data.ising import Ising
from gdm_core.models.autoregressive import Autoregressive
from gdm_core.models.masked import Masked
from tests.benchmarks._race import race, table


def main() -> None:
    torch.set_num_threads(1)
    for part in (sampling, digits, board):
        part()
        print()


def sampling() -> None:
    """One pass of the naive loop is timed; it takes 784."""
    rows = []
    for network, goal in (("pixelcnn", ">= 150"), ("attention", "")):
        torch.manual_seed(0)
        made = lambda side, network=network, layers=5: Autoregressive(
            (1, side, side), levels=17, width=32, layers=layers, network=network
        )
        model, x = made(28), torch.rand(16, 1, 28, 28)

        @torch.no_grad()
        def naive_turn(model=model, x=x) -> None:
            next(causal.naive_walk(model.network, x))

        ms = race({"naive": naive_turn, "kept": lambda model=model: model.sample(16)}, rounds=5)
        whole = 784 * ms["naive"]
        small, noise = made(8).double(), torch.rand(16, 1, 8, 8, dtype=torch.float64)
        differ = (small.sample(16, noise=noise) != small.sample(16, noise=noise, kept=False)).sum().item()
        rows.append((network, whole, ms["kept"], whole / ms["kept"], goal, differ))
    head = (
        "16 pictures of 28 x 28, CPU ms, median",
        "naive loop",
        "cached",
        "ratio",
        "goal",
        "pixels that differ, 8 x 8",
    )
    table(head, *rows)


def learn(model: nn.Module, x, steps: int, lr: float, decay: float = 0.1) -> float:
    """Train and return CPU seconds."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay, betas=(0.9, 0.99))
    start = time.process_time()
    options = {"steps": steps, "batch_size": 64, "rate": train.falling, "clip": 100.0, "progress": False}
    train.fit(model, x, optimizer=optimizer, **options)
    return time.process_time() - start


def digits() -> None:
    sets = {split: data.load("digits", split).x for split in data.SPLITS}
    families = {"softmax": likelihoods.Categorical(17), "five logistics": likelihoods.Discretized(17, components=5)}
    rows = []
    for name, family in families.items():
        torch.manual_seed(0)
        model = Autoregressive((1, 8, 8), likelihood=family, layers=3, dropout=0.2)
        seconds = learn(model, sets["train"], 600, 5e-3)
        with torch.no_grad():
            nats = [-model.log_prob(x) for x in sets.values()]
        told = (f"{n.mean():.2f} +- {n.std() / len(n) ** 0.5:.2f}" for n in nats)
        rows.append((f"PixelCNN, {name}", f"{seconds:.0f}", *told, "<= 81.5" if name != "softmax" else ""))
    table(("digits 8x8, nats", "train s", *data.SPLITS, "goal for test"), *rows)


def board() -> None:
    ising = Ising()
    torch.manual_seed(0)
    model = Masked((1, 4, 4), 2, hidden=(512, 512))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    start = time.process_time()
    options = {"steps": 8000, "batch_size": 512, "rate": train.falling, "clip": 50.0, "average": 0.999}
    train.fit(model, ising.sample, optimizer=optimizer, progress=False, **options)
    seconds, x = time.process_time() - start, ising.states()
    plan = decoding.in_turns(decoding.raster((1, 4, 4)))
    q = torch.cat([decoding.log_prob(model.conditionals, p, plan, model.values).sum(0) for p in x.split(8192)])
    cross = -(ising.log_p.exp() * q.double()).sum().item()
    row = ("masked model, one by one", f"{seconds:.0f}", f"{cross:.4f}", f"{cross - ising.entropy():.4f}", "<= 0.02")
    head = (f"4 x 4 board, entropy {ising.entropy():.4f}", "train s", "nats", "above", "goal")
    table(head, row)


if __name__ == "__main__":
    main()
