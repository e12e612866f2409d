"""What checks ask of a result: its form, then its values, each complaint with the hint that fits it.

Each function raises `Wrong` or returns what it was asked about.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gdm_core.checks.exercise import Wrong

TOLERANCE = 1e-4  # of 1 + |value|: float32 errs by 1e-6, the named mistakes by 1e-2 and more


def require(fine: bool, hint: str) -> None:
    """Refuse with `hint` unless `fine`."""
    if not fine:
        raise Wrong(hint)


def parts(result, *names: str) -> tuple:
    """The parts of a result that consists of several."""
    spelled = f"({', '.join(names)})"
    require(result is not None, f"it returns nothing: is there a return? Needed {spelled}")
    fine = isinstance(result, tuple | list) and len(result) == len(names)
    count = f"{len(result)} of them" if isinstance(result, tuple | list) else type(result).__name__
    require(fine, f"needed {len(names)} things, {spelled}, got {count}")
    return tuple(result)


def tensor(result, shape: tuple[int, ...], spelled: str, name: str = "the result") -> Tensor:
    """A result as a float64 tensor of this shape.

    Args:
        result: what `Answer` brought back.
        shape: as it must be.
        spelled: the shape in letters, such as "(N, K)".
        name: how complaints call it.
    """
    require(result is not None, f"it returns nothing: is there a return? Needed {spelled}")
    if isinstance(result, list | tuple | int | float) and not isinstance(result, bool):
        try:
            result = torch.stack(list(result)) if _tensors(result) else torch.tensor(result, dtype=torch.float64)
        except (ValueError, TypeError, RuntimeError):
            pass
    require(isinstance(result, Tensor), f"needed a tensor {spelled} for {name}, got {type(result).__name__}")
    if tuple(result.shape) != shape:
        turned = " (turned around?)" if tuple(result.shape) == shape[::-1] and len(shape) > 1 else ""
        of = f" = {shape}" if spelled != str(shape) else ""
        raise Wrong(f"needed {name} of shape {spelled}{of}, got {tuple(result.shape)}{turned}")
    return result.to(torch.float64)


def same(got: Tensor, wanted: Tensor, tolerance: float = TOLERANCE) -> bool:
    """Whether all entries agree to `tolerance` times 1 + |wanted|."""
    wanted = wanted.to(torch.float64)
    return got.shape == wanted.shape and bool(((got - wanted).abs() <= tolerance * (1 + wanted.abs())).all())


def equal(
    got: Tensor, wanted: Tensor, mistakes: Mapping[str, Tensor], name: str, at: str = "", tolerance: float = TOLERANCE
) -> None:
    """Refuse what is not `wanted`, with the hint of the mistake that gives these very numbers.

    Args:
        got: of the shape of `wanted`.
        wanted: the truth, computed in another way than a student would.
        mistakes: hint -> what one gets who makes this mistake.
        name: of the result.
        at: the inputs in words, for a complaint about a mistake that has no name.
        tolerance: as in `same`.
    """
    if same(got, wanted, tolerance):
        return
    for hint, wrong in mistakes.items():
        if wrong is not None and not same(wrong, wanted, tolerance) and same(got, wrong, tolerance):
            raise Wrong(hint)
    require(not torch.isnan(got).any(), f"{name} has NaN{at and ' ' + at}")
    require(not torch.isinf(got).any() or torch.isinf(wanted).any(), f"{name} is infinite{at and ' ' + at}")
    off = int(((got - wanted).abs() / (1 + wanted.abs())).flatten().argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(off), got.shape)) if got.ndim else ()
    where = f"{name}[{', '.join(map(str, index))}]" if index else name
    raise Wrong(f"needed {where} = {wanted[index]:.4g}, got {got[index]:.4g}{at and ' ' + at}")


def _tensors(result) -> bool:
    return isinstance(result, list | tuple) and len(result) > 0 and all(isinstance(part, Tensor) for part in result)
