"""An answer as checks call it: whatever its author computes with, float64 tensors come back.

An answer may be written for torch or for numpy, in float32 or float64, looped or at once, in place or not, on any
device.  It gets copies; how it wants them is found out at its first call.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def _torch64(x: Tensor) -> Tensor:
    return x.detach().clone()


def _torch32(x: Tensor) -> Tensor:
    return x.detach().float() if x.is_floating_point() else x.detach().clone()


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().numpy().copy()


WAYS = (_torch64, _torch32, _numpy)


class Answer:
    """A student's function of tensors, arrays, plain values and functions of these."""

    def __init__(self, function: Callable):
        self.function, self.ways = function, WAYS
        self.raised: Exception | None = None  # what the function itself raised, not the check of it
        self.parts: list[str] = []  # of the exercise, as the check came to them

    def part(self, name: str) -> None:
        """What the check looks at from here on counts for this part of the exercise: see `Exercise.worth`."""
        self.parts.append(name)

    def __call__(self, *inputs):
        """What the answer says of copies of `inputs`: float64 tensors, in tuples, lists and dicts as it returned them.

        Raises:
            Exception: what the answer itself raised when it got tensors in float64.
        """
        first = None
        for way in self.ways:
            try:
                result = self.function(*(given(x, way) for x in inputs))
            except NotImplementedError:
                raise
            except Exception as error:
                first = first or error
                continue
            self.ways = (way,)
            return received(result)
        self.raised = first
        raise first

    def with_gradients(self, *inputs):
        """What the answer says of tensors that want gradients, as it says it: for exercises that need autograd.

        An answer that makes float32 tensors of its own gets all in float32.

        Raises:
            Exception: as in a plain call.
        """
        try:
            return self.function(*inputs)
        except RuntimeError as error:
            try:
                return self.function(*(x.float() if isinstance(x, Tensor) else x for x in inputs))
            except Exception:
                self.raised = error
                raise error from None
        except Exception as error:
            self.raised = error
            raise


def given(x, way: Callable):
    """Inputs in the form that an answer wants; a function takes and returns that form as well."""
    if isinstance(x, Tensor):
        return way(x)
    if isinstance(x, tuple | list):
        return type(x)(given(part, way) for part in x)
    if callable(x):
        return lambda *inputs: given(x(*map(received, inputs)), way)
    return x


def received(x):
    """Numbers in any form as float64 tensors on the CPU; what is no number stays as it is."""
    if isinstance(x, Tensor):
        return x.detach().cpu().to(torch.float64) if x.is_floating_point() else x.detach().cpu()
    if isinstance(x, np.ndarray | np.generic) and x.dtype.kind in "fiub":
        return received(torch.as_tensor(np.array(x)))
    if isinstance(x, tuple | list):
        parts = [received(part) for part in x]
        return tuple(parts) if isinstance(x, tuple) else parts
    return x
