"""Known truths that the tests compare with, and how to compare."""

import numpy as np
import torch
from torch import Tensor, nn


def normal(*shape: int, seed: int = 0, shift: float = 0.0) -> Tensor:
    """Standard normal draws of their own, moved by `shift`; float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) + shift


def off_init(model: nn.Module, by: float = 0.15, seed: int = 0) -> nn.Module:
    """Move every parameter off its initial value: at zeros and ones many errors are invisible (std = var = 1, say)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p))
    return model


def box(x: Tensor, side: int = 500) -> tuple[Tensor, float]:
    """A grid (side^d, d) over three times the range of the samples `x` (N, d), d = 1 or 2, and the area of a cell."""
    low, high = x.amin(0), x.amax(0)
    low, high = low - (high - low), high + (high - low)
    axes = [torch.linspace(a, b, side, dtype=x.dtype) for a, b in zip(low.tolist(), high.tolist())]
    cell = 1.0
    for axis in axes:
        cell *= (axis[1] - axis[0]).item()
    return torch.cartesian_prod(*axes).reshape(-1, x.shape[1]), cell


def event_space(values: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    """All events of that shape with entries among `values` (K,): (K^size, *event_shape)."""
    size = torch.Size(event_shape).numel()
    return torch.cartesian_prod(*[values] * size).reshape(-1, *event_shape)


def errors_off(values: Tensor, truth: Tensor | float, dim: int = 0) -> Tensor:
    """How many standard errors the mean of `values` over `dim` is from `truth`; rounding counts for nothing."""
    mean, error = values.mean(dim), values.std(dim) / values.shape[dim] ** 0.5
    return (mean - truth).abs() / (error + 1e-9 * (1 + mean.abs()))


def ill_conditioned(d: int, condition: float, seed: int = 0) -> Tensor:
    """A covariance (d, d), float64, in no special position, whose eigenvalues run from 1 down to 1 / condition."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return torch.from_numpy(Q * np.geomspace(1, 1 / condition, d) @ Q.T)


def long_log_normal(x: np.ndarray, mean: np.ndarray, tril: np.ndarray) -> np.ndarray:
    """log N(x; mean, tril tril^T) for x (N, d), by forward substitution in extended precision."""
    x, mean, tril = (np.asarray(a, np.longdouble) for a in (x, mean, tril))
    white = np.zeros_like(x)
    for i in range(x.shape[1]):
        white[:, i] = (x[:, i] - mean[i] - white[:, :i] @ tril[i, :i]) / tril[i, i]
    two_pi = 8 * np.arctan(np.longdouble(1))
    return -0.5 * ((white**2).sum(1) + x.shape[1] * np.log(two_pi)) - np.log(np.diag(tril)).sum()
