"""EM of a mixture in the plane from a start to its end: fast enough to be run anew while a hand drags the start.

The library's `GMM.em` is made for many examples of many features and pays half a millisecond a step for it.  Here a
step is two products with the features 1, x, x x^T (see `gaussian_em`) and some arithmetic on 2 x 2 matrices.
"""

import numpy as np
import torch

from gdm_core.nats import LOG_2PI

ITERATIONS = 30
FLAT = 1e-12  # variance below which a component has no volume


class Run:
    """EM from one start: parameters after each M step, and the words for what ended it early, if something did.

    Attributes:
        weights, means, covs: (T, K), (T, K, 2), (T, K, 2, 2), at the start and after each M step.
        likelihood: (T,) nats per example.
        q: (1 + T, K, N), 1 / K for all before the first E step, then the responsibilities at each of the T states.
        bound: (2 T,) nats per example, before and after each E step.
    """

    def __init__(self, x: torch.Tensor, means: np.ndarray, covs: np.ndarray):
        t, k = features(x), len(means)
        self.error, states = "", [tuple(x.new_tensor(p) for p in (np.full(k, 1 / k), means, covs))]
        for _ in range(ITERATIONS):
            sums = (natural(*states[-1]) @ t).softmax(0) @ t.T  # (K, 6)
            new = maximized(sums / len(x))
            self.error = lost(new[2], sums[:, 0])
            if self.error:
                break
            states.append(new)
        self.weights, self.means, self.covs = (torch.stack(p) for p in zip(*states))
        joint = natural(self.weights, self.means, self.covs) @ t  # (T, K, N)
        self.likelihood = joint.logsumexp(1).mean(1)
        self.q = torch.cat([torch.full_like(joint[:1], 1 / k), joint.softmax(1)])
        before, after = (lower(joint, self.q[i : i + len(joint)]) for i in (0, 1))
        self.bound = torch.stack([before, after], 1).flatten()

    @property
    def last(self) -> int:
        """Number of the last state."""
        return len(self.means) - 1

    def at(self, half: int) -> tuple[int, int]:
        """After so many half-steps: how many M steps and how many E steps are done, the E step first."""
        return min(half // 2, self.last), min((half + 1) // 2, self.last + 1)


def features(x: torch.Tensor) -> torch.Tensor:
    """1, x1, x2, x1 x1, x1 x2, x2 x2 of each example, (N, 2) -> (6, N)."""
    a, b = x.T
    return torch.stack([torch.ones_like(a), a, b, a * a, a * b, b * b])


def natural(weights, means, covs) -> torch.Tensor:
    """What times the features gives log p(x, z = k).  (..., K), (..., K, 2), (..., K, 2, 2) -> (..., K, 6)."""
    (a, b), (_, c) = (row.unbind(-1) for row in covs.unbind(-2))
    det = a * c - b * b
    x, y = means.unbind(-1)
    pull = (c * x - b * y) / det, (a * y - b * x) / det  # the precision times the mean
    level = weights.log() - 0.5 * (det.log() + pull[0] * x + pull[1] * y) - LOG_2PI
    return torch.stack([level, *pull, -0.5 * c / det, b / det, -0.5 * a / det], -1)


def maximized(sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The M step: weights, means and covariances from responsibilities times features, (K, 6), over N."""
    weights = sums[:, 0]
    x, y, xx, xy, yy = (sums[:, 1:] / weights[:, None]).unbind(1)
    rows = xx - x * x, xy - x * y, xy - x * y, yy - y * y
    return weights, torch.stack([x, y], 1), torch.stack(rows, 1).unflatten(1, (2, 2))


def lost(covs: torch.Tensor, counts: torch.Tensor) -> str:
    """Words for a component without examples or without volume, "" if there is none."""
    thin = torch.linalg.det(covs) / (covs[:, 0, 0] + covs[:, 1, 1])  # the smaller variance, if it is much smaller
    for k, (count, variance) in enumerate(zip(counts.tolist(), thin.tolist()), 1):
        if count < 1e-8:
            return f"EM ends here: component {k} holds no example"
        if not variance > FLAT:
            return f"EM ends here: component {k} has collapsed on {count:.2g} examples, and the likelihood has no bound"
    return ""


def lower(joint: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The bound E_q[log p(x, z) - log q(z)], mean over examples.  (..., K, N) -> (...)."""
    return (q * joint - torch.xlogy(q, q)).sum(-2).mean(-1)
