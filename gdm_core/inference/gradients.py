r"""Two unbiased gradients of one bound, L(nu) = E_q(z; nu)[f(z)] with f(z) = log p(x, z) - log q(z; nu).

    score function     f(z) d/dnu log q(z; nu)                      Williams (1992), REINFORCE: needs f only
    reparameterized    d/dnu f(mean + std * epsilon)                Kingma & Welling (2014, section 2.4): needs df/dz

Their means agree; their variances do not, and the lecture measures by how much.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from gdm_core.inference.bounds import checked, log_weights
from gdm_core.validate import bad, integer


@torch.enable_grad()
def gradient_samples(
    model,
    x: Tensor,
    q: Distribution,
    samples: int = 1000,
    y: Tensor | None = None,
    *,
    baseline: bool = False,
) -> tuple[Tensor, Tensor]:
    """Single-draw gradients of the bound with respect to (mean, log_std) of q, from the same draws of epsilon.

    Args:
        x: (B, *event).
        q: factorized Gaussian over (B, latents).
        samples: independent draws, one gradient each.
        y: (B,) labels of a conditional model.
        baseline: subtract from f the mean of the other draws' f, which keeps the score function unbiased.

    Returns:
        (reparameterized, score function), each (S, B, 2 * latents); average over the first axis for the gradient,
        take the variance over it for the noise.
    """
    x = checked(model, x, y)
    integer("samples", samples, 2 if baseline else 1)
    if not (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
        raise bad("a factorized Gaussian q", type(q).__name__, "Independent(Normal(mean, std), 1)")
    shape = (samples, *q.mean.shape)  # (S, B, latents): a copy of nu for each draw gives a gradient for each draw
    mean = q.mean.detach().expand(shape).clone().requires_grad_()
    log_std = q.stddev.detach().log().expand(shape).clone().requires_grad_()
    own = lambda: Independent(Normal(mean, log_std.exp()), 1)
    z = mean + log_std.exp() * torch.randn_like(mean)

    f = log_weights(model, x, z, own(), y)  # (S, B)
    path = torch.cat(torch.autograd.grad(f.sum(), (mean, log_std)), -1)

    f = f.detach()
    if baseline:
        f = f - (f.sum(0) - f) / (samples - 1)
    surrogate = (f * own().log_prob(z.detach())).sum()
    score = torch.cat(torch.autograd.grad(surrogate, (mean, log_std)), -1)
    return path, score
