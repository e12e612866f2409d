"""Faster float32 products where the processor can give them without giving digits away.

Told that bfloat16 is allowed, torch hands float32 products to oneDNN.  On some processors (AMD with AVX-512, measured)
that library still computes in float32 and is up to twice as fast as the default; on others it really rounds to
bfloat16.  So the error is measured before the setting is used.
"""

import contextlib
import functools
from collections.abc import Iterator

import torch

from gdm_core.validate import positive


@contextlib.contextmanager
def fast_products(tolerance: float = 1e-5) -> Iterator[bool]:
    """Within this context float32 products on the CPU may take the faster way, if its error allows.

    The setting is the process's, so it reaches other threads too; it is put back at the end.

    Args:
        tolerance: largest relative error.  1e-5 keeps float32's digits, 1e-2 accepts bfloat16.

    Yields:
        Whether the faster way is taken.

    >>> with fast_products() as taken:
    ...     product = torch.ones(8, 8) @ torch.ones(8, 8)
    """
    allowed = _error() <= positive("tolerance", tolerance, 1e-5)
    if not allowed:
        yield False
        return
    with _bf16():
        yield True


@contextlib.contextmanager
def _bf16() -> Iterator[None]:
    setting = torch.backends.mkldnn.matmul
    before, setting.fp32_precision = setting.fp32_precision, "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before


@functools.cache
def _error() -> float:
    """Error of the faster way, forward and backward, relative to float64; infinite where torch has no oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return float("inf")
    g = torch.Generator().manual_seed(0)
    worst = 0.0
    with torch.no_grad(), _bf16():
        for n, k, m in ((128, 784, 400), (400, 128, 784), (64, 64, 64)):
            a, b = torch.randn(n, k, generator=g), torch.randn(k, m, generator=g)
            exact = a.double() @ b.double()
            for product in (a @ b, torch.nn.functional.linear(a, b.T.contiguous()), (b.T @ a.T).T):
                worst = max(worst, ((product - exact).norm() / exact.norm()).item())
    return worst
