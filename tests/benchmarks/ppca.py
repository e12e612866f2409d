"""Maximum likelihood beside every solver of scikit-learn's PCA: 100,000 points, 64 features, 10 latents, float64."""

import warnings

import numpy as np
import torch
from sklearn.decomposition import PCA

from gdm_core.models.ppca import PPCA
from tests.benchmarks._race import race, table

N, D, Q = 100_000, 64, 10
SOLVERS = ("auto", "covariance_eigh", "full", "randomized", "arpack")


def main() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((N, Q)) @ rng.standard_normal((Q, D)) + 0.5 * rng.standard_normal((N, D)) + 3
    x = torch.from_numpy(a)
    model = PPCA(D, Q).double()
    peers = {solver: PCA(Q, svd_solver=solver) for solver in SOLVERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ms = race({"ours": lambda: model.solve(x)} | {s: lambda p=p: p.fit(a) for s, p in peers.items()}, rounds=11)
    ours = ms.pop("ours")
    fastest = min(ms, key=ms.get)
    C = (model.W @ model.W.T + model.var * torch.eye(D, dtype=torch.float64)).detach().numpy()
    rows = [("ours", ours, "", "", "")]
    for solver, value in sorted(ms.items(), key=lambda item: item[1]):
        difference = np.abs(C - peers[solver].get_covariance() * (N - 1) / N).max()  # its covariance divides by N - 1
        goal = ">= 1" if solver == fastest else ""
        rows.append((f"scikit-learn, {solver}", value, value / ours, goal, f"{difference:.0e}"))
    table(("fit, CPU ms, median", "", "ratio", "goal", "covariances differ by"), *rows)
