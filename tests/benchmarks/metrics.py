"""Frechet distance beside scipy's root of a product, and beside torchmetrics and POT where they are installed."""

import numpy as np
import scipy
import torch

from gdm_core import metrics
from tests.benchmarks._race import race, table

N, D = 10_000, 512  # of features
LINES = 64


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.mean(0), torch.cov(x.T)


def by_product(mean, cov, other_mean, other_cov) -> float:
    """As Heusel et al. (2017) computed it: the root of S S', which is not symmetric."""
    cross = np.trace(scipy.linalg.sqrtm(cov.numpy() @ other_cov.numpy()).real)
    return (mean - other_mean).square().sum().item() + (cov.trace() + other_cov.trace()).item() - 2 * cross


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, N, D, generator=generator, dtype=torch.float64)
    x, y = x @ x[:D] / D**0.5, y @ x[:D] / D**0.5 + 0.05
    told = *moments(x), *moments(y)
    peers = {"frechet, sqrtm": by_product}
    try:
        from torchmetrics.image.fid import _compute_fid

        peers["frechet, torchmetrics"] = _compute_fid
    except ImportError:
        pass
    ours, rows = lambda: metrics.frechet_of_moments(*told), []
    ms = race({"ours": ours} | {name: lambda peer=peer: peer(*told) for name, peer in peers.items()})
    for name, peer in peers.items():
        rows.append((name, ms["ours"], ms[name], ms[name] / ms["ours"], ">= 2.4", abs(1 - float(peer(*told) / ours()))))
    x, y, directions = x[:, :LINES].float(), y[:, :LINES].float(), metrics.spread_directions(LINES, LINES)
    ours = lambda: metrics.sliced(x, y, directions)
    peers = {}
    try:
        import ot

        lines = directions.T.numpy().astype("float32")
        peers["sliced, POT"] = lambda: ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=lines)
    except ImportError:
        rows.append(("sliced, POT", "-", "not installed", "-", ">= 20", "-"))
    ms = race({"ours": ours} | peers)
    for name, peer in peers.items():
        rows.append((name, ms["ours"], ms[name], ms[name] / ms["ours"], ">= 20", abs(1 - float(peer() / ours()))))
    table((f"{N:,} examples, CPU ms", "ours", "peer", "ratio", "goal", "values differ by"), *rows)
