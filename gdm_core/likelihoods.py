r"""Likelihoods: what a decoder's raw numbers say about the data, as a distribution.

Each likelihood names how many `channels` it wants for one element of the event and turns `(..., channels, *event)`
into a distribution over `(..., *event)`, `Independent` over the event.  It says how many `levels` an element may have,
None for any real number.

    gaussian      x = a + std * epsilon                             a density: continuous data
    gaussians     a mixture of them                                 the same, with several bumps
    bernoulli     p(x = 1) = sigmoid(a)                             binary data
    categorical   p(x = k / (L-1)) = softmax(a)_k                   gray levels, any shape of distribution
    discretized   p(x = k / (L-1)) = F(right edge) - F(left edge)   gray levels, F logistic or Gaussian, or a mixture

Densities and probabilities are both in nats but are no more comparable than meters and counts: a density of gray values
can be raised without limit by a small std.  The discretized likelihood follows Salimans et al. (2017, eq. 2): the two
outermost bins reach to infinity, so that the L probabilities sum to 1.
"""

import math

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn.functional import logsigmoid

from gdm_core.validate import bad, choice, integer, positive

LOG_STD = (-7.0, 7.0)  # std from 0.001 to 1100: outside, data in [0, 1] is a fault, and NaN passes through unclamped


class Gaussian(nn.Module):
    """N(a, std^2) with a fixed, a learned or a predicted standard deviation.

    Args:
        std: its value, or its initial value, in the units of the data.
        learn: None keeps it; "shared" learns one number; "output" lets the decoder say log std for every element
            (relative to `std`).

    Raises:
        ValueError: std outside [0.001, 1000], where it could not be told from the limits that training is kept in.
    """

    levels = None

    def __init__(self, std: float = 1.0, learn: str | None = "shared"):
        super().__init__()
        choice("learn", learn, (None, "shared", "output"))
        self.channels = 2 if learn == "output" else 1
        if not 1e-3 <= positive("std", std) <= 1e3:
            raise bad("std from 0.001 to 1000", std, "data divided by their standard deviation")
        log_std = torch.tensor(math.log(std))
        if learn == "shared":
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std)

    def forward(self, raw: Tensor, dims: int) -> Independent:
        mean, *more = raw.unbind(-dims - 1)
        log_std = self.log_std + more[0] if more else self.log_std
        return Independent(Normal(mean, log_std.clamp(*LOG_STD).exp()), dims)


class Gaussians(nn.Module):
    """A mixture of Gaussians for each element, on a scale of its own: any density on the line, roughly."""

    levels = None

    def __init__(self, components: int = 5):
        super().__init__()
        self.components, self.channels = integer("components", components), 3 * components

    def forward(self, raw: Tensor, dims: int) -> Independent:
        mean, log_std, logits = raw.movedim(-dims - 1, -1).chunk(3, -1)  # (..., *event, components)
        spread = torch.linspace(-2, 2, self.components, dtype=raw.dtype, device=raw.device)  # components must differ
        parts = Normal(spread + mean, log_std.clamp(*LOG_STD).exp())
        return Independent(td.MixtureSameFamily(td.Categorical(logits=logits), parts), dims)


class Bernoulli(nn.Module):
    """Binary data.  Gray values are refused: their cross-entropy is the log-probability of nothing."""

    channels, levels = 1, 2

    def forward(self, raw: Tensor, dims: int) -> Independent:
        return Independent(_Binary(logits=raw.squeeze(-dims - 1)), dims)


class Categorical(nn.Module):
    """A free probability for each of `levels` gray values 0, 1/(levels-1), ..., 1."""

    def __init__(self, levels: int):
        super().__init__()
        self.channels = self.levels = integer("levels", levels, 2)

    def forward(self, raw: Tensor, dims: int) -> Independent:
        return Independent(GrayCategorical(raw.movedim(-dims - 1, -1)), dims)


class Discretized(nn.Module):
    """A logistic or Gaussian cut at the edges of the gray values, or a mixture of `components` of them.

    The scale is predicted for every element; at raw = 0 it is a tenth of the range.
    """

    def __init__(self, levels: int, family: str = "logistic", components: int = 1):
        super().__init__()
        self.levels, self.family = integer("levels", levels, 2), choice("family", family, tuple(_LOG_MASS))
        self.components = integer("components", components)
        self.channels = 2 if components == 1 else 3 * components

    def forward(self, raw: Tensor, dims: int) -> Independent:
        start = math.log(0.1)
        if self.components == 1:
            mean, log_scale = raw.unbind(-dims - 1)
            return Independent(GrayCut(0.5 + mean, start + log_scale, self.levels, self.family), dims)
        mean, log_scale, logits = raw.movedim(-dims - 1, -1).chunk(3, -1)  # (..., *event, components)
        spread = torch.linspace(0, 1, self.components, dtype=raw.dtype, device=raw.device)  # components must differ
        parts = GrayCut(spread + mean, start + log_scale, self.levels, self.family)
        return Independent(td.MixtureSameFamily(td.Categorical(logits=logits), parts), dims)


def build(name: str | nn.Module, levels: int | None = None) -> nn.Module:
    """The likelihood called "gaussian", "bernoulli", "categorical" or "discretized"; the last two need `levels`.

    A likelihood that is built already is returned as it is.

    Raises:
        ValueError: unknown name, no `levels` where they are needed, or `levels` where they would be without effect.
    """
    if isinstance(name, str):
        choice("likelihood", name, ("gaussian", "bernoulli", "categorical", "discretized"))
    if levels is not None and name not in ("categorical", "discretized"):
        raise bad("levels for a categorical or discretized likelihood alone", name, "levels=None")
    if isinstance(name, nn.Module):
        return name
    if name in ("gaussian", "bernoulli"):
        return Gaussian() if name == "gaussian" else Bernoulli()
    if levels is None:
        raise bad(f"levels, the number of gray values, for the {name} likelihood", None, "levels=dataset.levels")
    return Categorical(levels) if name == "categorical" else Discretized(levels)


def values(likelihood: nn.Module, like: Tensor) -> Tensor | None:
    """All that an element of x may be under a likelihood, 0 to 1 in equal steps: (levels,); None for a density."""
    levels = getattr(likelihood, "levels", None)
    return None if levels is None else _values(levels, like)


class GrayCategorical(Distribution):
    """One gray value k / (L-1) with probabilities softmax(logits); `logits: (*batch, L)`."""

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor):
        self.log_probs = logits.log_softmax(-1)  # (*batch, L)
        super().__init__(logits.shape[:-1], validate_args=False)

    @property
    def levels(self) -> int:
        return self.log_probs.shape[-1]

    @property
    def mean(self) -> Tensor:
        return self.log_probs.exp() @ _values(self.levels, self.log_probs)

    @property
    def variance(self) -> Tensor:
        return self.log_probs.exp() @ _values(self.levels, self.log_probs) ** 2 - self.mean**2

    def log_prob(self, x: Tensor) -> Tensor:
        index = level_index(x, self.levels)
        shape = torch.broadcast_shapes(index.shape, self.batch_shape)
        return self.log_probs.expand(*shape, self.levels).gather(-1, index.expand(shape)[..., None])[..., 0]

    def icdf(self, u: Tensor) -> Tensor:
        k = (self.log_probs.exp().cumsum(-1) < u[..., None]).sum(-1)
        k = k.clamp_max(self.levels - 1)  # the sum of all may end below u
        return k.to(self.log_probs.dtype) / (self.levels - 1)

    def sample(self, sample_shape=()) -> Tensor:
        k = td.Categorical(logits=self.log_probs, validate_args=False).sample(sample_shape)
        return k.to(self.log_probs.dtype) / (self.levels - 1)


class GrayCut(Distribution):
    """One gray value k / (L-1): the mass of a logistic or Gaussian between the midpoints to its neighbors."""

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, loc: Tensor, log_scale: Tensor, levels: int, family: str = "logistic"):
        self.loc, self.log_scale = torch.broadcast_tensors(loc, log_scale.clamp(*LOG_STD))
        self.levels, self.family = levels, family
        super().__init__(self.loc.shape, validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        index, half = level_index(x, self.levels), 0.5 / (self.levels - 1)
        center = index.to(self.loc.dtype) / (self.levels - 1)
        rate = torch.exp(-self.log_scale)
        a, b = (center - half - self.loc) * rate, (center + half - self.loc) * rate
        width = 2 * half * rate  # b - a, which float32 would round away far from the center
        inner, lower, upper = _LOG_MASS[self.family]
        below, above = lower(b), upper(a)
        # The unused branches stay finite, or `where` would send NaN through their gradients.
        between = inner(a, b, below, above, width)
        return torch.where(index == 0, below, torch.where(index == self.levels - 1, above, between))

    def _tail_sum(self, weight) -> Tensor:
        """Sum over k of weight(k) P(level > k), which gives the moments, about a million elements at a time."""
        upper, total, rate = _LOG_MASS[self.family][2], torch.zeros_like(self.loc), torch.exp(-self.log_scale)
        k = torch.arange(self.levels - 1, device=self.loc.device)
        for part in k.split(max(1, 2**20 // max(self.loc.numel(), 1))):
            part = part.to(self.loc.dtype).reshape(-1, *[1] * self.loc.ndim)
            total = total + (weight(part) * upper(((part + 0.5) / (self.levels - 1) - self.loc) * rate).exp()).sum(0)
        return total

    @property
    def mean(self) -> Tensor:
        return self._tail_sum(lambda k: 1) / (self.levels - 1)

    @property
    def variance(self) -> Tensor:
        return self._tail_sum(lambda k: 2 * k + 1) / (self.levels - 1) ** 2 - self.mean**2

    def sample(self, sample_shape=()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            if self.family == "gaussian":
                noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            else:
                u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
                noise = torch.logit(u, eps=torch.finfo(u.dtype).tiny)
            x = self.loc + self.log_scale.exp() * noise
            return (x * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)


class _Binary(td.Bernoulli):
    """torch's Bernoulli with an error that says what to do about gray values."""

    def _validate_sample(self, value: Tensor) -> None:
        if not (value * value == value).all():
            raise bad("x of zeros and ones for a Bernoulli likelihood", "other values", "(x > 0.5).to(x.dtype)")


def _logistic_inner(_a, _b, below: Tensor, above: Tensor, width: Tensor) -> Tensor:
    """log(F(b) - F(a)) = log F(b) + log F(-a) + log(1 - exp(a - b)): no cancellation in either tail."""
    return below + above + torch.log(-torch.expm1(-width))


def _gaussian_inner(a: Tensor, b: Tensor, below: Tensor, above: Tensor, _width) -> Tensor:
    """log(F(b) - F(a)), mirrored into the lower tail, where log F is accurate."""
    mirror = a + b > 0
    top = torch.where(mirror, above, below)
    return top + torch.log(-torch.expm1(torch.special.log_ndtr(torch.where(mirror, -b, a)) - top))


_LOG_MASS = {  # log P(a < x < b), which is told the other two; log P(x < b), log P(x > a), for standardized edges
    "logistic": (_logistic_inner, logsigmoid, lambda a: logsigmoid(-a)),
    "gaussian": (_gaussian_inner, torch.special.log_ndtr, lambda a: torch.special.log_ndtr(-a)),
}


def _values(levels: int, like: Tensor) -> Tensor:
    return torch.linspace(0, 1, levels, dtype=like.dtype, device=like.device)


def level_index(x: Tensor, levels: int) -> Tensor:
    """Which gray level each element of x is, 0 ... levels - 1.  ValueError: values between or beyond them."""
    scaled = x * (levels - 1)
    index = scaled.round()
    if not ((scaled - index).abs() < 1e-3).all() or index.min() < 0 or index.max() > levels - 1:
        raise bad(
            f"x on the {levels} gray levels 0, 1/{levels - 1}, ..., 1",
            "values between or beyond them",
            f"(x * {levels - 1}).round().clamp(0, {levels - 1}) / {levels - 1}",
        )
    return index.long()
