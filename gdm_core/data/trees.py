"""Two classes in the plane, each a tree: thin branches made of Gaussians, emptiness between them; the trunks overlap.

After the toy of Karras et al. (2024, appendix C): a network that is too small, or not trained to the end, leaves points
between the branches, and the exact density says how many.
"""

import math

import torch
from torch import Tensor

from gdm_core.data.targets import Mixture

FORKS, BEADS = 2, 4  # branches that follow each other upward from the trunk; Gaussians on a branch
LENGTH, STD, ANGLE = 1.1, 0.13, 0.45  # of the trunk; by how much a branch turns, radians
SHORTER, THINNER = 0.78, 0.8  # a branch than the one it grows from


def pair() -> tuple[Mixture, Mixture, Mixture]:
    """Both trees, the right one and the left one.

    Modes of the first are classes, 0 on the right and 1 on the left; those of a tree are its seven branches, the trunk
    first, four twigs last.
    """
    right, left = _tree(1), _tree(-1)
    parts = [torch.cat([getattr(right, name), getattr(left, name)]) for name in ("means", "std", "weights")]
    classes = torch.arange(2).repeat_interleave(len(right.std))
    return Mixture(*parts, modes=classes), right, left


def _tree(side: int) -> Mixture:
    means, std, branches = [], [], []
    shoots = [(torch.zeros(2), math.pi / 2 * (1 - side), LENGTH, STD)]  # where, which way, how long, how thick
    for k in range(2 ** (FORKS + 1) - 1):  # each branch grows two, in the order of a heap
        foot, way, length, thick = shoots[k]
        along = length * torch.tensor([math.cos(way), math.sin(way)])
        means.append(foot + (torch.arange(BEADS) + 0.5)[:, None] / BEADS * along)
        std.append(torch.full((BEADS,), thick))
        branches.append(torch.full((BEADS,), k))
        shoots += [(foot + along, way + turn, length * SHORTER, thick * THINNER) for turn in (ANGLE, -ANGLE)]
    std = torch.cat(std)
    return Mixture(torch.cat(means), std, weights=std, modes=torch.cat(branches))


def branches(x: Tensor, tree: Mixture) -> Tensor:
    """Share of points (N, 2) on each branch of a tree, (branches,): whichever holds the nearest Gaussian's middle."""
    nearest = tree.modes.to(x.device)[torch.cdist(x, tree.means.to(x)).argmin(1)]
    return torch.bincount(nearest, minlength=int(tree.modes.max()) + 1) / len(x)
