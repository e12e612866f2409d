"""A folder of submitted samples, scored on digits that nobody was shown.

A submission is a file NAME.npz with an array `samples`, or NAME.npy: at least 300 pictures of 8 x 8 digits, floats from
0 to 1, shape (N, 1, 8, 8), (N, 8, 8) or (N, 64).  Models may learn from `data.load("digits", "train")` alone.

    features    a classifier of the training digits: kernel distance, precision and coverage beside hidden digits
    test        p-value of MMD on those features: can the samples be told from hidden digits?
    memory      share of samples that are copies of training digits, of hidden digits, or of each other

A seed that submitters do not know chooses the hidden digits and the samples that are looked at.  It stands in the file
of the table, so that everyone can check the scores afterward.
"""

import csv
import io
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from gdm_core import data, metrics, two_sample
from gdm_core.files import atomic_write
from gdm_core.validate import bad, integer

LOOKED_AT, MOST, LEVELS = 300, 10_000, 17
ALLOWED = 0.05  # share of copies from which on a submission has no rank
COLUMNS = ("rank", "name", "kernel distance", "error", "precision", "coverage", "p", "copies", "note")


@dataclass(frozen=True)
class Score:
    """What the judges say of one submission; `note` is "" for one that has a rank."""

    name: str
    kernel: metrics.Estimate
    precision: float
    coverage: float
    p: float
    copies: float
    note: str = ""


def main(folder: Path, seed: int | None = None) -> int:
    """Score the submissions of a folder, print the table, write it there as leaderboard.csv; 1 if one was refused."""
    if not Path(folder).is_dir():
        raise bad("a folder of submissions", f"{folder}, which is none", "gdm leaderboard submissions")
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix in (".npz", ".npy"))
    if not paths:
        raise bad("files NAME.npz or NAME.npy", f"none in {folder}", 'np.savez("submissions/ada.npz", samples=x)')
    seed = secrets.randbelow(2**31) if seed is None else integer("seed", seed, 0)
    heaps, refused = {}, {}
    for path in paths:
        try:
            if path.stem in heaps:
                raise bad("one file a name", f"{path.stem}.npy and {path.stem}.npz", "deleting the older one")
            heaps[path.stem] = read(path)
        except ValueError as error:
            refused[path.name] = str(error)
            print(f"refused   {path.name}: {error}", file=sys.stderr)
    if heaps:
        judge = Judge(seed)
        rows = table([judge.score(name, s) for name, s in heaps.items()])
        print(text(rows, judge.band))
    else:
        rows = []
    out = io.StringIO()
    lines = [COLUMNS, *rows, *([name, why] for name, why in refused.items()), ["seed", seed]]
    csv.writer(out, lineterminator="\n").writerows(lines)
    written = atomic_write(Path(folder) / "leaderboard.csv", out.getvalue().encode())
    print(f"\nSeed {seed}. Table: {written}")
    return int(bool(refused))


def read(path: Path) -> Tensor:
    """The samples of a file, (N, 64) in the 17 gray levels.

    Raises:
        ValueError: no array in it, another shape or dtype, too few or too many, not from 0 to 1, NaN.
    """
    how = "np.savez(path, samples=x), x (N, 1, 8, 8) of floats from 0 to 1"
    try:
        with np.load(path, allow_pickle=False) if path.suffix == ".npz" else open(path, "rb") as file:
            x = file["samples"] if path.suffix == ".npz" else np.load(file, allow_pickle=False)
    except KeyError:
        raise bad(f"an array `samples` in {path.name}", "other names", how) from None
    except Exception as error:  # a file that somebody made can fail in any way
        raise bad(f"numbers in {path.name}", f"what cannot be read ({type(error).__name__})", how) from None
    if x.dtype.kind != "f":
        raise bad("floats from 0 to 1", f"dtype {x.dtype}", "x.astype('float32'), of gray levels x / 16")
    if x.shape[1:] not in ((1, 8, 8), (8, 8), (64,)):
        raise bad("shape (N, 1, 8, 8), (N, 8, 8) or (N, 64)", x.shape, "samples.reshape(-1, 1, 8, 8)")
    if not LOOKED_AT <= len(x) <= MOST:
        raise bad(f"from {LOOKED_AT} to {MOST:,} samples", len(x), "model.sample(400)")
    if not np.isfinite(x).all():
        raise bad(
            "finite numbers", f"{np.count_nonzero(~np.isfinite(x))} that are NaN or infinite", "a look at the model"
        )
    if x.min() < 0 or x.max() > 1:
        raise bad("numbers from 0 to 1", f"{x.min():.3g} to {x.max():.3g}", "samples.clip(0, 1), of gray levels x / 16")
    return (torch.from_numpy(x.astype("float32")).reshape(len(x), 64) * (LEVELS - 1)).round() / (LEVELS - 1)


class Judge:
    """Knows the hidden digits and the features.

    Args:
        seed: of the hidden digits that are compared with, of the samples that are looked at, of the exchanged labels.
    """

    def __init__(self, seed: int):
        self.numbers = lambda: Generator().manual_seed(seed)  # the same for each submission, whoever else takes part
        train = data.load("digits", "train")
        self.seen = train.flat()
        self.hidden = torch.cat([data.load("digits", split).flat() for split in ("validation", "test")])
        self.features = metrics.learn_features(self.seen, train.labels, steps=300)
        self.real = self.hidden[torch.randperm(len(self.hidden), generator=self.numbers())[:LOOKED_AT]]
        self.band = metrics.band(self.kernel, self.hidden, LOOKED_AT, LOOKED_AT, generator=self.numbers())

    def kernel(self, x: Tensor, s: Tensor) -> Tensor:
        """Kernel distance in features."""
        return metrics.kernel(self.features(x.float()), self.features(s.float()))

    def score(self, name: str, s: Tensor) -> Score:
        """s: (N, 64) in gray levels."""
        some = s[torch.randperm(len(s), generator=self.numbers())[:LOOKED_AT]]
        near = metrics.neighbors(self.real, some)
        test = two_sample.test(
            self.features(self.real), self.features(some), two_sample.mmd(), permutations=999, generator=self.numbers()
        )
        shares = {
            "copies the training digits": _share(metrics.copies(s, self.seen).copied),
            "copies the hidden digits": _share(metrics.copies(s, self.hidden).copied),
            "repeats itself": 1 - len(s.unique(dim=0)) / len(s),
        }
        worst = max(shares, key=shares.get)
        note = worst if shares[worst] > ALLOWED else ""
        kernel = metrics.estimate(self.kernel, self.real, some, groups=10)
        return Score(name, kernel, near.precision, near.coverage, test.p, shares[worst], note)


def table(scores: list[Score]) -> list[list[str]]:
    """Rows of `COLUMNS`, the smallest kernel distance first; those with a note come last, without a rank."""
    ordered = sorted(scores, key=lambda s: (bool(s.note), s.kernel.value, s.name))
    return [
        [
            "" if s.note else str(rank),
            s.name,
            f"{s.kernel.value:.4f}",
            f"{s.kernel.error:.4f}",
            *(f"{share:.2f}" for share in (s.precision, s.coverage)),
            f"{s.p:.3f}",
            f"{s.copies:.2f}",
            s.note,
        ]
        for rank, s in enumerate(ordered, 1)
    ]


def text(rows: list[list[str]], band: metrics.Band) -> str:
    """The table for a terminal, and what hidden digits score beside others."""
    lines = [list(COLUMNS), *rows]
    wide = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, wide)).rstrip() for line in lines]
    real = (
        f"Hidden digits beside other hidden digits: kernel distance from {band.low:.4f} to {band.high:.4f} (9 of 10)."
    )
    return "\n".join([*shown, "", real])


def _share(which: Tensor) -> float:
    return which.double().mean().item()
