"""1,000 permutations of MMD at N = M = 500, d = 16, float64, beside an index loop and hyppo, where it is installed."""

import time

import numpy as np
import torch

from gdm_core import two_sample
from tests.benchmarks._race import race, table

N, D, PERMUTATIONS = 500, 16, 1000


def index_loop(x: np.ndarray, y: np.ndarray, masks: np.ndarray) -> float:
    """The p-value as one writes it down: the kernel once, its rows and columns picked for every permutation."""
    z = np.concatenate([x, y])
    square = ((z[:, None] - z) ** 2).sum(-1)
    apart = np.sqrt(square)[::2, ::2]  # the points that ours takes the median of
    kernel = np.exp(-square / (2 * np.sort(apart[apart > 0])[((apart > 0).sum() - 1) // 2] ** 2))

    def mmd(mask: np.ndarray) -> float:
        i, j = np.flatnonzero(mask), np.flatnonzero(~mask)
        within = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
        return within(kernel[np.ix_(i, i)]) + within(kernel[np.ix_(j, j)]) - 2 * kernel[np.ix_(i, j)].mean()

    value = mmd(np.arange(len(z)) < len(x))
    return (1 + sum(mmd(mask) >= value - 1e-12 for mask in masks)) / (1 + len(masks))


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, N, D, generator=generator, dtype=torch.float64)
    masks = two_sample.labelings(PERMUTATIONS, N, N, generator)
    answers = {}
    ours = lambda: answers.update(ours=two_sample.test(x, y, two_sample.mmd(), permutations=masks).p)
    loop = lambda: answers.update(loop=index_loop(x.numpy(), y.numpy(), masks.numpy()))
    doubles, kernel = masks.double(), torch.rand(2 * N, 2 * N, generator=generator, dtype=torch.float64)
    ms = race({"ours": ours, "product": lambda: doubles @ kernel, "loop": loop}, rounds=3)
    rows = [
        (
            "index loop in numpy",
            ms["ours"],
            ms["loop"],
            ms["loop"] / ms["ours"],
            ">= 150",
            f"{abs(answers['ours'] - answers['loop']):.0e}",
        ),
        # 2 x 10^9 operations in float64; ours takes the half above the diagonal, and kernel and median beside it
        ("masks times a kernel, whole", ms["product"], ms["loop"], ms["loop"] / ms["product"], "-", "-"),
    ]
    try:
        from hyppo.ksample import MMD
    except ImportError:
        rows.append(("hyppo", ms["ours"], "not installed", "-", ">= 2000", "-"))
    else:  # too slow for rounds; its permutations are its own
        start = time.process_time()
        MMD().test(x.numpy(), y.numpy(), reps=PERMUTATIONS, workers=1, auto=False)
        peer = 1e3 * (time.process_time() - start)
        rows.append(("hyppo", ms["ours"], peer, peer / ms["ours"], ">= 2000", "-"))
    table((f"{PERMUTATIONS} permutations, CPU ms", "ours", "peer", "ratio", "goal", "p-values differ by"), *rows)
