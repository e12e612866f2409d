"""Features of a small classifier that was trained here: what pictures are compared in, in place of pixels.

    h(x)   the last hidden layer of a network that tells classes apart                  after Heusel et al. (2017)

A distance of features means what its classifier has learned to see.  Nothing is downloaded: an untrained network, or
one of other pictures, would give numbers all the same, so a classifier that guesses is refused.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gdm_core import train
from gdm_core.kept import own_draws
from gdm_core.networks import ConvEncoder, MLPEncoder
from gdm_core.validate import bad, batch, choice, integer


class Features(nn.Module):
    """A classifier whose hidden layer `forward` shows: (B, *event) -> (B, width).

    Args:
        event_shape: of one example.
        classes: how many.
        width: of the hidden layer.
        network: "mlp", or "conv" of pictures (C, H, W).
    """

    def __init__(self, event_shape, classes: int, *, width: int = 32, network: str = "mlp"):
        super().__init__()
        self.event_shape, self.classes = torch.Size(event_shape), integer("classes", classes, 2)
        of = choice("network", network, ("mlp", "conv"))
        hidden = {"hidden": (128,)} if of == "mlp" else {"width": 16, "hidden": 128}
        self.body = (MLPEncoder if of == "mlp" else ConvEncoder)(event_shape, integer("width", width), **hidden)
        self.head = nn.Linear(width, classes)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *event) -> (B, width)."""
        batch(x, self.event_shape, like=self.mean)
        return torch.tanh(self.body((x - self.mean) / self.std))

    def logits(self, x: Tensor) -> Tensor:
        """(B, *event) -> (B, classes)."""
        return self.head(self(x))

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy, nats per example."""
        return cross_entropy(self.logits(x), y)

    @torch.no_grad()
    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Share of x (B, *event) whose class it guesses."""
        return (self.logits(x).argmax(1) == y).double().mean().item()


def learn_features(
    x: Tensor, y: Tensor, *, width: int = 32, network: str = "mlp", steps: int = 500, lr: float = 2e-3, seed: int = 0
) -> Features:
    """Learn the classes y (N,) of x (N, *event), and freeze.

    A tenth of the examples, at most 500, is held out to see whether anything was learned.

    Raises:
        ValueError: fewer than 20 examples or two classes; a classifier that is right not even twice as often as a guess
            of the most frequent class can be (or half of the way from there to 1).
    """
    if len(x) < 20 or len(y) != len(x) or len(y.unique()) < 2:
        got = f"{len(x)} examples, {len(y)} labels, {len(y.unique())} of them different"
        raise bad("at least 20 examples of two classes or more, a label each", got, "a labeled training set")
    with own_draws(seed, x.device):
        model = Features(x.shape[1:], int(y.max()) + 1, width=width, network=network).to(x)
        model.mean.copy_(x.mean())
        model.std.copy_(x.std())
        order = torch.randperm(len(x)).to(x.device)
        held, used = order.tensor_split([min(len(x) // 10, 500)])
        options = {"steps": steps, "lr": lr, "rate": train.falling, "seed": seed}
        train.fit(model, (x[used], y[used]), progress=False, **options)
    model.requires_grad_(False)
    found, guess = model.accuracy(x[held], y[held]), y[used].bincount().max().item() / len(used)
    if found < min(2 * guess, (1 + guess) / 2):
        got = f"{found:.0%} right on examples it has not seen, beside {guess:.0%} by the most frequent class"
        raise bad("a classifier that has learned its classes", got, "more steps, or labels that belong to x")
    return model
