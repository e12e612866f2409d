"""Samples of digits, beside digits that nobody was shown.

A submission has from 300 to 10,000 pictures of 8 x 8 digits, floats from 0 to 1, shape (N, 1, 8, 8), (N, 8, 8) or
(N, 64).  Models may learn from `data.load("digits", "train")` alone.

    features    a classifier of the training digits: kernel distance, precision and coverage beside hidden digits
    test        p-value of MMD on those features: can the samples be told from hidden digits?
    memory      share of samples that are copies of training digits, of hidden digits, or of each other

The seed chooses the hidden digits and the samples that are looked at.
"""

from pathlib import Path

import torch
from torch import Generator, Tensor

from gdm_core import data, metrics, two_sample
from gdm_core.course.leaderboard import Score, floats, share

LOOKED_AT, MOST, LEVELS = 300, 10_000, 17
COLUMNS = ("kernel distance", "error", "precision", "coverage", "p")


class Judge:
    """Knows the hidden digits and the features.

    Args:
        seed: of the hidden digits that are compared with, of the samples that are looked at, of the exchanged labels.
        folder: of the submissions.
    """

    def __init__(self, seed: int, folder: Path | None = None):
        self.numbers = lambda: Generator().manual_seed(seed)  # the same for each submission, whoever else takes part
        train = data.load("digits", "train")
        self.seen = train.flat()
        self.hidden = torch.cat([data.load("digits", split).flat() for split in ("validation", "test")])
        self.features = metrics.learn_features(self.seen, train.labels, steps=300)
        self.real = self.hidden[torch.randperm(len(self.hidden), generator=self.numbers())[:LOOKED_AT]]
        self.band = metrics.band(self.kernel, self.hidden, LOOKED_AT, LOOKED_AT, generator=self.numbers())

    @staticmethod
    def read(path: Path) -> Tensor:
        """The samples of a file, (N, 64) in the 17 gray levels; errors are those of `floats`."""
        fits = lambda shape: shape[1:] in ((1, 8, 8), (8, 8), (64,))
        how = "np.savez(path, samples=x), x (N, 1, 8, 8) of floats from 0 to 1"
        x = floats(path, "(N, 1, 8, 8), (N, 8, 8) or (N, 64)", fits, LOOKED_AT, MOST, how)
        return (torch.from_numpy(x.astype("float32")).reshape(len(x), 64) * (LEVELS - 1)).round() / (LEVELS - 1)

    def kernel(self, x: Tensor, s: Tensor) -> Tensor:
        """Kernel distance in features."""
        return metrics.kernel(self.features(x.float()), self.features(s.float()))

    def score(self, s: Tensor) -> Score:
        """s: (N, 64) in gray levels."""
        some = s[torch.randperm(len(s), generator=self.numbers())[:LOOKED_AT]]
        near = metrics.neighbors(self.real, some)
        test = two_sample.test(
            self.features(self.real), self.features(some), two_sample.mmd(), permutations=999, generator=self.numbers()
        )
        kernel = metrics.estimate(self.kernel, self.real, some, groups=10)
        numbers = f"{kernel.value:.4f} {kernel.error:.4f} {near.precision:.2f} {near.coverage:.2f} {test.p:.3f}"
        copies = {
            "copies the training digits": share(metrics.copies(s, self.seen).copied),
            "copies the hidden digits": share(metrics.copies(s, self.hidden).copied),
            "repeats itself": 1 - len(s.unique(dim=0)) / len(s),
        }
        return Score(kernel.value, tuple(numbers.split()), copies)

    def beside(self) -> str:
        """What hidden digits score beside others."""
        low, high = self.band.low, self.band.high
        return f"Hidden digits beside other hidden digits: kernel distance from {low:.4f} to {high:.4f} (9 of 10)."
