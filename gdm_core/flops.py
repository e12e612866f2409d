"""Floating-point operations: what a computation costs on every machine.

    a product (n, k) x (k, m)                     2 n k m
    a convolution                                 2 x kernel x channels in x outputs

Products and convolutions are counted, forward and backward, as PyTorch's own table says; all else is left out, and so
is what NumPy or a factorization computes.  PyTorch's own `FlopCounterMode` follows modules as well, by hooks that fail
where a slope is differentiated again, as are a GAN's penalty and an energy's score.
"""

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """Counts in `total` while it is entered.

    >>> import torch
    >>> with Flops() as count:
    ...     _ = torch.ones(3, 5) @ torch.ones(5, 7)
    >>> count.total
    210
    """

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function._overloadpacket in flop_registry:
            self.total += flop_registry[function._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out
