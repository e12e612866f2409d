r"""Drifting (Deng et al., 2026): a generator whose samples drift toward the data and away from each other.

    V(t) = E_x w(t, x) (x - t) - E_y w(t, y) (y - t),     w(t, .) = k(t, .) / E k(t, .),    x from p, y from q

    minimize  E_z |G(z) - stop(G(z) + V(G(z)))|^2

k is a Gaussian kernel of width h: each half is a mean shift, h^2 times the score of a distribution blurred by h, so

    V = h^2 (grad log p_h - grad log q_h) = h^2 grad D*,     D* = log p_h / q_h,

and the witness of MMD, E k(t, x) - E k(t, y), has the gradient (p_h grad log p_h - q_h grad log q_h) up to a constant.
V = 0 everywhere where p = q, and V changes its sign when p and q change places.  There is no critic to train.
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Independent, Normal

from gdm_core import networks
from gdm_core.validate import bad, batch, integer, positive


def drift(t: Tensor, x: Tensor, y: Tensor, h: float) -> Tensor:
    """V(t), toward x and away from y.

    Args:
        t: (B, d), where.
        x, y: (N, d) data and (M, d) samples.  Where t is y, each point has no say in its own repulsion.
        h: width of the kernel, in units of x.

    Returns:
        (B, d), units of x.
    """
    positive("h", h)
    return shift(t, x, h) - shift(t, y, h, apart=t is y)


def shift(t: Tensor, x: Tensor, h: float, *, apart: bool = False) -> Tensor:
    """From t (B, d) to the mean of x (N, d), nearer ones counting more: (B, d).

    Args:
        apart: leave out the pairs (t_i, x_i).
    """
    logs = -torch.cdist(t, x).square() / (2 * h**2)  # (B, N); softmax: far from all x the nearest still pulls
    if apart:
        if len(x) < 2:
            raise bad("at least 2 samples, which drift apart", len(x), "a larger batch")
        logs = logs.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), -torch.inf)
    return logs.softmax(1) @ x - t


class Drifting(nn.Module):
    """A generator that learns where its samples should drift.

    Args:
        event_shape: shape of one example, or the number of features.
        latents: size of z.
        h: width of the kernel, in units of x.
        hidden: units of the hidden layers of the generator.
    """

    def __init__(
        self, event_shape: int | Sequence[int], latents: int, *, h: float = 1.0, hidden: Sequence[int] = (128, 128)
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.latents, self.h = integer("latents", latents), positive("h", h)
        self.generator = networks.MLPDecoder(latents, self.event_shape, 1, hidden, activation=nn.SiLU)
        self.register_buffer("_zero", torch.zeros(latents), persistent=False)

    def prior(self) -> Independent:
        """p(z) = N(0, I) over (latents,)."""
        return Independent(Normal(self._zero, torch.ones_like(self._zero)), 1)

    def generate(self, z: Tensor) -> Tensor:
        """G(z).  z: (..., latents) -> (..., *event)."""
        if z.shape[-1:] != (self.latents,):
            raise bad(f"z of shape (..., {self.latents})", tuple(z.shape), "prior().sample((n,))")
        return self.generator(z.reshape(-1, self.latents)).reshape(*z.shape[:-1], *self.event_shape)

    def sample(self, n: int) -> Tensor:
        """Samples (n, *event), without a gradient."""
        with torch.no_grad():
            return self.generate(self.prior().sample((integer("n", n),)))

    def loss(self, x: Tensor) -> Tensor:
        """Squared drift of as many samples as x has, summed over the event: (); no likelihood.  x: (B, *event)."""
        batch(x, self.event_shape, like=self._zero, minimum=2)
        y = self.generate(self.prior().sample((len(x),))).flatten(1)
        here = y.detach()
        goal = here + drift(here, x.flatten(1), here, self.h)
        return (y - goal).square().sum(1).mean()


def demos() -> dict[str, Drifting]:
    """In the plane, and of pictures."""
    return {"plane": Drifting(2, 2, hidden=(16,)), "pictures": Drifting((1, 6, 6), 3, h=2.0, hidden=(16,))}
