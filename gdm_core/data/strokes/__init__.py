"""Strokes: 28 x 28 handwritten digits whose style is known, any number of them.

A picture is a function of its label, the variant of its pen path (open or closed 4, barred 7, looped 2 ...), seven
factors of style, and a key for the noise of the hand.  Nothing else is random: draw it again with one factor changed
and only that changes.  The frame is MNIST's (LeCun et al., 1998): ink in a box of 20 pixels, its center of mass in the
middle, gray edges; but shifts are not rounded to whole pixels, so pictures move smoothly with the factors.

    paths    the pen paths        style     factors -> the way of the pen
    render   the way -> ink       chance    random numbers that belong to a picture
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gdm_core.data.dataset import Dataset
from gdm_core.data.strokes import chance, render, style
from gdm_core.data.strokes.paths import PATHS, VARIANTS, pens
from gdm_core.data.strokes.style import FACTORS
from gdm_core.validate import bad, choice, integer
from gdm_core.validate import device as existing

STREAMS = ("train", "validation", "test", "sample")  # each draws other random numbers
_POSITIVE = ("thickness", "width", "size")
_CHOICE, _STYLE = 1000, 1002  # numbers of the random draws of a picture: label and variant, then the factors
_CHUNK = 256  # pictures at a time: the working set of a CPU core's cache


@torch.no_grad()
def draw(labels, *, variant=0, noise=0, device=None, **factors) -> Tensor:
    """Pictures `(N, 1, 28, 28)` in [0, 1], float32, of digits in a given style.

    Args:
        labels: `(N,)` integers 0 to 9, or one integer.
        variant: which pen path of the class, `(N,)` or one for all; `VARIANTS[label]` names them.
        noise: `(N,)` int64 keys of the hand's noise, or one for all.
        device: where to draw; that of `labels` by default.
        factors: any of `FACTORS`, each `(N,)` or one number; what is missing takes its default.  Values beyond the
            slider's ends are drawn too.

    Raises:
        ValueError: no label, a label or variant that does not exist, an unknown factor, a wrong shape, a value that is
            not finite, a thickness, width or size that is not positive, a negative jitter.

    >>> draw([4, 4], variant=[0, 1], slant=0.3).shape
    torch.Size([2, 1, 28, 28])
    """
    labels = _labels(labels, None if device is None else existing(device))
    n = len(labels)
    pen = pens(str(labels.device))
    variant = _integers("variant", variant, n, labels.device)
    wrong = (variant < 0) | (variant >= pen.count[labels])
    if wrong.any():
        i = int(wrong.nonzero()[0])
        names = VARIANTS[int(labels[i])]
        needed = f"a variant from 0 to {len(names) - 1} of the digit {int(labels[i])} ({', '.join(names)})"
        raise bad(needed, int(variant[i]), "variant=0")
    noise = _integers("noise", noise, n, labels.device)
    values = _factors(factors, n, labels.device)
    path, chunk = pen.first[labels] + variant, _CHUNK if labels.device.type == "cpu" else 16 * _CHUNK
    pictures = torch.empty(n, 1, render.SIDE, render.SIDE, device=labels.device)
    for i in range(0, n, chunk):
        part = slice(i, i + chunk)
        v = {name: value[part] for name, value in values.items()}
        thickness, size = v.pop("thickness"), v.pop("size")
        down = pen.down[path[part]]
        way = render.frame(style.pen_way(pen, path[part], noise[part], **v), thickness, size, down)
        pictures[part] = render.ink(way, thickness, down)
    return pictures


def sample(n: int, labels=None, *, seed: int = 0, device="cpu", **fixed) -> Dataset:
    """`n` digits in random styles, each factor uniform between its ends and independent of the others.

    Args:
        n: how many; the first 100 of 1,000 are those of 100.
        labels: `(n,)` or one integer; None draws them uniformly.
        seed: same seed, same pictures, on every device.
        device: where they are drawn.
        fixed: factors, variant or noise to hold at a value, `(n,)` or one number; all else stays as it would be.

    Returns:
        Pictures on 256 gray levels.  `factors` has those of `FACTORS`, `variant`, and `noise`, the key of the hand's
        noise: `draw(d.labels, **d.factors)` draws the set again.

    Raises:
        ValueError: as `draw`; n < 1.

    >>> fours = sample(5, labels=4, seed=1)
    >>> bolder = draw(fours.labels, **{**fours.factors, "thickness": 4.0})
    >>> bool((bolder.mean((1, 2, 3)) > fours.x.mean((1, 2, 3))).all())
    True
    """
    return _sample(n, labels, "sample", seed, device, fixed)


def load(split: str = "train", n: int | None = None, seed: int = 0, device="cpu") -> Dataset:
    """`n` (10,000) digits in random styles; each split has its own random stream.  See `sample`."""
    return _sample(10_000 if n is None else n, None, choice("split", split, STREAMS[:3]), seed, device, {})


def _sample(n: int, labels, stream: str, seed: int, device, fixed: Mapping) -> Dataset:
    n, seed, device = integer("n", n), integer("seed", seed, low=0), existing(device)
    key = chance.keys(n, seed, STREAMS.index(stream), device=device)
    pick = chance.uniform(key, _CHOICE, 2)
    labels = (pick[:, 0] * 10).long() if labels is None else _labels(labels, key.device, n)
    factors: dict = {"variant": (pick[:, 1] * pens(str(key.device)).count[labels]).long(), "noise": key}
    unit = chance.uniform(key, _STYLE, len(FACTORS))
    factors |= {name: low + (high - low) * unit[:, i] for i, (name, (low, high, _)) in enumerate(FACTORS.items())}
    for name in fixed:
        choice("factor", name, factors)
    for name in ("variant", "noise"):
        if name in fixed:
            factors[name] = _integers(name, fixed[name], n, key.device)
    factors |= _factors({k: v for k, v in fixed.items() if k in FACTORS}, n, key.device, defaults=False)
    x = draw(labels, **factors)
    return Dataset("strokes", x.mul_(255).round_().div_(255), labels, factors, levels=256)


def _labels(labels, device, n: int | None = None) -> Tensor:
    labels = _integers("labels", labels, n, device)
    if len(labels) == 0:
        raise bad("at least 1 label", 0, "labels=[0]")
    if ((labels < 0) | (labels > 9)).any():
        raise bad("labels from 0 to 9", int(labels[(labels < 0) | (labels > 9)][0]), "labels % 10")
    return labels


def _integers(name: str, value, n: int | None, device) -> Tensor:
    """`value` as `(n,)` int64 on `device`; one number serves for all."""
    value = _tensor(name, value, device)
    if value.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8) and value.numel():
        raise bad(f"integers {name}", value.dtype, f"{name}.long()")
    return _shaped(name, value.long(), n)


def _factors(given: Mapping, n: int, device, defaults: bool = True) -> dict[str, Tensor]:
    """The factors as `(n,)` float32 on `device`."""
    for name in given:
        choice("factor", name, FACTORS)
    values = {}
    for name, (_, _, default) in FACTORS.items():
        if name in given or defaults:
            value = _shaped(name, _tensor(name, given.get(name, default), device).float(), n)
            low = 1e-6 if name in _POSITIVE else 0.0 if name == "jitter" else -float("inf")
            if not torch.isfinite(value).all() or (value < low).any():
                wrong = value[~torch.isfinite(value) | (value < low)][0].item()
                kind = "positive, finite" if name in _POSITIVE else "finite" if low < 0 else "finite, non-negative"
                raise bad(f"{kind} {name}", wrong, f"{name}={default}")
            values[name] = value
    return values


def _tensor(name: str, value, device) -> Tensor:
    try:
        return torch.as_tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise bad(f"{name} as numbers", f"{type(value).__name__} ({error})", f"a tensor or a list of {name}") from None


def _shaped(name: str, value: Tensor, n: int | None) -> Tensor:
    if value.ndim == 0:
        value = value.expand(1 if n is None else n)
    if value.ndim != 1 or (n is not None and len(value) != n):
        needed = f"{name} of shape ({'N' if n is None else n},)"
        raise bad(needed, tuple(value.shape), f"one number, or one {name} for each picture")
    return value


__all__ = ["FACTORS", "PATHS", "VARIANTS", "draw", "load", "sample"]
