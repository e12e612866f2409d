r"""Variational inference with own parameters nu_i for every x_i.

    nu_i* = argmax_nu E_q(z; nu)[log p(x_i | z) + log p(z) - log q(z; nu)]          theta fixed: one problem for each x
    theta*, nu_1*, ..., nu_N* = argmax sum_i of the same                            learned together: theta is shared

Gradients are reparameterized, z = mean + std * epsilon, and log q is differentiated through z alone (Roeder, Wu &
Duvenaud, 2017): the term left out is zero on average, and its absence leaves no noise once q is the posterior.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from gdm_core import yours
from gdm_core.inference.bounds import checked, log_weights
from gdm_core.validate import bad, integer, positive


def _draw_by(draw, ours, self, samples, epsilon=None):
    if epsilon is not None or self.lower is not None:
        return ours(self, samples, epsilon)
    return draw(self.mean.flatten(), self.log_std.flatten(), samples).unflatten(1, self.mean.shape)


class PerDatapoint(nn.Module):
    """A Gaussian q(z; nu_i) for each of `n` examples, factorized or with full covariance.

    Args:
        n: number of examples.
        latents: size of z.
        full: learn a Cholesky factor in place of standard deviations.

    The start is the standard normal; `PerDatapoint.at(q)` starts at any Gaussian q, such as an encoder's.
    """

    def __init__(self, n: int, latents: int, full: bool = False):
        super().__init__()
        integer("n", n), integer("latents", latents)
        self.mean = nn.Parameter(torch.zeros(n, latents))
        self.log_std = nn.Parameter(torch.zeros(n, latents))  # log of the factor's diagonal where q is full
        self.lower = nn.Parameter(torch.zeros(n, latents, latents)) if full else None  # below the diagonal

    @classmethod
    def at(cls, q: Distribution, full: bool | None = None) -> "PerDatapoint":
        """Warm start: the parameters that make `self.q()` equal to `q`.

        Raises:
            ValueError: q is no Gaussian over (B, latents), or is full where `full=False`.
        """
        correlated = isinstance(q, MultivariateNormal)
        if not correlated and not (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
            raise bad("a Gaussian q over (B, latents)", type(q).__name__, "Independent(Normal(mean, std), 1)")
        full = correlated if full is None else full
        if q.mean.ndim != 2:
            raise bad("q over (B, latents)", f"mean of shape {tuple(q.mean.shape)}", "q.expand((len(x),))")
        if correlated and not full:
            raise bad("a factorized q for full=False", "a full covariance", "full=True")
        nu = cls(*q.mean.shape, full=full).to(q.mean)
        with torch.no_grad():
            nu.mean.copy_(q.mean)
            if correlated:
                nu.log_std.copy_(q.scale_tril.diagonal(dim1=-2, dim2=-1).log())
                nu.lower.copy_(q.scale_tril.tril(-1))
            else:
                nu.log_std.copy_(q.stddev.log())
        return nu

    def q(self, detach: bool = False) -> Distribution:
        """q(z; nu) over (n, latents); `detach=True` is a snapshot that later steps leave alone."""
        mean, log_std = self.mean, self.log_std
        lower = self.lower
        if detach:
            mean, log_std = mean.detach().clone(), log_std.detach().clone()
            lower = None if lower is None else lower.detach().clone()
        if lower is None:
            return Independent(Normal(mean, log_std.exp()), 1)
        return MultivariateNormal(mean, scale_tril=lower.tril(-1) + torch.diag_embed(log_std.exp()))

    @yours.replaceable("lab03.draw", _draw_by)
    def draw(self, samples: int, epsilon: Tensor | None = None) -> Tensor:
        """z = mean + L epsilon, (samples, n, latents); epsilon, of that shape, is drawn unless given."""
        if epsilon is None:
            return self.q().rsample((samples,))
        if self.lower is None:
            return self.mean + self.log_std.exp() * epsilon
        return self.mean + (self.q().scale_tril @ epsilon[..., None])[..., 0]


@dataclass(frozen=True, eq=False)
class State:
    """One moment of an optimization.

    Attributes:
        step: updates made so far.
        q: a snapshot of q(z; nu), over (B, latents).
        bound: (B,) an estimate of the bound at this q and the model of this moment, nats.
        moved: what the last update changed: "nu", "theta" or "both"; "" at the start.
    """

    step: int
    q: Distribution
    bound: Tensor
    moved: str = ""


def fit_per_datapoint(
    model,
    x: Tensor,
    steps: int = 200,
    *,
    nu: PerDatapoint | None = None,
    full: bool = False,
    samples: int = 8,
    lr: float = 0.1,
    y: Tensor | None = None,
    noise: Callable[..., Tensor] | None = None,
) -> Iterator[State]:
    """Maximize the bound over nu, the model fixed; yields the start and every step, `steps + 1` states.

    Each example's problem is its own: Adam treats coordinates apart, so no example moves another.  The step size falls
    to zero along half a cosine, which averages the Monte Carlo noise away.

    Args:
        model: `protocols.HasLatent` with a standard interface; its parameters and gradients stay untouched.
        x: (B, *event).
        nu: parameters to start from, updated in place; None starts at the standard normal.
        full: full covariance, where nu is None.
        samples: draws of z for each x and step.
        lr: first step size of Adam.
        y: (B,) labels of a conditional model.
        noise: `noise(step, samples, B, latents)`, the standard normal epsilon of a step (`widgets.Noise` is one); None
            draws from torch's own stream.

    All draws of a step are decoded at once: memory is that of `samples` batches.

    Raises:
        ValueError: at the call, where x, y or nu do not fit the model and each other.
    """
    return _climb(model, x, steps, nu, full, samples, y, noise, nu_lr=lr, theta_lr=None, plan=("nu",), anneal=True)


def fit_jointly(
    model,
    x: Tensor,
    steps: int = 500,
    *,
    nu: PerDatapoint | None = None,
    full: bool = False,
    samples: int = 1,
    lr: float = 0.02,
    decoder_lr: float = 2e-3,
    alternate: tuple[int, int] | None = None,
    y: Tensor | None = None,
) -> Iterator[State]:
    """Maximize the bound over nu and the model's own parameters theta; yields `steps + 1` states, full batch.

    Args:
        alternate: None moves both in each step; (a, b) moves nu for `a` steps, then theta for `b`, and so on: the
            E and M steps of EM, taken by gradient and never to the end.
        decoder_lr: Adam's step size for theta: all parameters that p(x, z) depends on; an encoder stays as it is.
        model, x, nu, full, samples, lr, y: as for `fit_per_datapoint`; the step sizes stay constant.

    Raises:
        ValueError: at the call, as for `fit_per_datapoint`, and for a model without trainable parameters.
    """
    if alternate is None:
        plan: tuple[str, ...] = ("both",)
    else:
        a, b = (integer("alternate", n) for n in alternate)
        plan = ("nu",) * a + ("theta",) * b
    return _climb(model, x, steps, nu, full, samples, y, None, nu_lr=lr, theta_lr=decoder_lr, plan=plan, anneal=False)


def _climb(model, x, steps, nu, full, samples, y, noise, *, nu_lr, theta_lr, plan, anneal) -> Iterator[State]:
    x = checked(model, x, y)
    integer("steps", steps), integer("samples", samples), positive("lr", nu_lr, 0.1)
    latents = model.prior().event_shape[0]
    if nu is None:
        nu = PerDatapoint(len(x), latents, full).to(x)
    if nu.mean.shape != (len(x), latents) or nu.mean.dtype != x.dtype:
        found, hint = f"{tuple(nu.mean.shape)} {nu.mean.dtype}", "PerDatapoint(len(x), latents).to(x)"
        raise bad(f"nu of shape {(len(x), latents)} in {x.dtype}", found, hint)
    own = list(nu.parameters())
    shared = [] if theta_lr is None else [p for p in model.parameters() if p.requires_grad]
    if theta_lr is not None and not shared:
        raise bad("a model with trainable parameters", type(model).__name__, "model.requires_grad_()")
    optimizers = {"nu": torch.optim.Adam(own, lr=nu_lr)}
    if shared:
        optimizers["theta"] = torch.optim.Adam(shared, lr=positive("decoder_lr", theta_lr, 1e-3))
    return _steps(model, x, y, steps, nu, samples, noise, shared, optimizers, plan, nu_lr if anneal else None)


def _steps(model, x, y, steps, nu, samples, noise, shared, optimizers, plan, falling) -> Iterator[State]:
    own, moved = list(nu.parameters()), ""
    for step in range(steps + 1):
        turn = plan[step % len(plan)]
        with torch.set_grad_enabled(step < steps):
            z = nu.draw(samples, None if noise is None else noise(step, samples, *nu.mean.shape))
            snapshot = nu.q(detach=True)
            bound = log_weights(model, x, z, snapshot, y).mean(0)
            loss = -bound.sum()
        yield State(step, snapshot, bound.detach(), moved)
        if step == steps:
            return
        moving = {"nu": ["nu"], "theta": ["theta"], "both": ["nu", "theta"]}[turn]
        wanted = [p for name in moving for p in (own if name == "nu" else shared)]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
        for p, g in zip(wanted, gradients):
            p.grad = g
        for name in moving:
            for group in optimizers[name].param_groups:
                if falling is not None:
                    group["lr"] = falling * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizers[name].step()
            optimizers[name].zero_grad(set_to_none=True)
        moved = turn
