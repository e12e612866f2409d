r"""Bounds on log p(x), for any model with a prior, a decoder and some q.

    log p(x) - L[q] = KL(q || p(z | x)),   L[q] = E_q[log p(x | z) + log p(z) - log q(z)]   the bound (ELBO)
    log p(x) >= E[log 1/S sum_s p(x, z_s) / q(z_s)] >= L[q]          IWAE, Burda et al. (2016, eq. 8)

A model here is anything that satisfies `protocols.HasLatent` and whose `decode` takes `z: (..., latents)`.  Every bound
is `(B,)`, in nats.  Labels `y: (B,)`, where given, go to `encode` and `decode` as a second argument.
"""

import math

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from gdm_core import yours
from gdm_core.validate import bad, batch, integer


def given(y: Tensor | None) -> tuple[Tensor, ...]:
    """What `encode` and `decode` take after their first argument."""
    return () if y is None else (y,)


def checked(model, x: Tensor, y: Tensor | None = None) -> Tensor:
    """`x` once it is known to be a batch of this model's events, with one label each where there are any."""
    shape = getattr(model, "event_shape", None)
    x = x if shape is None else batch(x, shape)
    if y is not None and y.shape != x.shape[:1]:
        raise bad(f"one label for each of {len(x)} examples", tuple(y.shape), f"y of shape ({len(x)},)")
    return x


def posterior(model, x: Tensor, q: Distribution | None, y: Tensor | None) -> Distribution:
    """`q`, or the encoder's answer, once it is known to be over these examples: others would broadcast in silence."""
    q = model.encode(x, *given(y)) if q is None else q
    if q.batch_shape != x.shape[:1]:
        raise bad(f"q over {len(x)} examples", f"batch_shape {tuple(q.batch_shape)}", f"q.expand(({len(x)},))")
    return q


def decoded_size(model, x: Tensor) -> int:
    """How many numbers the decoder makes for one example: what a batch of them costs in memory."""
    return max(1, getattr(getattr(model, "likelihood", None), "channels", 1) * x[0].numel())


def log_likelihood(model, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
    """log p(x | z), (S, B) nats; without a gradient, some million numbers of the decoder at a time.

    Args:
        x: (B, *event).
        z: (S, B, latents).
        y: (B,) labels of a conditional model.
    """
    rows = max(1, 2**22 // decoded_size(model, x))  # pairs of x and z
    if torch.is_grad_enabled() or z.shape[0] * len(x) <= rows:
        return model.decode(z, *given(y)).log_prob(x)
    out, width = x.new_empty(z.shape[0], len(x)), min(rows, len(x))
    for b in range(0, len(x), width):
        part = slice(b, b + width)
        labels = given(None if y is None else y[part])
        for s in range(0, z.shape[0], rows // width):
            draws = slice(s, s + rows // width)
            out[draws, part] = model.decode(z[draws, part], *labels).log_prob(x[part])
    return out


def log_weights(model, x: Tensor, z: Tensor, q: Distribution, y: Tensor | None = None) -> Tensor:
    """log p(x | z) + log p(z) - log q(z), the integrand of the bound and the log of the importance weight.

    Args:
        x: (B, *event).
        z: (S, B, latents).
        q: over (B, latents).

    Returns:
        (S, B) nats.
    """
    return log_likelihood(model, x, z, y) + model.prior().log_prob(z) - q.log_prob(z)


def elbo(
    model,
    x: Tensor,
    samples: int = 1,
    q: Distribution | None = None,
    y: Tensor | None = None,
    *,
    analytic: bool = False,
) -> Tensor:
    """The evidence lower bound, by its definition.

    Args:
        x: (B, *event).
        samples: draws of z for each x.
        q: over (B, latents); None asks `model.encode(x)`.  Draws are reparameterized where q can; where it cannot, no
            gradient reaches q.
        y: (B,) labels of a conditional model.
        analytic: take E_q[log p(z) - log q(z)] = -KL(q || p) in closed form.

    Returns:
        (B,) nats: an unbiased estimate of a bound on log p(x).

    Raises:
        ValueError: x, y or q that do not fit the model and each other.
    """
    x = checked(model, x, y)
    q = posterior(model, x, q, y)
    draw = q.rsample if q.has_rsample else q.sample
    z = draw((integer("samples", samples),))  # (S, B, latents)
    if analytic:
        return log_likelihood(model, x, z, y).mean(0) - kl(q, model.prior())
    return log_weights(model, x, z, q, y).mean(0)


def iwae_bound(
    model,
    x: Tensor,
    samples: int = 100,
    q: Distribution | None = None,
    y: Tensor | None = None,
    *,
    chunk: int | None = None,
) -> Tensor:
    """Importance-weighted bound, Burda, Grosse & Salakhutdinov (2016, eq. 8): log of the mean weight.

    It rises to log p(x) with `samples`; it is the ELBO's single-draw estimate at `samples=1`.  Under `torch.no_grad()`
    memory stays that of one chunk.

    Args:
        x, q, y: as for `elbo`.
        samples: draws of z for each x.
        chunk: draws that are decoded at once; None for about a million elements of x.

    Returns:
        (B,) nats.

    Raises:
        ValueError: x, y or q that do not fit the model and each other.
    """
    x = checked(model, x, y)
    q = posterior(model, x, q, y)
    draw = q.rsample if q.has_rsample else q.sample
    left = integer("samples", samples)
    chunk = max(1, 2**20 // x.numel()) if chunk is None else integer("chunk", chunk)
    total = x.new_full((len(x),), -math.inf)
    while left > 0:
        z = draw((min(chunk, left),))
        total = torch.logaddexp(total, log_weights(model, x, z, q, y).logsumexp(0))
        left -= len(z)
    return total - math.log(samples)


def _kl_by(kl, ours, q, p):
    """Theirs is of q(z) = N(mean, diag std^2), (B, L), and of the prior N(0, I)."""
    normal = lambda d: isinstance(d, Independent) and isinstance(d.base_dist, Normal) and len(d.event_shape) == 1
    if not (normal(q) and normal(p)) or q.mean.ndim != 2 or (p.mean != 0).any() or (p.stddev != 1).any():
        return ours(q, p)
    return kl(q.mean, q.stddev.log())


@yours.replaceable("lab04.kl", _kl_by)
def kl(q: Distribution, p: Distribution) -> Tensor:
    """KL(q || p) in nats, in closed form; also for a full-covariance q and a factorized p.

    Raises:
        ValueError: no closed form is known for the pair.
    """
    if isinstance(q, MultivariateNormal) and isinstance(p, Independent) and isinstance(p.base_dist, Normal):
        p = MultivariateNormal(p.mean, scale_tril=torch.diag_embed(p.stddev))
    try:
        return td.kl_divergence(q, p)
    except NotImplementedError:
        pair = f"{type(q).__name__} and {type(p).__name__}"
        raise bad("two distributions whose KL has a closed form", pair, "analytic=False") from None
