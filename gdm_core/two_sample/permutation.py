r"""A p-value for every statistic: under H0 who is called x and who y is a matter of chance.

    p = (1 + #{b: T_b >= T}) / (1 + B),   T_b: the statistic after the b-th random exchange of labels

The labels as they came are one of the 1 + B exchanges, so p is never 0, and P(p <= a) <= a for each a under H0, for all
N, M and B (Phipson & Smyth, 2010).  With more points than `AT_ONCE`, statistics of pairs are means over blocks, and
labels are exchanged within blocks (Zaremba, Gretton & Blaschko, 2013): memory stays bounded.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from gdm_core.two_sample.statistics import AT_ONCE, Statistic, pool
from gdm_core.validate import bad, integer

CELLS = 2**23  # of a table of labelings that is held at a time
BLOCK = 500  # examples of either sample in a block


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a test says.

    Attributes:
        value: the statistic of the samples as they came.
        null: (B,) its values under exchanged labels, float64.
        p: the p-value.
    """

    value: float
    null: Tensor
    p: float


@torch.no_grad()
def test(
    x: Tensor,
    y: Tensor,
    statistic: Statistic,
    *,
    permutations: int | Tensor = 999,
    block: int | None = None,
    generator: Generator | None = None,
) -> Outcome:
    """Permutation test of H0: p = q, in float64.

    Args:
        x: (N, *event) and y: (M, *event), independent draws.
        statistic: large values speak against H0.
        permutations: B, how many; or (B, N + M) bool, who plays x in each (one block).
        block: examples of either sample in a block, for statistics of pairs; None: one block, and blocks of 500 of more
            than `AT_ONCE` points.
        generator: of the exchanges, on the CPU; None follows `torch.manual_seed`.

    Raises:
        ValueError: samples that `pool` refuses, labelings that are not of N and M, no permutations, one sample so small
            that blocks would not help.
    """
    z, n = pool(x, y).double(), len(x)
    if isinstance(permutations, Tensor):
        if permutations.shape[1:] != z.shape[:1] or (permutations.sum(1) != n).any():
            needed = f"labelings (B, {len(z)}) with {n} that play x in each"
            raise bad(needed, tuple(permutations.shape), "two_sample.labelings(B, N, M)")
        masks = permutations.to(z)
        pieces = [(z, n, lambda start, stop: masks[start:stop])]
    else:
        integer("permutations", permutations)
        blocks = _blocks(z, n, statistic, block, generator)
        pieces = [(piece, k, _draw(k, len(piece) - k, generator)) for piece, k in blocks]
    count = permutations if isinstance(permutations, int) else len(permutations)
    value, null = z.new_zeros(()), z.new_zeros(count)
    for piece, k, labels in pieces:
        of = statistic.over(piece)
        value += of((torch.arange(len(piece), device=z.device) < k).to(z)[None])[0] / len(pieces)
        rows = max(1, CELLS // len(piece))
        for start in range(0, count, rows):
            stop = min(start + rows, count)
            null[start:stop] += of(labels(start, stop).to(z)) / len(pieces)
    tie = 1e-12 * torch.cat([null, value[None]]).abs().max()  # equal but for rounding is as large
    as_large = int((null >= value - tie).sum())
    return Outcome(value.item(), null.cpu(), (1 + as_large) / (1 + count))


def labelings(count: int, n: int, m: int, generator: Generator | None = None) -> Tensor:
    """(count, n + m) bool: in each row n random ones of n + m points play x."""
    keys = torch.rand(count, n + m, generator=generator, dtype=torch.float64)
    return keys <= keys.kthvalue(n, dim=1, keepdim=True).values


def _draw(n: int, m: int, generator: Generator | None):
    return lambda start, stop: labelings(stop - start, n, m, generator)


def _blocks(z: Tensor, n: int, statistic: Statistic, block: int | None, generator) -> list[tuple[Tensor, int]]:
    """Pieces (points, how many of them are of x)."""
    if not statistic.pairs or (block is None and len(z) <= AT_ONCE):
        return [(z, n)]
    size, m = integer("block", BLOCK if block is None else block, 2), len(z) - n
    count = max(1, min(-(-len(z) // (2 * size)), n // 2, m // 2))
    if -(-len(z) // count) > AT_ONCE:
        raise bad(f"samples that can be cut into blocks of {AT_ONCE} points", f"{n} and {m}", "fewer of the larger one")
    # Rows in some order, sorted by class, say, would make blocks that are no samples.
    order = lambda k: torch.randperm(k, generator=generator).to(z.device)
    x, y = z[:n][order(n)].tensor_split(count), z[n:][order(m)].tensor_split(count)
    return [(torch.cat(pair), len(pair[0])) for pair in zip(x, y)]
