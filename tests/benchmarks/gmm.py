"""One EM iteration beside scikit-learn's: 100,000 points, 16 features, 32 components, full covariances, float64."""

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from gdm_core.models.gmm import GMM
from tests.benchmarks._race import race, table

N, D, K, ROUNDS = 100_000, 16, 32, 9


def points(condition: float, seed: int = 0) -> np.ndarray:
    """Overlapping components in random positions, each with a covariance of this condition number."""
    rng = np.random.default_rng(seed)
    means, z = 1.5 * rng.standard_normal((K, D)), rng.integers(K, size=N)
    x = rng.standard_normal((N, D)) * np.geomspace(1, condition**-0.5, D)
    for k in range(K):
        x[z == k] = means[k] + x[z == k] @ np.linalg.qr(rng.standard_normal((D, D)))[0].T
    return x


def contest(condition: float) -> tuple[float, float, float]:
    """CPU ms of ours and of scikit-learn's iteration, and the largest difference of any parameter after all of them."""
    a = points(condition)
    x = torch.from_numpy(a)
    torch.manual_seed(0)
    model = GMM(K, D).double().start(x)
    weights, means, covariances = (p.detach().numpy().copy() for p in (model.weights, model.means, model.covariances))
    start = {"weights_init": weights, "means_init": means, "precisions_init": np.linalg.inv(covariances)}
    peer = GaussianMixture(K, reg_covar=0, tol=0, **start)
    peer._initialize_parameters(a, np.random.RandomState(0))
    run = model.em(x, 1 + ROUNDS)

    def scikit_learn() -> None:  # what its `fit` does in each turn of its loop
        _, log_resp = peer._e_step(a)
        peer._m_step(a, log_resp)

    ms = race({"ours": lambda: next(run), "scikit-learn": scikit_learn}, rounds=ROUNDS)
    pairs = ((model.weights, peer.weights_), (model.means, peer.means_), (model.covariances, peer.covariances_))
    return ms["ours"], ms["scikit-learn"], max(np.abs(p.detach().numpy() - q).max() for p, q in pairs)


def main() -> None:
    rows = []
    for condition, goal in ((10, ">= 4"), (1e8, "")):
        ours, peer, difference = contest(condition)
        rows.append((f"EM iteration, condition {condition:.0e}", ours, peer, peer / ours, goal, f"{difference:.0e}"))
    table(("CPU ms, median", "ours", "scikit-learn", "ratio", "goal", "answers differ by"), *rows)
