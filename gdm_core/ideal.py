r"""Denoisers that need no network: E[x | x_t] in closed form, where x_t = alpha_t x + sigma_t noise.

    Gaussian       m + alpha S (alpha^2 S + sigma^2 I)^-1 (x_t - alpha m)                           x ~ N(m, S)
    mixture        sum_k p(k | x_t) (sigma^2 m_k + alpha s_k^2 x_t) / (alpha^2 s_k^2 + sigma^2)     x ~ N(m_k, s_k^2 I)
    gaussians      sum_k p(k | x_t) times the first line of each k                                  x ~ N(m_k, S_k)
    training set   sum_n w_n x_n,  w = softmax of -|x_t - alpha x_n|^2 / (2 sigma^2)     Karras et al. (2022, eq. 57)
    its patches    the same at each pixel, with |.| over the pixels near it alone        Kamb & Ganguli (2024)

The last two learn from N pictures what can be learned: one is the minimum of the denoising loss, and copies; the other
is the minimum among all denoisers of a pixel that see no further than a patch.  Each function here returns
`denoise(x_t, t)`, (B, *event) and () or (B,) -> (B, *event), in the dtype and on the device of x_t, at every t from 0
to 1.  Memory stays bounded, however large B is.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gdm_core.denoising import Denoise, Schedule, at
from gdm_core.validate import bad, batch, integer

ENTRIES = 2**22  # of the largest table: some rows of x_t by all components or pictures


def gaussian(mean: Tensor, covariance: Tensor, schedule: Schedule) -> Denoise:
    """Of x ~ N(mean, covariance).

    Args:
        mean: (*event).
        covariance: (d, d), d the entries of an event; a singular one too.
        schedule: t -> (alpha_t, sigma_t).
    """
    d = mean.numel()
    if covariance.shape != (d, d):
        raise bad(f"a covariance ({d}, {d})", tuple(covariance.shape), "torch.cov(x.flatten(1).T)")
    return gaussians(mean[None], covariance[None], mean.new_ones(1), schedule)


def mixture(means: Tensor, std: Tensor, weights: Tensor, schedule: Schedule) -> Denoise:
    """Of x ~ sum_k w_k N(m_k, s_k^2 I), such as a toy target: `mixture(p.means, p.std, p.weights, schedule)`.

    Args:
        means: (K, d).
        std: (K,), above 0; `training_set` is for points.
        weights: (K,), up to a factor.
        schedule: t -> (alpha_t, sigma_t).
    """
    shapes = [tuple(a.shape) for a in (means, std, weights)]
    if means.ndim != 2 or shapes[1:] != [(len(means),)] * 2:
        raise bad("means (K, d), std (K,) and weights (K,)", shapes, "std.expand(K)")
    if not (std > 0).all():
        raise bad("std above 0", std.min().item(), "training_set(means, schedule) for points")
    k, d = means.shape

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        m, s, log_w = means.to(x_t), std.to(x_t), weights.to(x_t).log()

        def some(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
            var = _positive(alpha**2 * s**2 + sigma**2)  # (K,) or (B, K)
            square = (x[:, None] - alpha[..., None] * m).square().sum(2)  # (B, K)
            share = (log_w - d / 2 * var.log() - square / (2 * var)).softmax(1) / var
            return sigma**2 * (share @ m) + alpha * (share * s**2).sum(1, keepdim=True) * x

        return _rows(some, batch(x_t, (d,), name="x_t"), t, schedule, k * d)

    return denoise


def gaussians(means: Tensor, covariances: Tensor, weights: Tensor, schedule: Schedule) -> Denoise:
    """Of x ~ sum_k w_k N(m_k, S_k), such as what `observations.mixture` answers.

    Args:
        means: (K, *event).
        covariances: (K, d, d), d the entries of an event; singular ones too.
        weights: (K,), up to a factor.
        schedule: t -> (alpha_t, sigma_t).
    """
    k, d = len(means), means[0].numel()
    if covariances.shape != (k, d, d) or weights.shape != (k,):
        got = (tuple(covariances.shape), tuple(weights.shape))
        raise bad(
            f"covariances ({k}, {d}, {d}) and weights ({k},)", got, "torch.stack([torch.cov(x.T) for x in heaps])"
        )
    variances, axes = torch.linalg.eigh(covariances.double())
    variances = variances.clamp_min(0)  # rounding may have left them below

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        m, S, Q, log_w = (a.to(x_t) for a in (means.flatten(1), variances, axes, weights.log()))
        m, S = m[:, None], S[:, None]  # (K, 1, d)

        def some(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
            var = _positive(alpha**2 * S + sigma**2)  # (K, 1, d) or (K, B, d), along the axes of each
            away = (x - alpha * m) @ Q  # (K, B, d)
            share = (log_w[:, None] - (var.log() + away.square() / var).sum(2) / 2).softmax(0)
            return (share[..., None] * (m + (alpha * S / var * away) @ Q.mT)).sum(0)

        return _rows(some, batch(x_t, means.shape[1:], name="x_t").flatten(1), t, schedule, k * d).reshape(x_t.shape)

    return denoise


def training_set(x: Tensor, schedule: Schedule) -> Denoise:
    """Of the N examples x (N, *event) and nothing else, each as likely as the others.

    At t = 0 it is the nearest example, and E[x | x_t] = x_t holds at the examples alone.
    """
    _some(x)

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        them = x.to(x_t).flatten(1)
        some = lambda row, alpha, sigma: shares(row, them, alpha, sigma) @ them
        flat = _rows(some, batch(x_t, x.shape[1:], name="x_t").flatten(1), t, schedule, len(x))
        return flat.reshape(x_t.shape)

    return denoise


def patches(x: Tensor, side: int, schedule: Schedule) -> Denoise:
    """Of the N pictures x (N, C, H, W), by a machine that sees at each pixel the `side` x `side` pixels around it.

    What lies beyond the border is not compared.  `side` is odd; from `2 max(H, W) - 1` on each pixel sees the whole
    picture, and this is `training_set`.
    """
    _some(x)
    if x.ndim != 4:
        raise bad("pictures (N, C, H, W)", tuple(x.shape), "x.reshape(-1, 1, 8, 8)")
    if integer("side", side) % 2 == 0:
        raise bad("an odd side, with a pixel in its middle", side, f"side={side + 1}")
    reach = side // 2

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        them, told = x.to(x_t), torch.empty_like(batch(x_t, x.shape[1:], name="x_t"))
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                rows, columns = (slice(max(k - reach, 0), k + reach + 1) for k in (i, j))
                near, middle = them[:, :, rows, columns].flatten(1), them[:, :, i, j]  # (N, pixels), (N, C)
                some = lambda row, alpha, sigma, near=near, middle=middle: shares(row, near, alpha, sigma) @ middle
                told[:, :, i, j] = _rows(some, x_t[:, :, rows, columns].flatten(1), t, schedule, len(x))
        return told

    return denoise


def shares(x_t: Tensor, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """p(x = x_n | x_t), (B, N), of x_t (B, d) among x (N, d), with alpha and sigma () or (B, 1).

    What is the same for all n, |x_t|^2 and the distance of all data from 0, is left out before it can drown the rest.
    The largest exponent is brought to 0 before sigma^2 divides: sigma may be 0.
    """
    middle = x.mean(0)
    x_t, x = x_t - alpha * middle, x - middle
    closeness = alpha * (x_t @ x.T) - alpha**2 * x.square().sum(1) / 2
    return ((closeness - closeness.amax(1, keepdim=True)) / _positive(sigma**2)).softmax(1)


def _rows(some: Callable, x_t: Tensor, t: Tensor, schedule: Schedule, width: int) -> Tensor:
    """some(x_t, alpha, sigma) for as many rows of x_t (B, d) at a time as `ENTRIES` allows; width: entries a row."""
    pair = at(schedule, t.to(x_t), x_t)  # () or (B, 1)
    count = max(ENTRIES // width, 1)
    alphas, sigmas = (a.split(count) if a.ndim else [a] * (len(x_t) // count + 1) for a in pair)
    return torch.cat([some(*part) for part in zip(x_t.split(count), alphas, sigmas)])


def _positive(a: Tensor) -> Tensor:
    return a.clamp_min(torch.finfo(a.dtype).tiny)


def _some(x: Tensor) -> None:
    batch(x, x.shape[1:] if isinstance(x, Tensor) else ())
