r"""Ising's model of a magnet (Ising, 1925) on a board so small that all its states can be listed.

    p(x) = exp(J sum_{i ~ j} s_i s_j) / Z,     s_i = 2 x_i - 1,     i ~ j side by side, no wrap-around

Pixels are 0 or 1, and neighbors like to be equal.  The 4 x 4 board has 65,536 states: Z, the entropy, every marginal
and every conditional are sums over them.  State number n has pixel i = (n >> i) & 1, pixels in raster order, and a set
S of pixels has the number sum_{i in S} 2^i.
"""

import torch
from torch import Size, Tensor, nn

from gdm_core.data.dataset import Dataset, stream
from gdm_core.validate import bad, batch, choice, integer

TILE = 64  # examples at a time: each needs a row of all sets of pixels


class Ising(nn.Module):
    """p over boards (1, side, side) of zeros and ones; sums in float64.

    Args:
        side: from 1 to 4.
        coupling: J, nats for a pair of neighbors; the infinite board orders itself above 0.4407 (Onsager, 1944).

    Attributes:
        event_shape: (1, side, side).
        values: (2,), 0 and 1, float32: what a pixel may be.
        log_p: (2^d,), log-probability of every state, nats.
    """

    def __init__(self, side: int = 4, coupling: float = 0.44):
        super().__init__()
        self.side, self.coupling = integer("side", side, 1, 4), float(coupling)
        self.event_shape = Size([1, side, side])
        self.register_buffer("values", torch.tensor([0.0, 1.0]))
        log_weights = -self.energy(self.states())
        self.log_z = log_weights.logsumexp(0).item()
        self.register_buffer("log_p", log_weights - self.log_z)

    @property
    def d(self) -> int:
        """Pixels of a board."""
        return self.side**2

    def states(self) -> Tensor:
        """All boards in the order of their numbers, (2^d, 1, side, side), float32."""
        numbers = torch.arange(2**self.d, device=self.values.device)
        return ((numbers[:, None] >> self._places()) & 1).float().reshape(-1, *self.event_shape)

    def index(self, x: Tensor) -> Tensor:
        """Numbers of boards: (B, 1, side, side) -> (B,)."""
        batch(x, self.event_shape, like=x)
        if not ((x == 0) | (x == 1)).all():
            raise bad("pixels 0 and 1", "other values", "(x > 0.5).float()")
        return (x.flatten(1).long() << self._places()).sum(1)

    def energy(self, x: Tensor) -> Tensor:
        """-J sum s_i s_j, (B, 1, side, side) -> (B,), float64; -log p(x) = energy(x) + log_z."""
        s = 2 * batch(x, self.event_shape).double() - 1
        across, down = s[..., 1:] * s[..., :-1], s[..., 1:, :] * s[..., :-1, :]
        return -self.coupling * (across.flatten(1).sum(1) + down.flatten(1).sum(1))

    def log_z_by_transfer(self) -> float:
        """log Z without the list of all states: row by row, by the transfer matrix (Kramers & Wannier, 1941)."""
        numbers = torch.arange(2**self.side)
        s = 2.0 * ((numbers[:, None] >> torch.arange(self.side)) & 1).double() - 1  # all rows
        inside = self.coupling * (s[:, 1:] * s[:, :-1]).sum(1)
        between = self.coupling * s @ s.T
        ends = inside  # log of the summed weights of all boards so far, by their last row
        for _ in range(self.side - 1):
            ends = (ends[:, None] + between).logsumexp(0) + inside
        return ends.logsumexp(0).item()

    def log_prob(self, x: Tensor) -> Tensor:
        """(B, 1, side, side) -> (B,) nats, float64."""
        return self.log_p[self.index(x)]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` exact draws, (n, 1, side, side), float32, that follow `torch.manual_seed` or a generator."""
        numbers = torch.multinomial(self.log_p.exp(), integer("n", n), replacement=True, generator=generator)
        return ((numbers[:, None] >> self._places()) & 1).float().reshape(-1, *self.event_shape)

    def entropy(self, pixels: Tensor | None = None) -> float:
        """-E[log p] in nats, of the whole board or of some pixels, (d,) bool, whatever the others are."""
        if pixels is None:
            return -(self.log_p.exp() * self.log_p).sum().item()
        p = torch.zeros_like(self.log_p).index_add_(0, self._numbers() & self._set(pixels), self.log_p.exp())
        return torch.special.entr(p).sum().item()

    def conditionals(self, x: Tensor, known: Tensor) -> Tensor:
        """p(x_i = 1 | the known pixels of x) for each pixel i, float64, of x's shape; a known pixel has 0 or 1.

        Args:
            x: (B, 1, side, side); what its unknown pixels hold does not count.
            known: bool, (B, 1, side, side), or (1, side, side) for all.
        """
        codes, known = self.index(torch.where(known, x, 0)), known.expand_as(x).flatten(1)
        sets = (known.long() << self._places()).sum(1)
        p = self.log_p.exp()
        each = torch.cat([self.states().flatten(1).double(), torch.ones_like(p)[:, None]], 1) * p[:, None]
        answer = each.new_empty(len(x), self.d)
        for number in sets.unique().tolist():
            sums = torch.zeros_like(each).index_add_(0, self._numbers() & number, each)[codes[sets == number]]
            answer[sets == number] = sums[:, :-1] / sums[:, -1:]
        return answer.reshape(x.shape)

    def log_marginals(self, x: Tensor) -> Tensor:
        """log p(x_S) for *every* set S of pixels, by its number: (B, 1, side, side) -> (B, 2^d), nats, float64.

        One pixel after the other is either kept as in x or summed over: d additions for each set, none recomputed.
        """
        rows = []
        for part in self.index(x).split(TILE):
            p = self.log_p.exp()[self._numbers() ^ (2**self.d - 1 - part[:, None])]  # bit 1: agrees with x
            for i in range(self.d):
                p = p.reshape(len(part), -1, 2, 2**i)
                p = torch.stack([p.sum(2), p[:, :, 1]], 2)
            rows.append(p.reshape(len(part), -1).log())
        return torch.cat(rows)

    def _places(self) -> Tensor:
        return torch.arange(self.d, device=self.values.device)

    def _numbers(self) -> Tensor:
        return torch.arange(2**self.d, device=self.values.device)

    def _set(self, pixels: Tensor) -> int:
        if pixels.dtype != torch.bool or pixels.numel() != self.d:
            raise bad(f"a set of pixels, bool ({self.d},)", f"{pixels.dtype} {tuple(pixels.shape)}", "x.flatten() > 0")
        return int((pixels.flatten().long() << self._places()).sum())


def load(split: str = "train", n: int | None = None, seed: int = 0, device="cpu") -> Dataset:
    """`n` exact draws (10,000 if None) of the 4 x 4 board at J = 0.44, with its exact `density`; 2 levels.

    Raises:
        ValueError: unknown split, n < 1, a negative seed.
    """
    choice("split", split, ("train", "validation", "test"))
    density, n = Ising(), 10_000 if n is None else integer("n", n)
    x = density.sample(n, stream("ising", split, seed))
    return Dataset("ising", x, density=density, levels=2).to(device)
