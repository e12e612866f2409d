r"""An energy model (Du & Mordatch, 2019): p(x) = exp(-e(x)) / Z.

    e(x) = f(x) + |x|^2 / (2 w^2),     score(x) = -grad e(x)

    grad of -log p, in the mean = E_data[grad e] - E_model[grad e]            (Younes, 1989; LeCun et al., 2006, eq. 25)

The second term is a mean over chains, and where these begin makes the method: at the data (contrastive divergence;
Hinton, 2002), where the last training step left them (Tieleman, 2008), or at noise (Nijkamp et al., 2019).
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Size, Tensor, nn

from gdm_core import mcmc
from gdm_core.networks import MLPEncoder
from gdm_core.validate import bad, batch, choice, integer, positive

STARTS = ("kept", "data", "noise")


class Chains(nn.Module):
    """Where the chains stand.  Of many a step moves a few, so it keeps what it overwrites and not a copy of all."""

    def __init__(self, places: Tensor):
        super().__init__()
        self.register_buffer("places", places)
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


class EBM(nn.Module):
    """A network beside a wide bowl, which makes Z finite and is all there is before training.

    Args:
        event_shape: shape of one example, or the number of features.
        hidden: units of the hidden layers.
        width: w, the standard deviation of the bowl's Gaussian: as wide as the data, or wider.
        start: where the chains of a training step begin: "kept", "data" or "noise", N(0, w^2 I).
        steps, size: of these chains.
        chains: how many are kept.
        reborn: share of the kept ones that begin anew from noise when their turn comes.
        network: own f in place of the layers, (B, *event) -> (B, 1).

    Raises:
        ValueError: an unknown start, sizes that are not positive, a share outside [0, 1]; in `loss`, too few chains.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        hidden: Sequence[int] = (64, 64),
        width: float = 2.0,
        start: str = "kept",
        steps: int = 20,
        size: float = 0.05,
        chains: int = 1000,
        reborn: float = 0.05,
        network: nn.Module | None = None,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.start, self.steps = choice("start", start, STARTS), integer("steps", steps)
        self.width, self.size = positive("width", width), positive("size", size, 0.05)
        if not 0 <= reborn <= 1:
            raise bad("a share reborn in [0, 1]", reborn, "reborn=0.05")
        self.reborn = reborn
        self.network = MLPEncoder(self.event_shape, 1, hidden, activation=nn.SiLU) if network is None else network
        if network is None:
            self.network.net[-1].register_parameter("bias", None)  # a constant would change nothing
        self.chains = Chains(self.width * torch.randn(integer("chains", chains), *self.event_shape))

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x) up to log Z.  (B, *event) -> (B,) nats."""
        batch(x, self.event_shape, like=self.chains.places)
        f = self.network(x)
        if f.shape != (len(x), 1):
            raise bad(f"a network whose output is ({len(x)}, 1)", tuple(f.shape), "a last layer with one output")
        return f[:, 0] + x.square().flatten(1).sum(1) / (2 * self.width**2)

    def score(self, x: Tensor) -> Tensor:
        """-grad e(x), which knows nothing of Z.  (B, *event) -> (B, *event)."""
        return mcmc.score_of(self.energy)(batch(x, self.event_shape, like=self.chains.places))

    def loss(self, x: Tensor) -> Tensor:
        """Energy of the data less that of the chains: its gradient is that of -log p.  No likelihood."""
        batch(x, self.event_shape, like=self.chains.places)
        index, begin = None, x
        if self.start == "noise":
            begin = self._noise(len(x))
        elif self.start == "kept":
            if len(x) > len(self.chains.places):
                raise bad(f"at least {len(x)} chains for as many examples", len(self.chains.places), f"chains={len(x)}")
            index = torch.randperm(len(self.chains.places), device=x.device)[: len(x)]
            begin = self.chains.places[index]
            anew = torch.rand(len(begin), device=x.device) < self.reborn
            begin[anew] = self._noise(int(anew.sum()))
        moved = self._last(begin, self.steps)
        if index is not None:
            self.chains.write(index, moved)
        return self.energy(x).mean() - self.energy(moved).mean()

    def walk(self, x: Tensor, steps: int | None = None) -> Iterator[Tensor]:
        """Langevin from x, (B, *event): every state, with the size of the training's."""
        batch(x, self.event_shape, like=self.chains.places)
        return mcmc.langevin(self.score, x, self.size, steps)

    @torch.no_grad()
    def sample(self, n: int, steps: int = 200) -> Tensor:
        """The last states of n chains from noise: (n, *event).  As good as the chains are long."""
        return self._last(self._noise(integer("n", n)), steps)

    def _noise(self, n: int) -> Tensor:
        like = self.chains.places
        return self.width * torch.randn(n, *self.event_shape, dtype=like.dtype, device=like.device)

    def _last(self, x: Tensor, steps: int) -> Tensor:
        return mcmc.last(self.walk(x, steps))


def demos() -> dict[str, EBM]:
    """In the plane, for each start of the chains; pictures."""
    small = {"hidden": (16,), "chains": 256, "steps": 5}
    return {start: EBM(2, start=start, **small) for start in STARTS} | {"pictures": EBM((1, 4, 4), **small)}
