r"""Masked models: absorbing-state diffusion (Austin et al., 2021; Sahoo et al., 2024; Shi et al., 2024).

Forward, each element is masked, independently, with probability 1 - alpha_t.  Backward, one network tells p(x_i | what
is not masked).  For every schedule alpha the bound is the same sum over how many are masked:

    log p(x) >= E_m E_{|U| = m} [ (d / m) sum_{i in U} log p(x_i | x_{not U}) ],     m uniform on 1 ... d

which is also that of models of all orders (Uria et al., 2014; Hoogeboom et al., 2022).  With exact conditionals it is
log p(x) itself.
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.nn.functional import one_hot, silu

from gdm_core import decoding
from gdm_core.causal.inputs import Inputs
from gdm_core.likelihoods import level_index
from gdm_core.networks import mlp
from gdm_core.validate import bad, batch, choice, integer
from gdm_core.validate import labels as checked


class Residual(nn.Module):
    """(B, features, H, W) -> (B, out, H, W): 3 x 3 convolutions beside what comes in; each place has its own bias."""

    def __init__(self, features: int, out: int, side: Sequence[int], width: int, blocks: int, dropout: float):
        super().__init__()
        self.enter = nn.Conv2d(features, integer("width", width), 3, padding=1)
        self.place = nn.Parameter(0.1 * torch.randn(width, *side))
        conv = lambda: nn.Conv2d(width, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), conv(), nn.SiLU(), nn.Dropout(dropout), conv())
            for _ in range(integer("blocks", blocks))
        )
        self.out = nn.Conv2d(width, out, 1)

    def forward(self, a: Tensor) -> Tensor:
        h = self.enter(a) + self.place
        for block in self.blocks:
            h = h + block(h)
        return self.out(silu(h))


class Masked(nn.Module):
    """One network for the conditionals of all elements given any others.

    Args:
        event_shape: (C, H, W) for "conv", any for "mlp".
        levels: K: elements are 0, 1 / (K-1), ..., 1.
        network: "mlp" with `hidden` layers, "conv" with `width` features and `blocks`; or a module
            (B, *event, inputs) -> (B, K, *event).
        symbols: whether the K values are names, no quantities.
        dropout: of the convolutions.
        labels: number of classes y; 0 for none.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        levels: int,
        *,
        network: str | nn.Module = "mlp",
        hidden: Sequence[int] = (256, 256),
        width: int = 32,
        blocks: int = 3,
        symbols: bool = False,
        dropout: float = 0.0,
        labels: int = 0,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.levels, self.labels = integer("levels", levels, 2), integer("labels", labels, 0)
        self.inputs = Inputs(1, levels if symbols else 0)
        d, features = self.event_shape.numel(), self.inputs.width
        if not isinstance(network, str):
            self.network = network
        elif choice("network", network, ("mlp", "conv")) == "mlp":
            dense = mlp(d * features + labels, hidden, d * levels, nn.SiLU)
            self.network = nn.Sequential(dense, nn.Unflatten(1, (levels, *self.event_shape)))
        elif len(self.event_shape) != 3:
            raise bad("pictures (C, H, W) for the network 'conv'", tuple(self.event_shape), "network='mlp'")
        else:
            colors, *side = self.event_shape
            self.network = Residual(colors * features + labels, colors * levels, side, width, blocks, dropout)
        self.register_buffer("values", torch.linspace(0, 1, levels))

    def conditionals(self, x: Tensor, known: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x_i = k | the known elements, y), (B, K, *event) nats.

        Args:
            x: (B, *event); what unknown elements hold does not count.
            known: bool, of x's shape or of one example's.
            y: labels (B,) of a conditional model.
        """
        x, event = batch(x, self.event_shape, like=self._like), tuple(self.event_shape)
        if known.dtype != torch.bool or tuple(known.shape) not in (event, tuple(x.shape)):
            raise bad(f"known as bool {event}", f"{known.dtype} {tuple(known.shape)}", "torch.zeros_like(x).bool()")
        seen = self.inputs(torch.where(known, x, 0)[..., None]) * known.expand_as(x)[..., None]
        seen = seen.movedim(-1, 1)  # (B, inputs, *event)
        if not self.labels and y is not None:
            raise bad("no labels for an unconditional model", "y", "Masked(..., labels=10)")
        label = one_hot(checked(y, len(x), self.labels), self.labels).to(x.dtype) if self.labels else None
        if isinstance(self.network, Residual):
            planes = [] if label is None else [label[:, :, None, None].expand(-1, -1, *self.event_shape[1:])]
            raw = self.network(torch.cat([seen.flatten(1, 2), *planes], 1)).unflatten(1, (self.levels, -1))
        else:
            raw = self.network(torch.cat([seen.flatten(1), *([] if label is None else [label])], 1))
        return raw.log_softmax(1)

    def elbo(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The bound on log p(x | y), estimated with one set of masked elements an example: (B,) nats.

        Over the batch the numbers of masked elements are spread evenly.
        """
        x = batch(x, self.event_shape, like=self._like)
        index = level_index(x, self.levels)[:, None]
        n, d = len(x), self.event_shape.numel()
        u = (torch.randperm(n, device=x.device) + torch.rand(n, device=x.device)) / n  # one in each n-th of (0, 1)
        m = 1 + (u * d).long().clamp_max(d - 1)
        rank = torch.rand(n, d, device=x.device).argsort(1).argsort(1).reshape(x.shape)
        masked = rank < m.reshape(-1, *[1] * len(self.event_shape))
        told = self.conditionals(x, ~masked, y).gather(1, index)[:, 0]
        return d / m * torch.where(masked, told, 0).flatten(1).sum(1)

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Mean of -elbo, nats per example: a bound from above on -log p(x | y), no likelihood."""
        return -self.elbo(x, y).mean()

    @torch.no_grad()
    def sample(
        self, n: int, y: Tensor | int | None = None, *, steps: int | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """Draws (n, *event), each in a random order of its own, in `steps` turns; None: one element at a time."""
        n, d = integer("n", n), self.event_shape.numel()
        steps = d if steps is None else integer("steps", steps, 1, d)
        y = None if y is None else torch.as_tensor(y, device=self.values.device).expand(n)
        x = self.values.new_zeros(n, *self.event_shape)
        plan = decoding.in_turns(decoding.random(n, self.event_shape, device=x.device), steps)
        noise = torch.rand_like(x) if noise is None else noise
        told = lambda x, known: self.conditionals(x, known, y)
        *_, (x, _) = decoding.decode(told, x, torch.zeros_like(x).bool(), plan, self.values, noise)
        return x

    @property
    def _like(self) -> Tensor:
        return self.values


def demos() -> dict[str, Masked]:
    """A board by dense layers and by convolutions, symbols on a line by class."""
    return {
        "board": Masked((1, 3, 2), 2, hidden=(16,)),
        "conv": Masked((2, 2, 2), 3, network="conv", width=6, blocks=1),
        "line": Masked(9, 3, hidden=(24,), symbols=True, labels=2),
    }
