r"""What a model says of held-out data, in one unit for all, and how it is known: exactly, as a bound, or not at all.

    bits/dim = nats / (d log 2)
    -log P(k) <= E_u[-log p((k + u)/K)] + d log K,   u ~ U[0, 1)^d                          Theis et al. (2016, eq. 6)

A density's nats follow the units of x, and fall without end where data are discrete; probabilities of the K gray levels
0, 1/(K-1), ..., 1 can be compared.  A density of v = (k + u)/K gives a bound on them.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gdm_core.validate import bad, batch, choice, integer


class Nats(NamedTuple):
    """Of -log p(x): the mean over examples and its standard error, in nats; "exact", "bound" (from above) or "none"."""

    kind: str
    nats: float
    error: float
    bits: float


def bits(nats: Tensor | float, dimensions: int) -> Tensor | float:
    """Bits for each dimension.

    >>> round(bits(64 * math.log(17), 64), 4)  # 17 gray levels that are equally probable: log2 17
    4.0875
    """
    return nats / (integer("dimensions", dimensions) * math.log(2))


def spread(x: Tensor, levels: int) -> Tensor:
    """v = (k + u)/K with new noise u: gray levels 0, 1/(K-1), ..., 1 as numbers in (0, 1).  (B, *event), like x."""
    k = x * (integer("levels", levels, 2) - 1)
    if (k - k.round()).abs().max() > 1e-3 or k.min() < -0.5 or k.max() > levels - 0.5:
        raise bad(f"gray levels 0, 1/{levels - 1}, ..., 1", "other numbers", "x.mul(levels - 1).round() / (levels - 1)")
    return (k.round() + torch.rand_like(x)) / levels


def levels_of(v: Tensor, levels: int) -> Tensor:
    """The gray level in whose cell v lies: the way back, for samples of a density of v.  (B, *event), like v."""
    return (v * integer("levels", levels, 2)).floor().clamp(0, levels - 1) / (levels - 1)


@torch.no_grad()
def nats(model: nn.Module, x: Tensor, *, levels: int | None = None, by: str = "", draws: int = 1) -> Nats:
    """-log p(x) of held-out x (B, *event): "exact" of a model with `log_prob`, "bound" of one with `elbo`, else "none".

    Args:
        model: of x; or, with `levels`, a density of `spread(x, levels)`.
        levels: number of gray levels K, of which the answer is then a bound.
        by: "log_prob" or "elbo", where a model has both; the first unless given.
        draws: of the noise, in `elbo` and in `spread`.

    Raises:
        ValueError: x of another shape; `by` that the model does not offer; x that are no gray levels.
    """
    batch(x, model.event_shape)
    offers = [name for name in ("log_prob", "elbo") if hasattr(model, name)]
    if by and by not in offers:
        raise bad(f"what {type(model).__name__} offers", repr(by), " or ".join(map(repr, offers)) or "no `by`")
    if not offers:
        return Nats("none", math.nan, math.nan, math.nan)
    by = choice("by", by or offers[0], offers)
    d = x[0].numel()
    each = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for _ in range(integer("draws", draws)):
        seen = x if levels is None else spread(x, levels)
        each -= getattr(model, by)(seen).double() / draws
    if levels is not None:
        each += d * math.log(levels)
    kind = "exact" if by == "log_prob" and levels is None else "bound"
    mean, error = each.mean().item(), each.std().item() / len(x) ** 0.5
    return Nats(kind, mean, error, bits(mean, d))
