"""Lab 15, the project: copies, coverage, gray levels."""

import numpy as np
import torch
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, tensor
from gdm_core.checks.exercise import Exercise


@Exercise
def copied(answer: Answer, numbers: Generator) -> None:
    """Share of y that are three times nearer to one x than to the next."""
    for m, n, d in ((90, 50, 4), (61, 75, 7)):

        def case(m=m, n=n, d=d):
            draw = lambda *shape: torch.randn(*shape, generator=numbers, dtype=torch.float64)
            x = draw(n, d)
            far = torch.linspace(0.02, 1.2, m, dtype=torch.float64)[:, None]
            y = x[torch.randint(n, (m,), generator=numbers)] + far * draw(m, d) / d**0.5
            one, two = np.sort(np.linalg.norm(y.numpy()[:, None] - x.numpy(), axis=-1), axis=1)[:, :2].T
            last = np.sort(np.linalg.norm(y.numpy()[:, None] - x.numpy(), axis=-1), axis=1)[:, -2:].T
            truth = _share(one < two / 3)
            of_x = np.sort(np.linalg.norm(x.numpy()[:, None] - y.numpy(), axis=-1), axis=1)[:, :2].T
            return (y, x), truth, {
                "x and y changed places: each sample is asked about, among the training pictures": _share(
                    of_x[0] < of_x[1] / 3
                ),
                "squared distances: a third of a distance is a ninth of its square": _share(one**2 < two**2 / 3),
                "this is the share that are no copies": 1 - truth,
                "the nearest is always nearer than the next: a third of it is asked for": _share(one < two),
                "the two farthest were compared, not the two nearest": _share(last[1] < last[0] / 3),
                "count, then divide by the number of samples": truth * m,
                "divide by the number of samples, not of training pictures": truth * m / n,
                "a fixed distance depends on the units: compare with the second nearest": _share(one < 1 / 3),
            }  # fmt: skip

        given, truth, mistakes = _told_apart(case)
        equal(tensor(answer(*given), (), "()"), truth, mistakes, "the share")


@Exercise
def coverage(answer: Answer, numbers: Generator) -> None:
    """Share of x with a y within the distance of their k-th nearest other x."""
    for n, m, d, k in ((120, 45, 2, 3), (75, 90, 3, 2)):

        def case(n=n, m=m, d=d, k=k):
            x = torch.randn(n, d, generator=numbers, dtype=torch.float64)
            y = 0.7 * torch.randn(m, d, generator=numbers, dtype=torch.float64) + 0.4
            apart = lambda a, b: np.linalg.norm(a.numpy()[:, None] - b.numpy(), axis=-1)
            within, across = np.sort(apart(x, x), axis=1), apart(x, y)  # column 0 is the picture itself
            inside = across <= within[:, [k]]
            of_y, nearest = np.sort(apart(y, y), axis=1)[:, k], across.min(1)
            reach = within[:, k]
            truth = _share(nearest <= reach)
            return (x, y, k), truth, {
                "a picture is its own nearest neighbor: take the (k+1)-th smallest": _share(
                    nearest <= within[:, k - 1]
                ),
                "this is precision: the share of samples near a real picture": _share(inside.any(0)),
                "this is recall: the reach is that of the real pictures, not of the samples": _share(
                    (across <= of_y).any(1)
                ),
                "x and y changed places: each real picture is asked about": _share(across.min(0) <= of_y),
                "every real picture is in reach: the reach is a distance to real pictures, not to samples": _share(
                    np.ones(n)
                ),
                "one sample too far: k counts the other real pictures": _share(nearest <= within[:, k + 1]),
                "the nearest sample counts, not the mean one": _share(across.mean(1) <= reach),
                "this is the share that is missing": 1 - truth,
                "count, then divide by the number of real pictures": truth * n,
                "each picture has a reach of its own: no mean over them": _share(nearest <= reach.mean()),
            }  # fmt: skip

        given, truth, mistakes = _told_apart(case)
        equal(tensor(answer(*given), (), "()"), truth, mistakes, "coverage")


def _told_apart(case):
    """Draw cases until each mistake has a share of its own, which a small sample may not give."""
    for _ in range(1000):
        given, truth, mistakes = case()
        values = sorted([truth.item(), *(wrong.item() for wrong in mistakes.values())])
        if min(b - a for a, b in zip(values, values[1:])) > 1e-3:
            break
    return given, truth, mistakes


def _share(which: np.ndarray) -> Tensor:
    return torch.tensor(np.mean(which))


@Exercise
def gray(answer: Answer, numbers: Generator) -> None:
    """The nearest of 17 gray levels, as pictures."""
    for n in (5, 2):
        v = 0.5 + 0.6 * torch.randn(n, 64, generator=numbers, dtype=torch.float64)
        levels = np.arange(17) / 16
        nearest = levels[np.abs(v.numpy()[..., None] - levels).argmin(-1)]
        as_pictures = lambda a: torch.as_tensor(np.asarray(a)).reshape(n, 1, 8, 8)
        mistakes = {
            "this rounds down: take the nearest level": as_pictures(np.floor(v.clamp(0, 1).numpy() * 16) / 16),
            "numbers below 0 and above 1 are left": as_pictures(np.round(v.numpy() * 16) / 16),
            "17 levels have 16 steps between them": as_pictures(np.round(v.clamp(0, 1).numpy() * 17) / 17),
            "divide by 16 again": as_pictures(nearest * 16),
            "these are no gray levels yet: round": as_pictures(v.clamp(0, 1)),
            "the pictures lie on their side: reshape row by row": as_pictures(nearest).mT,
            "these are 256 levels, and the digits have 17": as_pictures(np.round(v.clamp(0, 1).numpy() * 255) / 255),
            "0 or 1 alone: round 16 times the number": as_pictures(np.round(v.clamp(0, 1).numpy())),
        }
        equal(tensor(answer(v), (n, 1, 8, 8), "(N, 1, 8, 8)"), as_pictures(nearest), mistakes, "the pictures")
