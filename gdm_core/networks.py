"""Networks: what stands between two vectors, or between a vector and a picture.

Encoders take `x: (B, *event)` and decoders `z: (B, latents)`; both take one-hot labels `(B, labels)` as a second
argument when they were built with `labels > 0`.  `TimedMLP` takes one example to another, given t.  What their output
means is the model's affair.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Size, Tensor, nn

from gdm_core import validate
from gdm_core.validate import bad, integer


def mlp(
    features: int, hidden: Sequence[int], out: int, activation: Callable[[], nn.Module] = nn.ReLU, dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers with an activation between them; `hidden=()` is one linear map.

    >>> mlp(2, (16,), 3)(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """
    sizes = [integer("features", features), *(integer("hidden", h) for h in hidden), integer("out", out)]
    layers: list[nn.Module] = [nn.Linear(sizes[0], sizes[1])]
    for a, b in zip(sizes[1:], sizes[2:]):
        layers += [activation(), *([nn.Dropout(dropout)] if dropout else []), nn.Linear(a, b)]
    return nn.Sequential(*layers)


class MLPEncoder(nn.Module):
    """`(B, *event)` [and `(B, labels)`] to `(B, out)`: the event flattened, the label appended."""

    def __init__(self, event_shape, out: int, hidden: Sequence[int] = (256,), labels: int = 0, **options):
        super().__init__()
        self.net = mlp(math.prod(event_shape) + labels, hidden, out, **options)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(_join(x.flatten(1), y))


class MLPDecoder(nn.Module):
    """`(B, latents)` [and `(B, labels)`] to `(B, channels, *event)`."""

    def __init__(
        self, latents: int, event_shape, channels: int = 1, hidden: Sequence[int] = (256,), labels: int = 0, **options
    ):
        super().__init__()
        self.shape = (channels, *event_shape)
        self.net = mlp(latents + labels, hidden, math.prod(self.shape), **options)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(_join(z, y)).unflatten(1, self.shape)


class TimedMLP(nn.Module):
    """`(B, *event)`, t `(B,)` and y `(B,)` or None to `(B, *event)`: residual layers, scaled and shifted by t and y.

    What waves of t and the class say goes to every layer (Perez et al., 2018).

    Args:
        event_shape: of one example.
        hidden: units of the layers; those of equal size are residual.
        classes: how many labels y there are, 0 to `classes` - 1; 0 for none.
    """

    def __init__(self, event_shape, hidden: Sequence[int] = (128, 128, 128), classes: int = 0):
        super().__init__()
        self.classes = classes
        self.enter = nn.Linear(Size(event_shape).numel(), hidden[0])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, (*hidden[1:], hidden[-1])))
        self.told = nn.ModuleList(nn.Linear(9 + classes, 2 * a) for a in hidden)
        self.leave = nn.Linear(hidden[-1], Size(event_shape).numel())

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        waves = [f(math.pi / 2 * k * t) for k in (1, 2, 4, 8) for f in (torch.cos, torch.sin)]
        said = torch.stack([t, *waves], 1)
        if self.classes:
            said = torch.cat([said, nn.functional.one_hot(y, self.classes).to(x)], 1)
        h = self.enter(x.flatten(1))
        for layer, told in zip(self.layers, self.told):
            scale, shift = told(said).chunk(2, 1)
            further = layer(nn.functional.silu(h + h * scale + shift))
            h = h + further if further.shape == h.shape else further
        return self.leave(nn.functional.silu(h)).reshape(x.shape)


class ConvEncoder(nn.Module):
    """`(B, C, H, W)` [and `(B, labels)`] to `(B, out)`.

    Strided 4x4 convolutions halve the picture while its sides are even and above 4 (28 -> 14 -> 7, 64 -> ... -> 4);
    the channels double each time.  A label enters as constant planes, one for each class.

    Args:
        event_shape: (C, H, W).
        out: numbers an example.
        width: channels after the first convolution.
        hidden: units of the dense layer before the output.
        labels: number of classes; 0 for none.
    """

    def __init__(self, event_shape, out: int, *, width: int = 32, hidden: int = 256, labels: int = 0):
        super().__init__()
        channels, sides = _pyramid(event_shape, width)
        channels[0] += labels
        layers: list[nn.Module] = []
        for a, b in zip(channels, channels[1:]):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.ReLU()]
        flat = channels[-1] * math.prod(sides[-1])
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, out))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if y is not None:
            planes = y.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])  # (B, labels, H, W)
            x = torch.cat([x, planes], 1)
        return self.net(x)


class ConvDecoder(nn.Module):
    """`(B, latents)` [and `(B, labels)`] to `(B, channels, C, H, W)`: `ConvEncoder` walked backward."""

    def __init__(
        self, latents: int, event_shape, channels: int = 1, *, width: int = 32, hidden: int = 256, labels: int = 0
    ):
        super().__init__()
        depths, sides = _pyramid(event_shape, width)
        self.shape = (channels, *event_shape)
        depths[0] = channels * event_shape[0]
        start = (depths[-1], *sides[-1])
        layers = [nn.Linear(latents + labels, hidden), nn.ReLU(), nn.Linear(hidden, math.prod(start)), nn.ReLU()]
        layers.append(nn.Unflatten(1, start))
        for a, b in zip(depths[:0:-1], depths[-2::-1]):
            layers += [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.ReLU()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(_join(z, y)).unflatten(1, self.shape[:2])


class TimeAndLabel(nn.Module):
    """Times t (B,) in [0, 1] and labels y (B,) to (B, width): waves of t through two layers, and a row of each class.

    Args:
        width: numbers an example.
        labels: number of classes; 0 for none.  One row more, `labels`, says "no label", and so does y = None.  Or a
            network that makes (B, width) of y, whatever y is: `words.Words` of captions; a floating y is that already.
    """

    OCTAVES = 6  # of waves: the slowest is a quarter of a turn over all times

    def __init__(self, width: int, labels: int | nn.Module = 0):
        super().__init__()
        read = isinstance(labels, nn.Module)
        self.labels = None if read else integer("labels", labels, 0)
        self.of_time = mlp(2 * self.OCTAVES, (width,), width, nn.SiLU)
        self.of_label = labels if read else nn.Embedding(labels + 1, width) if labels else None

    def forward(self, t: Tensor, y: Tensor | None = None) -> Tensor:
        angles = t[:, None] * (math.pi / 2 * 2.0 ** torch.arange(self.OCTAVES, dtype=t.dtype, device=t.device))
        told = self.of_time(torch.cat([angles.cos(), angles.sin()], 1))
        if self.of_label is None:
            if y is not None:
                raise bad("no labels for an unconditional network", "y", f"labels={int(y.max()) + 1} when it is made")
            return told
        if self.labels is None:
            return told + (y if y.is_floating_point() else self.of_label(y))
        if y is None:  # one row for all, and nothing to look for
            return told + self.of_label.weight[self.labels]
        return told + self.of_label(validate.labels(y, len(t), self.labels + 1))


def told(network: nn.Module, a: Tensor, y: Tensor | None, labels: int) -> Tensor:
    """What the network makes of a, (B, ...), and of the labels y (B,), one-hot, if there are classes to tell."""
    if labels:
        return network(a, nn.functional.one_hot(validate.labels(y, len(a), labels), labels))
    if y is not None:
        raise bad("no labels for an unconditional model", "y", f"labels={int(y.max()) + 1} when the model is made")
    return network(a)


def labels_of_codes(y, z: Tensor, latents: int) -> Tensor | None:
    """A label for each code, (N,), from one for all, one each, or what broadcasts; z: (..., latents), of N codes."""
    lead = z.shape[:-1]
    if z.shape[-1:] != (latents,):
        raise bad(f"z of shape (..., {latents})", tuple(z.shape), "prior().sample((n,))")
    if y is None:
        return None
    y = torch.as_tensor(y, device=z.device)
    if y.ndim > len(lead) or any(a not in (1, b) for a, b in zip(y.shape[::-1], lead[::-1])):
        raise bad(f"labels for codes {tuple(lead)}", tuple(y.shape), f"y of shape {tuple(lead)}")
    return y.expand(lead).reshape(-1)


def _join(a: Tensor, y: Tensor | None) -> Tensor:
    return a if y is None else torch.cat([a, y.to(a.dtype)], 1)


def _pyramid(event_shape, width: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Channels and sides at each scale, the picture itself first."""
    event = Size(event_shape)
    if len(event) != 3 or any(s % 2 or s < 6 for s in event[1:]):
        raise bad("pictures (C, H, W) with even sides >= 6", tuple(event), "network='mlp' for other events")
    channels, sides = [event[0]], [tuple(event[1:])]
    while all(s % 2 == 0 and s > 4 for s in sides[-1]):
        sides.append(tuple(s // 2 for s in sides[-1]))
        channels.append(integer("width", width) * 2 ** (len(sides) - 2))
    return channels, sides
