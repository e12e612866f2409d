r"""An energy model (Du & Mordatch, 2019): p(x) = exp(-e(x)) / Z, score(x) = -grad e(x), samples by Langevin.

grad loss = E_data[grad e] - E_model[grad e],     the chains of the second term kept from step to step (Tieleman, 2008)
"""

from collections.abc import Callable, Iterator

import torch
from torch import Size, Tensor, nn

from gdm_core.networks import mlp
from gdm_core.validate import batch, integer


class Chains(nn.Module):
    """Where the chains stand.  Of many a step moves a few, so it keeps what it overwrites and not a copy of all."""

    def __init__(self, n: int, event_shape: Size):
        super().__init__()
        self.register_buffer("places", torch.randn(n, *event_shape))
        self.overwritten: list[tuple[Tensor, Tensor]] = []

    def write(self, index: Tensor, places: Tensor) -> None:
        """Move the chains `index` (B,), without repeats, to `places` (B, *event)."""
        self.overwritten.append((index, self.places[index]))
        self.places[index] = places

    def savepoint(self) -> Callable[[], None]:
        """Forget what was overwritten; what is from now on is put back by the function returned."""
        self.overwritten = []
        return self._put_back

    def _put_back(self) -> None:
        for index, places in reversed(self.overwritten):
            self.places[index] = places


class Energy(nn.Module):
    """A network beside a wide bowl, which makes Z finite."""

    def __init__(self, features: int, *, hidden: int = 16, chains: int = 256):
        super().__init__()
        self.event_shape = Size([features])
        self.net = mlp(features, (hidden,), hidden, nn.SiLU)
        self.out = nn.Linear(hidden, 1, bias=False)  # a constant would change nothing
        self.chains = Chains(chains, self.event_shape)

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x) up to log Z.  (B, features) -> (B,) nats."""
        batch(x, self.event_shape, like=self.out.weight)
        return self.out(torch.nn.functional.silu(self.net(x)))[:, 0] + x.square().sum(1) / 8

    def score(self, x: Tensor) -> Tensor:
        """-grad e(x).  (B, features) -> (B, features)."""
        further = batch(x, self.event_shape, like=self.out.weight).requires_grad
        with torch.enable_grad():
            x = x if further else x.detach().requires_grad_()
            return -torch.autograd.grad(self.energy(x).sum(), x, create_graph=further)[0]

    def langevin(self, x: Tensor, steps: int, size: float = 0.1) -> Iterator[Tensor]:
        """x <- x + size score(x) + sqrt(2 size) noise, every state."""
        for _ in range(steps):
            x = x + size * self.score(x).detach() + (2 * size) ** 0.5 * torch.randn_like(x)
            yield x

    def loss(self, x: Tensor) -> Tensor:
        """Energy of the data less that of the chains after some moves.  No likelihood."""
        places = self.chains.places
        batch(x, self.event_shape, like=self.out.weight)
        index = torch.randperm(len(places), device=x.device)[: len(x)]
        *_, moved = self.langevin(places[index], 5)
        self.chains.write(index, moved)
        return self.energy(x).mean() - self.energy(moved).mean()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """From noise, by 100 steps: (n, features)."""
        start = torch.randn(
            integer("n", n), *self.event_shape, dtype=self.out.weight.dtype, device=self.out.weight.device
        )
        *_, x = self.langevin(start, 100)
        return x


def demos() -> dict[str, Energy]:
    """In the plane."""
    return {"plane": Energy(2)}
