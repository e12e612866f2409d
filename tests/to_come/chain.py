r"""An autoregressive chain of symbols: p(x | y) = p(x_1 | y) prod_i p(x_i | x_{i-1}, y).  Events are discrete."""

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical

from gdm_core.validate import bad, batch, integer
from gdm_core.validate import labels as checked


class Chain(nn.Module):
    """A table of logits for each label: where the chain starts, and where each symbol leads."""

    def __init__(self, length: int, symbols: int, *, labels: int = 0):
        super().__init__()
        self.event_shape, self.symbols, self.labels = Size([length]), symbols, labels
        self.start = nn.Parameter(torch.randn(max(labels, 1), symbols))
        self.move = nn.Parameter(torch.randn(max(labels, 1), symbols, symbols))  # from, to
        self.register_buffer("values", torch.arange(symbols))

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, length) integers -> (B,) nats."""
        batch(x, self.event_shape, values=self.values)
        start, move = self._logits(len(x), y)
        first = start.log_softmax(1).gather(1, x[:, :1])[:, 0]
        each = torch.arange(len(x), device=x.device)[:, None]
        rows = move.log_softmax(2)[each, x[:, :-1]]  # (B, length - 1, symbols)
        return first + rows.gather(2, x[:, 1:, None]).sum((1, 2))

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Mean of -log p(x | y), nats per example."""
        return -self.log_prob(x, y).mean()

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | int | None = None) -> Tensor:
        """One symbol after the other: (n, length)."""
        y = None if y is None else torch.as_tensor(y, device=self.start.device).expand(integer("n", n))
        start, move = self._logits(integer("n", n), y)
        x = [Categorical(logits=start).sample()]
        for _ in range(self.event_shape[0] - 1):
            x.append(Categorical(logits=move[torch.arange(n, device=move.device), x[-1]]).sample())
        return torch.stack(x, 1)

    def _logits(self, n: int, y: Tensor | None) -> tuple[Tensor, Tensor]:
        if not self.labels:
            if y is not None:
                raise bad("no labels for an unconditional model", "y", "Chain(..., labels=10)")
            y = torch.zeros(n, dtype=torch.long, device=self.start.device)
        else:
            y = checked(y, n, self.labels)
        return self.start[y], self.move[y]


def demos() -> dict[str, Chain]:
    """Four symbols of three kinds, with and without labels."""
    return {"plain": Chain(4, 3), "conditional": Chain(4, 3, labels=2)}
