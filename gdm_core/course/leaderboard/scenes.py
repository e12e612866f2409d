"""Pictures of rooms, painted from captions that nobody had seen before.

`gdm leaderboard FOLDER --dataset scenes --ask 400` writes captions of hidden rooms into FOLDER/captions.txt, a line
each.  A submission has a picture for each line, in that order: (N, 3, S, S), S = 16, 32, 48 or 64, floats from 0 to 1.
Models may learn from `scenes.load("train", 8000)` alone, in any words.

    judge       reads six factors of each picture (`scenes.read`), never its caption: the share of captions kept with
                its standard error, and the factor that is kept least often
    coverage    share of all pairs of places (a red sphere, a blue floor seen head-on) among 300 of the pictures
    test        p-value of MMD on 16 x 16 pixels: can 300 pictures be told from 300 hidden rooms?
    copies      share of pictures that show a training room, that the renderer has drawn, or that were sent twice

A perfect model shows no training room, since it was asked for none; one that errs at random shows one in 60 pictures.
A renderer's picture under noise is not found out.  The seed chooses the rooms and the pictures that are compared.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn.functional import adaptive_avg_pool2d

from gdm_core import two_sample
from gdm_core.course.leaderboard import Score, floats, share
from gdm_core.data import scenes
from gdm_core.files import atomic_write
from gdm_core.validate import bad, integer

LOOKED_AT, MOST, TRAINED_ON = 300, 10_000, 8000
COLUMNS = ("captions kept", "error", "least often", "coverage", "p")
NAMES = dict(zip(scenes.FACTORS, ("floor", "wall", "object", "size", "shape", "view")))
HOW = "np.savez(path, samples=x), x (N, 3, 32, 32) of floats from 0 to 1, a picture for each line of captions.txt"


def ask(folder: Path, count: int, seed: int) -> Path:
    """Write `count` captions of hidden rooms, in words that are drawn: what submissions have to paint."""
    count = integer("count", count, LOOKED_AT, MOST)
    table = scenes.factors(scenes.chosen("test", count, seed))
    lines = scenes.captions.said(table, generator=Generator().manual_seed(seed), leave=0.1, deny=0.1)
    Path(folder).mkdir(parents=True, exist_ok=True)
    return atomic_write(Path(folder) / "captions.txt", "\n".join([*lines, ""]).encode())


class Judge:
    """Knows what was asked, the training rooms and hidden ones.

    Args:
        seed: of the hidden rooms that are compared with, of the pictures that are looked at, of the exchanged labels.
        folder: with captions.txt.

    Raises:
        ValueError: no captions, fewer than 300 of them, one that no scene fits.
    """

    def __init__(self, seed: int, folder: Path):
        self.numbers = lambda: Generator().manual_seed(seed)  # the same for each submission, whoever else takes part
        path, how = Path(folder) / "captions.txt", f"gdm leaderboard {folder} --dataset scenes --ask 400"
        if not path.is_file():
            raise bad(f"captions in {path}", "no such file", how)
        asked = path.read_text(encoding="utf-8").splitlines()
        if len(asked) < LOOKED_AT:
            raise bad(f"at least {LOOKED_AT} captions in {path}, one a line", len(asked), how)
        self.allowed = scenes.captions.meaning(asked)
        self.trained = scenes.chosen("train", TRAINED_ON)
        self.hidden = scenes.factors(scenes.chosen("validation", LOOKED_AT, seed))

    def read(self, path: Path) -> Tensor:
        """The pictures of a file, (N, 3, S, S), as many as there are captions; errors are those of `floats`."""
        fits = lambda shape: len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3] in (16, 32, 48, 64)
        n = len(self.allowed)
        return torch.from_numpy(
            floats(path, "(N, 3, S, S) with S = 16, 32, 48 or 64", fits, n, n, HOW).astype("float32")
        )

    def score(self, x: Tensor) -> Score:
        """x: (N, 3, S, S), a picture for each caption."""
        found = scenes.read(x).factors
        kept = scenes.captions.fits(found, self.allowed)  # (N, 6)
        some = torch.randperm(len(x), generator=self.numbers())[:LOOKED_AT]
        real = scenes.render(self.hidden, size=x.shape[-1])
        small = lambda pictures: adaptive_avg_pool2d(pictures, 16).flatten(1)
        options = {"permutations": 999, "generator": self.numbers()}
        p = two_sample.test(small(real), small(x[some]), two_sample.mmd(), **options).p
        right, least = share(kept.all(1)), kept.double().mean(0)
        worst = f"{list(NAMES.values())[least.argmin()]} {least.min():.2f}"
        error = (right * (1 - right) / len(x)) ** 0.5
        cells = (f"{right:.3f}", f"{error:.3f}", worst, f"{pairs_met(found[some]):.2f}", f"{p:.3f}")
        copies = {
            "shows the training rooms": share(torch.isin(scenes.index(found), self.trained)),
            "is drawn by the renderer": share(drawn(x, found)),
            "repeats itself": 1 - len(x.unique(dim=0)) / len(x),
        }
        return Score(-right, cells, copies)

    def beside(self) -> str:
        """What hidden rooms score."""
        return f"{LOOKED_AT} hidden rooms: all captions kept, coverage {pairs_met(self.hidden):.2f}."


def drawn(x: Tensor, found: Tensor) -> Tensor:
    """Whether each picture is the renderer's own of the scene that is read, to a gray level of 256: (N,)."""
    return (x - scenes.render(found, size=x.shape[-1])).abs().amax((1, 2, 3)) < 1.5 / 255


def pairs_met(table: Tensor, sizes: Sequence[int] = tuple(scenes.FACTORS.values())) -> float:
    """Share of all pairs of places of two factors that occur in (N, 6) places.

    >>> pairs_met(torch.tensor([[0, 0], [1, 1], [1, 1]]), (2, 2))
    0.5
    """
    met = total = 0
    for i in range(len(sizes)):
        for j in range(i):
            met += len((table[:, i] * sizes[j] + table[:, j]).unique())
            total += sizes[i] * sizes[j]
    return met / total
