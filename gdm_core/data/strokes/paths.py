"""How people write the ten digits: pen paths, several to a class.

A path is text: points `x,y` in percent of the digit's height (y down), `*` after a corner, `|` where the pen is lifted.
Between corners the pen follows a uniform Catmull-Rom spline (Catmull & Rom, 1974) through its points.  That spline is
linear in the points, so each path becomes a matrix once, and drawing a batch of moved points is one product.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

DENSE = 44  # points of the polyline that stands for the pen's way

PATHS = {
    0: {
        "round": "32,0 10,14 0,50 10,88 32,100 56,86 64,50 54,14 33,0",
        "overlapping": "48,8 26,0 6,22 0,55 12,92 36,100 58,84 64,50 54,18 30,6 12,16",
        "open": "22,6 4,28 2,64 18,95 42,97 60,78 64,42 54,12 36,4",
    },
    1: {
        "plain": "0,0 0,33 0,66 0,100",
        "flag": "0,28 14,16 28,0* 27,50 26,100",
        "foot": "0,24 14,14 26,0* 26,50 26,100 | 0,100 27,99 54,100",
    },
    2: {
        "plain": "4,22 16,4 40,0 58,18 52,42 28,72 2,98* 32,96 66,97",
        "looped": "4,20 18,2 44,2 56,22 46,52 22,84 6,98 0,86 12,78 34,90 68,98",
        "wide loop": "2,16 24,0 50,6 54,30 36,60 12,91 0,82 12,66 32,72 52,90 80,84",
        "angular": "0,8 28,0 58,4* 36,44 2,98* 34,97 64,95",
        "swan": "6,24 20,4 46,2 56,24 40,56 8,92* 24,88 44,98 68,90",
        "long base": "6,16 22,0 42,10 34,42 16,74 0,98* 36,94 80,96",
        "big loop": "8,14 30,0 54,10 56,40 44,76 20,98 2,88 4,66 24,60 46,78 74,92",
        "round loop": "6,24 24,4 50,2 64,24 58,60 34,92 10,97 4,80 24,66 48,80 66,98",
    },
    3: {
        "round": "4,10 26,0 52,10 50,32 24,46* 52,56 60,78 40,98 14,98 0,86",
        "looped": "4,12 28,0 54,14 44,36 22,48 16,42 28,42 54,58 56,84 30,100 0,90",
        "flat top": "4,2 30,0 56,2* 38,20 22,38* 50,46 62,70 44,96 18,100 0,88",
        "smooth": "0,18 18,1 44,4 52,24 34,44 52,58 54,82 30,100 0,86",
        "small belly": "6,14 30,0 54,8 46,30 24,46* 44,50 50,66 34,88 0,100",
        "angular": "0,10 24,2 50,6* 34,28 18,44* 46,48 46,68 28,90 2,100",
    },
    4: {
        "open": "6,0 2,26 0,54* 30,56 66,50 | 48,4 46,50 42,100",
        "closed": "46,0 22,32 0,62* 34,63 68,60 | 46,0 45,50 44,100",
        "one stroke": "4,0 2,30 14,50 40,46 52,2* 50,50 46,100",
        "crossed": "16,0 8,24 0,48* 30,54 68,48 | 40,22 38,58 34,100",
    },
    5: {
        "two strokes": "14,10 9,26 5,44* 28,36 54,50 58,74 40,96 14,100 0,90 | 18,2 42,3 70,0",
        "one stroke": "60,0 36,2 12,2* 8,22 6,42* 30,36 56,52 58,76 36,98 0,94",
        "snake": "58,2 34,0 14,12 12,36 36,46 56,60 52,88 26,100 0,92",
        "far bar": "30,10 22,28 14,46* 40,44 48,64 34,88 6,98 | 30,10 60,4 84,0",
        "hooked": "54,2 34,2 16,4* 12,22 6,40* 28,32 52,42 58,66 44,92 18,98 2,84 12,70",
    },
    6: {
        "round": "46,0 20,22 2,58 10,92 34,100 54,82 48,58 26,54 4,72",
        "straight": "30,0 12,34 0,70 14,98 40,98 52,76 38,58 14,64 2,80",
        "curly": "54,6 34,0 12,24 0,62 14,96 40,100 56,78 44,56 22,58 6,78",
        "low loop": "40,0 16,30 0,70 8,96 30,100 44,88 38,72 22,70 8,84",
        "open bowl": "14,0 0,44 4,84 26,98 54,86 58,62 42,52 26,64 24,88",
        "wide bowl": "30,0 4,36 0,76 26,98 66,88 70,66 48,56 24,70 18,94",
        "inner loop": "0,0 2,50 10,86 34,100 58,84 60,56 44,44 34,60 40,92",
    },
    7: {
        "plain": "0,4 30,4 60,0* 40,46 26,100",
        "barred": "0,4 30,3 60,0* 40,46 28,100 | 14,48 38,48 64,46",
        "barred flag": "0,18 4,6* 30,4 58,2* 44,42 30,100 | 8,56 36,51 66,45",
        "flag": "0,18 4,4* 32,4 60,2* 38,48 24,100",
        "curved": "0,12 22,2 48,0 58,14 46,42 30,70 24,100",
        "dropped": "0,32 6,8* 30,8 56,4* 48,50 42,100",
        "arched": "0,20 14,4 40,0 52,14 44,54 38,100",
    },
    8: {
        "one stroke": "52,12 30,0 8,16 18,40 44,56 54,80 30,100 4,82 14,58 42,38 54,18 50,10",
        "two loops": "28,48 8,30 10,8 30,0 50,10 48,34 28,48 | 28,48 4,62 2,86 28,100 54,88 52,62 28,48",
        "open": "48,4 22,0 8,18 20,40 46,60 48,90 22,100 4,84 16,58 44,36 62,4",
        "pointed": "60,10 38,0 14,10 16,30 40,54 46,80 24,100 6,84 20,58 62,6",
        "narrow": "50,10 24,0 6,14 20,38 36,58 40,84 22,100 10,84 18,60 40,34 52,10",
        "small foot": "56,10 34,0 10,8 8,24 32,46 44,74 30,100 14,88 22,62 44,36 60,6",
        "crossed": "50,14 28,2 8,18 28,44 50,72 34,98 10,92 8,72 28,48 52,22",
    },
    9: {
        "straight tail": "50,14 30,0 6,12 2,34 18,48 42,40 52,12* 50,56 46,100",
        "curved tail": "52,18 32,0 8,10 0,34 18,50 42,42 54,14* 52,54 38,88 10,98",
        "round": "50,22 30,2 6,14 2,40 24,52 46,36 52,12 50,50 40,100",
        "slanted": "44,8 20,2 2,24 12,46 34,40 46,12* 36,56 24,100",
        "small head": "42,6 22,0 4,10 6,28 24,34 40,20 44,4* 42,50 40,100",
        "oval head": "46,6 26,0 6,16 4,40 20,48 40,30 48,4* 44,50 36,100",
        "pointed head": "48,2 18,10 2,36 16,46 36,34 50,4* 44,50 34,100",
        "hooked": "50,14 28,0 6,12 6,32 28,42 48,26 54,12* 56,60 44,92 20,100 2,88",
        "open": "44,10 18,6 2,30 16,48 42,40 56,2* 50,52 46,100",
    },
}
VARIANTS = tuple(tuple(PATHS[label]) for label in range(10))  # names of the variants of each class
LIFTS = max(text.count("|") for paths in PATHS.values() for text in paths.values())  # most pen lifts of a digit


@dataclass(frozen=True)
class Pens:
    """All paths as tensors; the first axis is the path: `first[label] + variant`.

    Attributes:
        first: `(10,)` where the paths of a class begin.
        count: `(10,)` how many it has.
        points: `(V, C, 2)` control points in digit heights, zero where a path has fewer than C.
        spline: `(V, P, C)` control points -> dense polyline.
        stroke: `(V, C)` number of the stroke (pen lifts before it) of each control point.
        down: `(V, P - 1)` whether the pen touches the paper between two dense points.
        roll: `(V, P - 1)` how much of the factor curl each piece takes: -1 and 1 at the two ends of a stroke.
        middle: `(V, P)` index of the dense point at the middle of the same stroke: curl leaves it in place.
    """

    first: Tensor
    count: Tensor
    points: Tensor
    spline: Tensor
    stroke: Tensor
    down: Tensor
    roll: Tensor
    middle: Tensor


@cache
def pens(device: str = "cpu") -> Pens:
    """The paths of `PATHS` as tensors on `device`, made once."""
    built = [_build(text) for label in range(10) for text in PATHS[label].values()]
    count = torch.tensor([len(names) for names in VARIANTS])
    C = max(len(points) for points, *_ in built)
    V = len(built)
    points, spline, stroke = torch.zeros(V, C, 2), torch.zeros(V, DENSE, C), torch.zeros(V, C, dtype=torch.long)
    for v, (p, B, s, *_) in enumerate(built):
        points[v, : len(p)], spline[v, :, : len(p)], stroke[v, : len(p)] = p, B, s
    down, roll, middle = (torch.stack(part) for part in zip(*(b[3:] for b in built)))
    tensors = (count.cumsum(0) - count, count, points, spline, stroke, down, roll, middle)
    return Pens(*(t.to(device) for t in tensors))


def _parse(text: str) -> list[list[tuple[float, float, bool]]]:
    """Strokes of (x, y, corner?) in digit heights."""
    strokes = []
    for part in text.split("|"):
        stroke = []
        for word in part.split():
            x, y = word.rstrip("*").split(",")
            stroke.append((float(x) / 100, float(y) / 100, word.endswith("*")))
        strokes.append(stroke)
    return strokes


def _build(text: str) -> tuple[Tensor, ...]:
    strokes = _parse(text)
    points = torch.tensor([[x, y] for s in strokes for x, y, _ in s])  # (C, 2)
    number = torch.tensor([k for k, s in enumerate(strokes) for _ in s])  # (C,)
    fine, start = [], 0  # one spline matrix (many, C) a stroke
    for s in strokes:
        fine.append(_catmull_rom([start + i for i in range(len(s))], [c for *_, c in s], len(points)))
        start += len(s)
    lengths = torch.stack([(B @ points).diff(dim=0).norm(dim=1).sum() for B in fine])
    share = (lengths / lengths.sum() * (DENSE - 3 * len(fine))).floor().long() + 3  # every stroke gets a few points
    share[lengths.argmax()] += DENSE - share.sum()
    spline = torch.cat([_even(B, points, int(n)) for B, n in zip(fine, share)])  # (P, C)
    dense, down, roll, middle, at = spline @ points, [], [], [], 0
    for n in share.tolist():
        step = dense[at : at + n].diff(dim=0)
        u = torch.linspace(-1, 1, 2 * n - 1)[1::2]  # the middles of n - 1 pieces
        turn = step[:-1, 0] * step[1:, 1] - step[:-1, 1] * step[1:, 0]
        sign = 1.0 if turn.sum() >= 0 else -1.0
        down += [torch.ones(n - 1), torch.zeros(1)]
        roll += [sign * u**3, torch.zeros(1)]
        middle.append(torch.full((n,), at + n // 2))
        at += n
    return points, spline, number, torch.cat(down)[:-1].bool(), torch.cat(roll)[:-1], torch.cat(middle)


def _catmull_rom(index: list[int], corner: list[bool], C: int, per_span: int = 24) -> Tensor:
    """Matrix `(many, C)` from control points to points on the spline, broken at corners."""
    t = torch.arange(per_span) / per_span
    weights = torch.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2
    points = torch.eye(C)[index]  # (points of the stroke, C)
    rows, ends = [], [0, *(i for i, c in enumerate(corner) if c), len(index) - 1]
    for low, high in zip(ends[:-1], ends[1:]):
        p = points[low : high + 1]
        p = torch.cat([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])  # beyond an end the spline mirrors
        rows.append(torch.einsum("kt,sck->stc", weights, p.unfold(0, 4, 1)).flatten(0, 1))
    return torch.cat([*rows, points[-1:]])


def _even(B: Tensor, points: Tensor, n: int) -> Tensor:
    """`n` rows of `B` (mixed from neighbors) that are evenly spaced along the stroke; corners a little rounded."""
    way = torch.cat([torch.zeros(1), (B @ points).diff(dim=0).norm(dim=1).cumsum(0)])
    target = torch.linspace(0, float(way[-1]), n)
    right = torch.searchsorted(way, target).clamp(1, len(way) - 1)
    w = ((target - way[right - 1]) / (way[right] - way[right - 1])).clamp(0, 1)[:, None]
    B = (1 - w) * B[right - 1] + w * B[right]
    return torch.cat([B[:1], (B[:-2] + 2 * B[1:-1] + B[2:]) / 4, B[-1:]])
