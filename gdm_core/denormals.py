"""Numbers below 1.2e-38, which a processor computes with many times slower than with others.

Adam's running mean of a gradient that has come to zero, as behind a dead unit, gets there in some 800 steps: a step
of a small VAE then takes twice as long, and learns the same.
"""

import contextlib
from collections.abc import Iterator

import torch

TINY = 2.0**-1070


@contextlib.contextmanager
def flushed() -> Iterator[None]:
    """On the CPU such results count as 0 within; afterwards all is as it was."""
    before = TINY * 0.5 == 0  # Python's numbers are flushed with the tensors', and no device is waited for
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
