r"""Flow maps: where the flow of t takes x_t until r, in one evaluation.

    x_t = (1 - t) x + t noise,   v(x_t, t) = E[noise - x | x_t],   dz/dt = v(z, t)          from noise (1) to data (0)

    jump(z, t, r) = z - (t - r) u(z, t, r)                            u: the average velocity between r and t

A network u with u(z, t, t) = v is right if and only if it satisfies any of these (consistency: for r = 0).  D is the
derivative along the flow, v d_z + d_t:

    MeanFlow     u = v - (t - r) D u                                              Geng et al. (2025, eq. 6)
    consistency  D jump(z, t, 0) = 0                                              Song et al. (2023), Lu & Song (2025)
    Lagrangian   d_r jump(z, t, r) = v(jump(z, t, r), r)                          Boffi et al. (2025)
    shortcut     u(z, t, r) = (u(z, t, q) + u(z', q, r))/2,  q = (t + r)/2,  z' = jump(z, t, q)     Frans et al. (2025)

`residuals` says how far a u is from each; `FlowMap` learns by one of them.  In a loss the side that is told by the
network itself is a goal that is held fixed; and noise - x, whose mean is v, stands for v wherever the loss is linear in
it, so that no teacher is needed.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Size, Tensor, nn
from torch.func import jvp

from gdm_core import couplings, denoising
from gdm_core.couplings import Coupling
from gdm_core.denoising import beside
from gdm_core.networks import MLPEncoder, told
from gdm_core.validate import bad, batch, choice, integer

Average = Callable[[Tensor, Tensor, Tensor], Tensor]  # u(z, t, r): (B, *event), (B,), (B,) -> (B, *event)
IDENTITIES = ("meanflow", "consistency", "lagrangian", "shortcut")


def jump(u: Average, z: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """Where the flow takes z from t to r."""
    return z - beside(t - r, z) * u(z, t, r)


def residuals(u: Average, z: Tensor, t: Tensor, r: Tensor, v: Callable[[Tensor, Tensor], Tensor] | None = None) -> dict:
    """Left side less right side of the four identities, each (B, *event), in units of velocity.

    Args:
        u: the average velocity.
        z: (B, *event).
        t, r: (B,), 1 >= t > r >= 0.
        v: the velocity v(z, t), u(z, t, t) unless given.
    """
    v = (lambda z, t: u(z, t, t)) if v is None else v
    here, zero = v(z, t), torch.zeros_like(t)
    return {
        "meanflow": u(z, t, r) - meanflow(u, z, t, r, here),
        "consistency": along(lambda z, t: jump(u, z, t, zero), z, t, here)[1],
        "lagrangian": jvp(lambda r: jump(u, z, t, r), (r,), (torch.ones_like(r),))[1] - v(jump(u, z, t, r), r),
        "shortcut": u(z, t, r) - shortcut(u, z, t, r),
    }


def along(f: Callable[[Tensor, Tensor], Tensor], z: Tensor, t: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """f(z, t) and D f = v d_z f + d_t f, in one forward pass."""
    return jvp(f, (z, t), (v, torch.ones_like(t)))


def meanflow(u: Average, z: Tensor, t: Tensor, r: Tensor, v: Tensor) -> Tensor:
    """v - (t - r) D u: what u(z, t, r) should be."""
    return v - beside(t - r, z) * along(lambda z, t: u(z, t, r), z, t, v)[1]


def shortcut(u: Average, z: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """The mean of two steps of half the length: what u(z, t, r) should be."""
    q = (t + r) / 2
    first = u(z, t, q)
    return (first + u(z - beside(t - q, z) * first, q, r)) / 2


class FlowMap(nn.Module):
    """The average velocity as a network.

    Args:
        event_shape: shape of one example, or the number of features.
        learns: by which of `IDENTITIES`; "consistency" knows jumps to r = 0 alone.
        share: of the batch that has r = t, where all of them are flow matching.
        coupling: which noise goes with which example, see `couplings`.
        teacher: a velocity v(z, t) that is known or learned, to be distilled; None learns from noise - x.
        hidden: units of the hidden layers.
        network: own u in place of the layers: network(z, t, r, y) of (B, *event), (B,), (B,), and of (B,) or None.
        labels: number of classes y; 0 for none.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        learns: str = "meanflow",
        share: float = 0.5,
        coupling: Coupling = couplings.independent,
        teacher: Callable[[Tensor, Tensor], Tensor] | None = None,
        hidden: Sequence[int] = (128, 128, 128),
        network: nn.Module | None = None,
        labels: int = 0,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.learns, self.labels = choice("learns", learns, IDENTITIES), integer("labels", labels, 0)
        if not 0 < share <= 1:
            raise bad("share in (0, 1]: without r = t nobody learns the velocity", share, "share=0.5")
        self.share, self.coupling = share, coupling
        self.__dict__["teacher"] = teacher  # not a part of this model, even if it is one of another
        self.network = _Layers(self.event_shape, hidden, self.labels) if network is None else network

    def schedule(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t = 1 - t, sigma_t = t."""
        return 1 - t, t

    def average(self, z: Tensor, t: Tensor, r: Tensor, y: Tensor | None = None) -> Tensor:
        """u(z, t, r).  z: (B, *event), t and r: (B,) or () -> (B, *event)."""
        like = next(self.parameters())
        batch(z, self.event_shape, name="z", like=like)
        u = self.network(z, t.to(like).expand(len(z)), r.to(like).expand(len(z)), y)
        if u.shape != z.shape:
            raise bad(f"a network whose output is {tuple(z.shape)}", tuple(u.shape), "an output as large as z")
        return u

    def velocity(self, z: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """v(z, t) = u(z, t, t)."""
        return self.average(z, t, t, y)

    def jump(self, z: Tensor, t: Tensor, r: Tensor, y: Tensor | None = None) -> Tensor:
        """Where the flow takes z from t to r.  (B, *event)."""
        return jump(lambda z, t, r: self.average(z, t, r, y), z, t, r)

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x | x_t].  x_t: (B, *event), t: (B,) or () -> (B, *event)."""
        return denoising.mean_of_velocity(self.velocity(x_t, t, y), x_t, t, self.schedule)

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Squared error of u against its goal, summed over the event: (); no likelihood.  x: (B, *event)."""
        batch(x, self.event_shape, like=next(self.parameters()))
        x, noise = self.coupling(x, torch.randn_like(x))
        t, r = self._times(x)
        z = denoising.noisy(x, t, self.schedule, noise)
        u = lambda z, t, r: self.average(z, t, r, y)
        with torch.no_grad():
            v = noise - x if self.teacher is None else self.teacher(z, t)
        return _square(self._error(u, z, t, r, v))

    def _error(self, u: Average, z: Tensor, t: Tensor, r: Tensor, v: Tensor) -> Tensor:
        """What u says less its goal, which takes no gradient.  (B, *event)."""
        if self.share == 1:  # r = t for all
            return u(z, t, r) - v
        if self.learns in ("meanflow", "consistency"):  # where r = t the goal is v
            average, slope = along(lambda z, t: u(z, t, r), z, t, v)
            return average - (v - beside(t - r, z) * slope).detach()
        same = beside(t == r, z)
        if self.learns == "shortcut":
            with torch.no_grad():
                goal = torch.where(same, v, shortcut(u, z, t, r))
            return u(z, t, r) - goal
        average, slope = jvp(lambda r: u(z, t, r), (r,), (torch.ones_like(r),))
        with torch.no_grad():
            there = z - beside(t - r, z) * average
            goal = torch.where(same, v, u(there, r, r) if self.teacher is None else self.teacher(there, r))
        return average - beside(t - r, z) * slope - goal  # d_r jump = u - (t - r) d_r u

    def _times(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """t >= r, (B,) each."""
        a, b, toss = torch.rand(3, len(x), dtype=x.dtype, device=x.device)
        t = torch.maximum(a, b)
        r = torch.zeros_like(t) if self.learns == "consistency" else torch.minimum(a, b)
        same = toss < self.share
        return torch.where(same, a, t), torch.where(same, a, r)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | int | None = None, *, steps: int = 1) -> Tensor:
        """From noise in jumps of equal length: (n, *event).  "consistency" has learned one jump alone."""
        like = next(self.parameters())
        z = torch.randn(integer("n", n), *self.event_shape, dtype=like.dtype, device=like.device)
        y = None if y is None else torch.as_tensor(y, device=like.device).expand(n)
        times = torch.linspace(1, 0, integer("steps", steps) + 1, dtype=like.dtype, device=like.device)
        for t, r in zip(times, times[1:]):
            z = self.jump(z, t, r, y)
        return z


class _Layers(nn.Module):
    """A perceptron that sees waves of t and of t - r beside the flattened z, and y."""

    def __init__(self, event_shape: Size, hidden: Sequence[int], labels: int):
        super().__init__()
        self.labels = labels
        self.net = MLPEncoder([event_shape.numel() + 6], event_shape.numel(), hidden, labels, activation=nn.SiLU)

    def forward(self, z: Tensor, t: Tensor, r: Tensor, y: Tensor | None = None) -> Tensor:
        waves = [w(torch.pi * s) for s in (t, t - r) for w in (torch.cos, torch.sin)]
        a = torch.cat([z.flatten(1), torch.stack([t, t - r, *waves], 1)], 1)
        return told(self.net, a, y, self.labels).reshape(z.shape)


def _square(error: Tensor) -> Tensor:
    return error.square().flatten(1).sum(1).mean()


def demos() -> dict[str, FlowMap]:
    """Three identities: in the plane, with labels, and pictures."""
    return {
        "plane": FlowMap(2, hidden=(32, 32)),
        "conditional": FlowMap(2, learns="shortcut", hidden=(32, 32), labels=3),
        "pictures": FlowMap((1, 4, 4), learns="lagrangian", hidden=(64,)),
    }
