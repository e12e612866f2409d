r"""Ways to learn s(x) = grad log p(x) from draws of p: four losses whose gradients agree.

    explicit   1/2 |s(x) - grad log p(x)|^2                           needs the truth
    implicit   1/2 |s(x)|^2 + tr(grad s(x))                           (Hyvaerinen, 2005, eq. 4)
    sliced     1/2 |s(x)|^2 + v^T grad s(x) v,     v ~ N(0, I)        (Song et al., 2019, eq. 8)
    denoising  1/2 |s(x + sigma e) + e / sigma|^2, e ~ N(0, I)        (Vincent, 2011, eq. 9)

In the mean over x (and v) the second and the third are the first less a constant.  So is the last, for the density of
x + sigma e in place of p.  `score` maps (B, *event) to (B, *event), each example on its own; losses are (B,), in nats
a squared unit of x, and none is a likelihood.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gdm_core.validate import bad

Field = Callable[[Tensor], Tensor]


def explicit(score: Field, x: Tensor, truth: Tensor) -> Tensor:
    """(B,) from x and grad log p(x), both (B, *event)."""
    if truth.shape != x.shape:
        raise bad(f"the true score at x, {tuple(x.shape)}", tuple(truth.shape), "target.score(x)")
    return _half_square(score(x) - truth)


def implicit(score: Field, x: Tensor) -> Tensor:
    """(B,), with one backward pass for each entry of an example: for few dimensions."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        s = score(x)
        rows = s.flatten(1)
        trace = sum(_slope(rows[:, i], x).flatten(1)[:, i] for i in range(rows.shape[1]))
    return _half_square(s) + trace


def sliced(score: Field, x: Tensor, v: Tensor | None = None) -> Tensor:
    """(B,), with one backward pass.  v: directions (B, *event) with mean 0 and covariance I; drawn unless given."""
    x = x.detach().requires_grad_()
    v = torch.randn_like(x) if v is None else v
    with torch.enable_grad():
        s = score(x)
        along = (_slope((s * v).flatten(1).sum(1), x) * v).flatten(1).sum(1)
    return _half_square(s) + along


def denoising(score: Field, x: Tensor, sigma: Tensor | float, noise: Tensor | None = None) -> Tensor:
    """(B,), for the score of x + sigma noise.

    Its mean differs from that of `explicit` by a constant that grows as 1 / sigma^2, and so does its variance: weigh it
    with sigma^2 to train at several levels at once.

    Args:
        score: of the blurred density.
        x: data, (B, *event).
        sigma: > 0; a number, or (B,).
        noise: standard normal, (B, *event); drawn unless given.
    """
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    if not (sigma > 0).all() or sigma.ndim and sigma.shape != x.shape[:1]:
        raise bad(f"sigma > 0, one number or ({len(x)},)", tuple(sigma.shape) or sigma.item(), "sigma=0.3")
    sigma = sigma.reshape(-1, *[1] * (x.ndim - 1)) if sigma.ndim else sigma
    noise = torch.randn_like(x) if noise is None else noise
    return _half_square(score(x + sigma * noise) + noise / sigma)


def _half_square(s: Tensor) -> Tensor:
    return s.square().flatten(1).sum(1) / 2


def _slope(value: Tensor, x: Tensor) -> Tensor:
    """d value_b / d x_b, (B, *event), for value (B,); zero where value does not depend on x."""
    found = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)[0]
    return torch.zeros_like(x) if found is None else found
