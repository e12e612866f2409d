"""A folder of submitted samples, scored on what nobody was shown.

A submission is a file NAME.npz with an array `samples`, or NAME.npy.  What it has to hold, and how it is scored, says
the file of the data set beside this one: its `COLUMNS` of the table, `read` a submission, `Judge(seed, folder)`, whose
`score` is a `Score` and whose `beside` says what real data score.

A seed that submitters do not know makes all hidden choices.  It stands in the file of the table, so that everyone can
check the scores afterward.
"""

import csv
import importlib
import io
import secrets
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from gdm_core.files import atomic_write
from gdm_core.validate import bad, choice, integer

ALLOWED = 0.05  # share of copies from which on a submission has no rank
DATASETS = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


class Score(NamedTuple):
    """What a judge says of one submission: the smallest `order` is first, `cells` stand in the table as they are."""

    order: float
    cells: tuple[str, ...]
    copies: dict[str, float]  # shares, by what is wrong with them

    @property
    def worst(self) -> float:
        return max(self.copies.values())

    @property
    def note(self) -> str:
        """Why there is no rank, "" if there is one."""
        return max(self.copies, key=self.copies.get) if self.worst > ALLOWED else ""


def main(folder: Path, seed: int | None = None, dataset: str = "digits") -> int:
    """Score the submissions of a folder, print the table, write it there as leaderboard.csv; 1 if one was refused."""
    board = of(dataset)
    if not Path(folder).is_dir():
        raise bad("a folder of submissions", f"{folder}, which is none", "gdm leaderboard submissions")
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix in (".npz", ".npy"))
    if not paths:
        raise bad("files NAME.npz or NAME.npy", f"none in {folder}", 'np.savez("submissions/ada.npz", samples=x)')
    seed = _seed(seed)
    judge, heaps, refused = board.Judge(seed, Path(folder)), {}, {}
    for path in paths:
        try:
            if path.stem in heaps:
                raise bad("one file a name", f"{path.stem}.npy and {path.stem}.npz", "deleting the older one")
            heaps[path.stem] = judge.read(path)
        except ValueError as error:
            refused[path.name] = str(error)
            print(f"refused   {path.name}: {error}", file=sys.stderr)
    head = ("rank", "name", *board.COLUMNS, "copies", "note")
    rows = table({name: judge.score(s) for name, s in heaps.items()})
    if rows:
        print("\n".join([*columns([head, *rows]), "", judge.beside()]))
    out = io.StringIO()
    lines = [head, *rows, *([name, why] for name, why in refused.items()), ["seed", seed]]
    csv.writer(out, lineterminator="\n").writerows(lines)
    written = atomic_write(Path(folder) / "leaderboard.csv", out.getvalue().encode())
    print(f"\nSeed {seed}. Table: {written}")
    return int(bool(refused))


def ask(folder: Path, count: int, seed: int | None = None, dataset: str = "scenes") -> Path:
    """Write what submissions have to answer, where a data set asks something; the file's path."""
    if not hasattr(board := of(dataset), "ask"):
        raise bad("a data set that asks", dataset, "--dataset scenes")
    return board.ask(Path(folder), count, _seed(seed))


def of(dataset: str):
    """The file beside this one that scores samples of a data set."""
    return importlib.import_module(f"{__name__}.{choice('dataset', dataset, DATASETS)}")


def table(scores: dict[str, Score]) -> list[list[str]]:
    """A row for each name, the smallest `order` first; those with a note come last, without a rank."""
    ordered = sorted(scores.items(), key=lambda row: (bool(row[1].note), row[1].order, row[0]))
    return [
        ["" if s.note else str(rank), name, *s.cells, f"{s.worst:.2f}", s.note]
        for rank, (name, s) in enumerate(ordered, 1)
    ]


def columns(lines: list) -> list[str]:
    """Lines of cells for a terminal, one below the other."""
    wide = [max(map(len, cells)) for cells in zip(*lines)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, wide)).rstrip() for line in lines]


def floats(path: Path, shapes: str, fits, least: int, most: int, how: str) -> np.ndarray:
    """The samples of a file: finite floats from 0 to 1.

    Args:
        shapes: that are meant, in words.
        fits: whether a shape is one of them.
        least, most: how many there may be.
        how: to write such a file.

    Raises:
        ValueError: no array in it, another shape or dtype, too few or too many, not from 0 to 1, NaN.
    """
    try:
        with np.load(path, allow_pickle=False) if path.suffix == ".npz" else open(path, "rb") as file:
            x = file["samples"] if path.suffix == ".npz" else np.load(file, allow_pickle=False)
    except KeyError:
        raise bad(f"an array `samples` in {path.name}", "other names", how) from None
    except Exception as error:  # a file that somebody made can fail in any way
        raise bad(f"numbers in {path.name}", f"what cannot be read ({type(error).__name__})", how) from None
    if x.dtype.kind != "f":
        raise bad("floats from 0 to 1", f"dtype {x.dtype}", "x.astype('float32'), from 0 to 1")
    if not fits(x.shape):
        raise bad(f"shape {shapes}", x.shape, how)
    if not least <= len(x) <= most:
        needed = f"from {least} to {most:,} samples" if least < most else f"{least} samples"
        raise bad(needed, len(x), f"as many as that, {how}")
    if not np.isfinite(x).all():
        wrong = np.count_nonzero(~np.isfinite(x))
        raise bad("finite numbers", f"{wrong} that are NaN or infinite", "a look at the model")
    if x.min() < 0 or x.max() > 1:
        raise bad("numbers from 0 to 1", f"{x.min():.3g} to {x.max():.3g}", "samples.clip(0, 1), of gray levels x / 16")
    return x


def share(which: Tensor) -> float:
    """Of `which`, how much is true."""
    return which.double().mean().item()


def _seed(seed: int | None) -> int:
    return secrets.randbelow(2**31) if seed is None else integer("seed", seed, 0)
