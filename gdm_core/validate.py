"""Bad input, said in words: what was needed, what came, what to try.

Torch is imported by the functions that look at tensors: a command that needs none starts in a third of the time.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def bad(needed: str, got, try_: str) -> ValueError:
    """The one form of the course's errors.

    >>> raise bad("a positive learning rate", -1.0, "lr=1e-3")
    Traceback (most recent call last):
        ...
    ValueError: needed a positive learning rate, got -1.0; try lr=1e-3
    """
    return ValueError(f"needed {needed}, got {got}; try {try_}")


class Diverged(FloatingPointError):
    """What is learned is no longer finite: a state, a loss or its gradient; the model is the one before the step."""


def is_tensor(value) -> bool:
    """Whether `value` is a tensor of torch; where nobody has imported torch, nothing is."""
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def choice(name: str, value, options: Iterable):
    """Return `value` if it is one of `options`; the error names the nearest one.

    >>> choice("profile", "fasst", ["fast", "full"])
    Traceback (most recent call last):
        ...
    ValueError: needed profile to be one of 'fast', 'full', got 'fasst'; try 'fast'
    """
    options = list(options)
    if value in options:
        return value
    near = difflib.get_close_matches(str(value), [str(o) for o in options], n=1, cutoff=0.3)
    listed = ", ".join(map(repr, options))
    raise bad(f"{name} to be one of {listed}", repr(value), repr(near[0] if near else options[0]))


def integer(name: str, value, low: int = 1, high: int | None = None) -> int:
    """Return `value` as an int in `[low, high]`.

    >>> integer("components", 0)
    Traceback (most recent call last):
        ...
    ValueError: needed an integer components >= 1, got 0; try components=1
    """
    whole = isinstance(value, int) or (hasattr(value, "__index__") and not is_tensor(value))
    if isinstance(value, bool) or not whole or value < low or (high is not None and value > high):
        span = f">= {low}" if high is None else f"from {low} to {high}"
        raise bad(f"an integer {name} {span}", repr(value), f"{name}={low}")
    return int(value)


def positive(name: str, value, suggestion: float = 1.0) -> float:
    """Return `value` as a finite float above zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise bad(f"a positive number {name}", repr(value), f"{name}={suggestion}") from None
    if not 0 < number < float("inf"):
        raise bad(f"a positive, finite {name}", repr(value), f"{name}={suggestion}")
    return number


def device(value) -> torch.device:
    """Return `value` as a device that this machine has.

    >>> device("gpu")
    Traceback (most recent call last):
        ...
    ValueError: needed a device of this machine, got 'gpu'; try device='cpu'
    """
    import torch

    try:
        found = torch.device(value)
        torch.empty(0, device=found)
    except (AssertionError, RuntimeError, TypeError, ValueError):  # torch has a kind of its own for each reason
        raise bad("a device of this machine", repr(value), "device='cpu'") from None
    return found


def batch(
    x,
    event_shape: Iterable[int],
    *,
    name: str = "x",
    like: Tensor | None = None,
    values: Tensor | None = None,
    minimum: int = 1,
    finite: bool = True,
) -> Tensor:
    """Return `x` if it is a finite floating batch `(B, *event_shape)` with `B >= minimum`.

    Args:
        x: what the caller passed.
        event_shape: shape of one example.
        name: how the error calls it.
        like: a tensor (a parameter, say) whose dtype and device `x` must share.
        values: (K,) all that an entry of x may be, to the last bit, where events are symbols; in place of `like`.
        minimum: least number of examples.
        finite: look for NaN and infinity; False where the caller sees them in its own sums.

    Raises:
        ValueError: no tensor, wrong shape, too few examples, integers (or no such value), another dtype or device, NaN
            or infinity.
    """
    import torch

    event = tuple(event_shape)
    spelled = f"({', '.join(['B', *map(str, event)])})"
    if not is_tensor(x):
        raise bad(f"{name} as a torch.Tensor {spelled}", type(x).__name__, f"torch.as_tensor({name})")
    if tuple(x.shape[1:]) != event or x.ndim == 0:
        one = tuple(x.shape) == event
        hint = f"{name}[None] for one example" if one else f"{name}.reshape(-1, {', '.join(map(str, event))})"
        raise bad(f"{name} of shape {spelled}", tuple(x.shape), hint)
    if len(x) < minimum:
        plural = "example" if minimum == 1 else "examples"
        raise bad(f"{name} with at least {minimum} {plural}", len(x), "a larger batch")
    if values is not None:
        like = values
    elif not x.is_floating_point():
        raise bad(f"{name} in a floating dtype", x.dtype, f"{name}.float()")
    if like is not None and x.dtype != like.dtype:
        raise bad(
            f"{name} in the model's dtype {like.dtype}", x.dtype, f"{name}.to({like.dtype}) or model.to({x.dtype})"
        )
    if like is not None and x.device != like.device:
        raise bad(f"{name} on the model's device {like.device}", x.device, f"{name}.to('{like.device}')")
    if values is not None and not torch.isin(x, values).all():
        listed = ", ".join(f"{v:.4g}" for v in values.tolist())
        raise bad(f"{name} among {listed}", "other values", "the model's own model.values")
    # A sum is NaN or infinite as soon as one entry is, and many times faster to take than isfinite is to look at all.
    if finite and not torch.isfinite(x.sum()) and not torch.isfinite(x).all():
        count = int((~torch.isfinite(x)).sum())
        raise bad(
            f"finite {name}", f"{count} NaN or infinite entries", f"{name}[torch.isfinite({name}).flatten(1).all(1)]"
        )
    return x


def labels(y, n: int, classes: int) -> Tensor:
    """Return `y` as `(n,)` integers if it is one label from 0 to `classes - 1` for each of `n` examples.

    >>> import torch
    >>> labels(torch.tensor([0, 3]), 2, 3)
    Traceback (most recent call last):
        ...
    ValueError: needed integer labels (2,) from 0 to 2, got torch.int64 (2,) from 0 to 3; try dataset.labels
    """
    import torch

    if not is_tensor(y):
        raise bad(f"labels y ({n},) for a conditional model", y, "the same call with y=labels")
    whole = not y.is_floating_point() and y.dtype != torch.bool
    if y.shape != (n,) or not whole or ((y < 0) | (y >= classes)).any():  # one question to a graphics card, not two
        found = f"{y.dtype} {tuple(y.shape)} from {y.min().item()} to {y.max().item()}" if y.numel() else "none"
        raise bad(f"integer labels ({n},) from 0 to {classes - 1}", found, "dataset.labels")
    return y.long()


def captions(y, n: int, words: int) -> Tensor:
    """Return `y` as `(n, L)` integers if each of n rows is made of places from 0, no word, to `words - 1`.

    >>> import torch
    >>> captions(torch.tensor([[1, 0]]), 1, 1)
    Traceback (most recent call last):
        ...
    ValueError: needed captions y (1, L) from 0 to 0, got torch.int64 (1, 2) from 0 to 1; try captions.tokens(sentences)
    """
    import torch

    whole = is_tensor(y) and not y.is_floating_point() and y.dtype is not torch.bool
    if not whole or y.ndim != 2 or len(y) != n or not y.numel() or ((y < 0) | (y >= words)).any():
        found = type(y).__name__ if not is_tensor(y) else f"{y.dtype} {tuple(y.shape)}"
        if whole and y.numel():
            found += f" from {y.min().item()} to {y.max().item()}"
        raise bad(f"captions y ({n}, L) from 0 to {words - 1}", found, "captions.tokens(sentences)")
    return y.long()


def known(name: str, value, shape: Iterable[int], like: Tensor) -> Tensor:
    """Return a given parameter of this shape as finite float64 numbers on the device of `like`.

    >>> import torch
    >>> known("b", [1.0, 2.0], (3,), torch.zeros(1))
    Traceback (most recent call last):
        ...
    ValueError: needed finite b of shape (3,), got (2,); try b.reshape(3)
    """
    import torch

    shape = tuple(shape)
    try:
        value = torch.as_tensor(value, dtype=torch.float64, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        raise bad(f"{name} as numbers of shape {shape}", type(value).__name__, f"torch.as_tensor({name})") from None
    if tuple(value.shape) != shape:
        raise bad(
            f"finite {name} of shape {shape}", tuple(value.shape), f"{name}.reshape({', '.join(map(str, shape))})"
        )
    if not torch.isfinite(value).all():
        raise bad(f"finite {name}", f"{int((~torch.isfinite(value)).sum())} NaN or infinite entries", "other numbers")
    return value
