"""A mixture that is known in every number, and the textbook's EM for it in extended precision."""

import numpy as np
import torch
from oracles import long_log_normal, off_init

from gdm_core.models.gmm import GMM


def mixture(k=3, d=4, seed=0):
    """Tilted components of different sizes, far from any initial value, and what they are in numpy."""
    torch.manual_seed(seed)
    model = off_init(GMM(k, d).double(), 0.7, seed)
    with torch.no_grad():
        model.means.mul_(2)
    return model, *(p.detach().numpy() for p in (model.weights, model.means, model.covariances))


def long_em(x, weights, means, trils):
    """One EM iteration in extended precision, as the textbook writes it."""
    x, weights, means, trils = (np.asarray(a, np.longdouble) for a in (x, weights, means, trils))
    joint = np.stack([np.log(w) + long_log_normal(x, m, L) for w, m, L in zip(weights, means, trils)], 1)
    top = joint.max(1, keepdims=True)
    log_prob = top[:, 0] + np.log(np.exp(joint - top).sum(1))
    r = np.exp(joint - log_prob[:, None])
    counts = r.sum(0)
    new = np.einsum("nk,nd->kd", r, x) / counts[:, None]
    away = x[:, None] - new
    return log_prob.mean(), counts / len(x), new, np.einsum("nk,nki,nkj->kij", r, away, away) / counts[:, None, None]


def relative(covariances, truth):
    """Largest error in any direction, in units of the truth in that direction: spectrum of L^-1 (C - T) L^-T."""
    off = 0.0
    for c, t in zip(np.asarray(covariances, float), np.asarray(truth, float)):
        inverse = np.linalg.inv(np.linalg.cholesky(t))
        off = max(off, np.abs(inverse @ (c - t) @ inverse.T).max())
    return off
