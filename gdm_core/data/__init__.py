"""Everything the course learns from: `load(name)`.

toy targets      exact density, sampler and score          data.toy
ising            4x4 boards, all 65,536 states known     data.ising
digits           1,797 real 8x8 digits, in scikit-learn    data.digits
strokes          drawn 28x28 handwriting, known style      data.strokes
scenes           rendered 64x64x3 rooms, six factors       data.scenes
mnist, fashion   the real sets, downloaded once            data.idx
"""

from gdm_core.data import digits, idx, ising, scenes, strokes, toy
from gdm_core.data.dataset import Dataset
from gdm_core.data.download import DataUnavailable
from gdm_core.validate import choice, integer
from gdm_core.validate import device as existing

PICTURES = {
    "ising": ising.load,
    "digits": digits.load,
    "strokes": strokes.load,
    "scenes": scenes.load,
    "mnist": idx.mnist,
    "fashion": idx.fashion,
}
NAMES = (*toy.NAMES, *PICTURES)
SPLITS = ("train", "validation", "test")


def load(name: str, split: str = "train", *, n: int | None = None, seed: int = 0, device="cpu") -> Dataset:
    """Load or make a data set.

    Args:
        name: one of `data.NAMES`.
        split: "train", "validation" or "test".  Made sets draw each split from its own random stream.
        n: how many examples; None for the whole split (made sets: 10,000).  Real sets give their first `n`.
        seed: of made sets.
        device: where the tensors live.

    Raises:
        ValueError: unknown name or split, more examples than there are, a negative seed, a device that is not here.
        DataUnavailable: (an OSError) MNIST or Fashion-MNIST neither found under `$GDM_DATA` nor to be downloaded.
    """
    choice("data set", name, NAMES)
    choice("split", split, SPLITS)
    if n is not None:
        integer("n", n)
    integer("seed", seed, low=0)
    device = existing(device)
    if name in toy.NAMES:
        return toy.load(name, split, n=n, seed=seed, device=device)
    return PICTURES[name](split, n=n, seed=seed, device=device)


__all__ = [
    "DataUnavailable",
    "Dataset",
    "NAMES",
    "SPLITS",
    "load",
    "toy",
    "ising",
    "digits",
    "strokes",
    "scenes",
    "idx",
]
