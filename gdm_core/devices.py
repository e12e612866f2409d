"""Where a model computes: the first of CUDA, MPS and the CPU, unless somebody says another."""

import os

import torch

from gdm_core.validate import bad
from gdm_core.validate import device as existing


def pick(name: str | torch.device = "auto", *, double: bool = False, small: bool = False) -> torch.device:
    """A device that this machine has, with its number.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps"; or "auto": what the environment's `GDM_DEVICE` says, else the first of
            CUDA, MPS and the CPU.
        double: float64 is needed, which MPS lacks: "auto" then passes it by.
        small: an operation takes less time than a graphics card needs to be asked for it: "auto" is the CPU.  Frames of
            such explorers took an H200 1.1 to 4 times as long as its host's processor (lectures/results/gpu.json).

    Raises:
        ValueError: a device that is not here, or MPS for float64.

    >>> pick("cpu")
    device(type='cpu')
    """
    asked = os.environ.get("GDM_DEVICE") or "auto" if name == "auto" else name
    if asked == "auto":
        mps = torch.backends.mps.is_available() and not double
        asked = "cpu" if small else "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    found = torch.empty(0, device=existing(asked)).device
    if double and found.type == "mps":
        raise bad("a device with float64", repr(name), "device='cpu'")
    return found
