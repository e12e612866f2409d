"""MeanFlow of eight Gaussians: its one step beside fifty, by the sliced distance to true draws."""

import time

import torch

from gdm_core import metrics, train
from gdm_core.data import toy
from gdm_core.models.flow_map import FlowMap
from tests.benchmarks._race import table


def main() -> None:
    target, rows = toy.target("eight_gaussians"), []
    torch.manual_seed(99)
    true, other = target.sample(10_000), target.sample(10_000)
    for seed in range(3):
        torch.manual_seed(seed)
        model, start = FlowMap(2), time.process_time()
        train.fit(
            model, target.sample, steps=2000, batch_size=256, lr=5e-3, clip=1.0, rate=train.falling, progress=False
        )
        seconds = time.process_time() - start
        one, fifty = (metrics.sliced(model.sample(10_000, steps=k), true).item() for k in (1, 50))
        rows.append((f"seed {seed}, 2,000 steps of 256", one, fifty, one / fifty, seconds))
    table(
        ("MeanFlow, sliced Wasserstein distance", "1 step", "50 steps", "ratio (goal <= 2)", "CPU s"),
        *rows,
        ("two true samples", metrics.sliced(other, true).item(), "", "", ""),
    )
