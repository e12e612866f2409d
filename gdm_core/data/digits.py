"""The 1,797 handwritten 8x8 digits that come with scikit-learn (Alpaydin & Kaynak, 1998): real data without a download.

They are the test set of the UCI collection and keep its order: the writers of the last rows are not those of the first,
so held-out losses are higher than training losses for that reason too.
"""

import torch

from gdm_core.data.dataset import Dataset
from gdm_core.validate import choice, integer

ROWS = {"train": (0, 1000), "validation": (1000, 1350), "test": (1350, 1797)}  # in the order of scikit-learn


def load(split: str = "train", n: int | None = None, seed: int = 0, device="cpu") -> Dataset:
    """The first `n` digits of a split: x (n, 1, 8, 8), float32, gray level / 16; 17 levels.

    Args:
        split: "train" (1,000), "validation" (350) or "test" (447): fixed rows, not shuffled.
        n: how many; None for all.
        seed: there is nothing random here; accepted so that data sets can be exchanged.
        device: where the tensors live.

    Raises:
        ValueError: unknown split, or more digits than it has.

    >>> digits = load("validation")
    >>> tuple(digits.x.shape), digits.levels
    ((350, 1, 8, 8), 17)
    """
    from sklearn.datasets import load_digits  # slow to import, and not everybody needs it

    start, stop = ROWS[choice("split", split, ROWS)]
    if n is not None:
        stop = start + integer("n", n, high=stop - start)
    levels, labels = load_digits(return_X_y=True)
    x = torch.from_numpy(levels[start:stop]).float().div_(16).reshape(-1, 1, 8, 8)
    return Dataset("digits", x, torch.from_numpy(labels[start:stop]).long(), levels=17).to(device)
