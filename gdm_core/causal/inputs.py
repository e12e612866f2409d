"""How an element enters a network: as a number, or, where it names a symbol, one-hot."""

from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from gdm_core.validate import integer


class Inputs(nn.Module):
    """(..., C) elements -> (..., width): beside them a 1, which tells an element of 0 from the padding around.

    Args:
        colors: C.
        symbols: K, if an element k / (K-1) is the name k; 0 for numbers.
    """

    def __init__(self, colors: int = 1, symbols: int = 0):
        super().__init__()
        self.symbols = integer("symbols", symbols, 0)
        self.width = colors * max(symbols, 1) + 1

    def forward(self, x: Tensor) -> Tensor:
        if self.symbols:
            k = (x * (self.symbols - 1)).round().long()
            numbers = one_hot(k, self.symbols).to(x.dtype).flatten(-2)
        else:
            numbers = 2 * x - 1
        return pad(numbers, (0, 1), value=1.0)
