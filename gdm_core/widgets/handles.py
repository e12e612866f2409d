"""What a hand can move *on a picture*: points, Gaussians, tiles of a gallery, and a brush.

Each lies over a view (`on=`), in that view's coordinates; see `controls` for state, value and words.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gdm_core import colors
from gdm_core.validate import bad, integer
from gdm_core.widgets.controls import number
from gdm_core.widgets.overlay import array, colored

SPAN = 1e6  # handles may leave the picture (the view may zoom), but not to where float32 loses them


@dataclass
class Handles:
    """Points to drag.  Value: float64 array (K, 2).

    Args:
        name: key in the callback's controls.
        points: (K, 2), where they start.
        on: the view they lie on.
        labels: one a point; their numbers unless given.
        color: a name of the course's colors or #rrggbb; one color a point from the cycle unless given.
        step: of an arrow key; a hundredth of the view unless given.
        label: of the whole; the name unless given.
        when: (name, option) of a choice: they are there while it is made; always unless given.
    """

    name: str
    points: Sequence
    on: str
    labels: Sequence[str] | None = None
    color: str | None = None
    step: float | None = None
    label: str = ""
    when: tuple[str, object] | None = None
    kind = "handles"

    def __post_init__(self):
        self.label = self.label or self.name
        points = array("points", self.points, (None, 2))
        self.count = len(points)
        self.labels = _labels(self.labels, self.count)
        self.value = self.clean(points)

    def clean(self, data):
        rows = _rows(self.name, data, self.count, 2)
        return [[number(self.name, v, -SPAN, SPAN) for v in row] for row in rows]

    def value_of(self, state):
        return np.array(state, dtype=float)

    def words(self, state) -> str:
        return f"{self.label} " + ", ".join(f"({x:.2f}, {y:.2f})" for x, y in state)

    def spec(self) -> dict:
        keys = ("kind", "name", "label", "on", "labels", "step", "when")
        return {k: getattr(self, k) for k in keys} | {"color": self.color and colored(self.color)}


class Moments(NamedTuple):
    """Means (K, 2) and covariances (K, 2, 2) of `Gaussians`, float64."""

    means: np.ndarray
    covs: np.ndarray


@dataclass
class Gaussians:
    """Gaussians to drag: the center moves the mean, two points on the ellipse turn and stretch the covariance.

    Value: `Moments(means (K, 2), covs (K, 2, 2))`.  State: one row [x, y, std along, std across, angle] each.

    Args:
        name: key in the callback's controls.
        means: (K, 2); covs: (K, 2, 2), positive definite.
        on: the view they lie on.
        labels: one a Gaussian; their numbers unless given.
        smallest: no standard deviation can be dragged below it.
        radius: the ellipse is drawn at so many standard deviations.
        label: of the whole; the name unless given.
    """

    name: str
    means: Sequence
    covs: Sequence
    on: str
    labels: Sequence[str] | None = None
    smallest: float = 0.02
    radius: float = 2.0
    label: str = ""
    kind = "gaussians"

    def __post_init__(self):
        self.label = self.label or self.name
        self.count = len(array("means", self.means, (None, 2)))
        self.labels = _labels(self.labels, self.count)
        self.value = self.clean((self.means, self.covs))

    def clean(self, data):
        if isinstance(data, tuple) and len(data) == 2:
            means = array("means", data[0], (self.count, 2))
            data = [[*mean, *_axes(cov)] for mean, cov in zip(means, array("covs", data[1], (self.count, 2, 2)))]
        out = []
        for x, y, along, across, angle in _rows(self.name, data, self.count, 5):
            place = [number(self.name, v, -SPAN, SPAN) for v in (x, y)]
            stds = [number(self.name, v, self.smallest, SPAN) for v in (along, across)]
            out.append([*place, *stds, math.remainder(number(self.name, angle, -1e3, 1e3), math.tau)])
        return out

    def value_of(self, state):
        rows = np.array(state, dtype=float)
        cos, sin = np.cos(rows[:, 4]), np.sin(rows[:, 4])
        turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)  # (K, 2, 2), columns are the axes
        covs = (turn * rows[:, None, 2:4] ** 2) @ turn.transpose(0, 2, 1)
        return Moments(rows[:, :2].copy(), covs)

    def words(self, state) -> str:
        return f"{self.label} " + ", ".join(f"({r[0]:.2f}, {r[1]:.2f}) ± ({r[2]:.2f}, {r[3]:.2f})" for r in state)

    def spec(self) -> dict:
        keys = ("kind", "name", "label", "on", "labels", "smallest", "radius")
        return {k: getattr(self, k) for k in keys} | {"colors": list(colors.COMPONENTS)}


@dataclass
class Tiles:
    """Choose one picture of a gallery by pressing it.  Value: its index (int), row by row.

    Args:
        name: key in the callback's controls.
        on: the view that shows the gallery, `rows` x `columns` tiles that fill it evenly.
        count: how many tiles hold a picture; all unless given.
        press: what a choice does beside being one: `press(controls) -> {name: new value}`, as of a `Button`.
    """

    name: str
    on: str
    rows: int
    columns: int
    value: int = 0
    count: int | None = None
    press: Callable[[dict], Mapping | None] | None = None
    label: str = ""
    kind = "tiles"

    def __post_init__(self):
        self.label = self.label or self.name
        integer("rows", self.rows)
        integer("columns", self.columns)
        self.count = integer("count", self.count or self.rows * self.columns, high=self.rows * self.columns)
        self.value = self.clean(self.value)

    def clean(self, data):
        return round(number(self.name, data, 0, self.count - 1))

    def value_of(self, state):
        return state

    def words(self, state) -> str:
        return f"{self.label} {state}"

    def spec(self) -> dict:
        keys = ("kind", "name", "label", "on", "rows", "columns", "count")
        return {k: getattr(self, k) for k in keys} | {"acts": self.press is not None}


@dataclass
class Brush:
    """A mask or a target to paint.  Value: float64 array (height, width) in [0, 1].

    Args:
        name: key in the callback's controls.
        height, width: of the painted grid.
        value: start, (height, width) in [0, 1]; nothing painted unless given.
        on: the view to paint on; a canvas of its own unless given.
        radius: of the brush, in pixels of the grid.
        hard: paint whole pixels, those whose middle the brush reaches; soft edges unless given.
        label: in the page; the name unless given.
        when: (name, option) of a choice: the brush, and the view if that has no other use, is there while it is made.
    """

    name: str
    height: int
    width: int
    value: object = None
    on: str | None = None
    radius: float = 1.2
    hard: bool = False
    label: str = ""
    when: tuple[str, object] | None = None
    kind = "brush"

    def __post_init__(self):
        integer("height", self.height, high=512)
        integer("width", self.width, high=512)
        self.label = self.label or self.name
        self.value = self.clean(np.zeros((self.height, self.width)) if self.value is None else self.value)

    def clean(self, data):
        size = self.height * self.width
        if isinstance(data, str):
            try:
                raw = base64.b64decode(data, validate=True) if len(data) <= 4 * size else b""
            except (binascii.Error, ValueError):
                raw = b""
            if len(raw) != size:
                raise bad(f"{size} painted pixels for {self.name}", f"{len(raw)} readable", "the state of this brush")
            return data
        grid = array(self.name, data, (self.height, self.width))
        return base64.b64encode(np.rint(np.clip(grid, 0, 1) * 255).astype(np.uint8).tobytes()).decode()

    def value_of(self, state):
        raw = np.frombuffer(base64.b64decode(state), np.uint8)
        return raw.reshape(self.height, self.width) / 255.0

    def words(self, state) -> str:
        return f"{self.label} {100 * self.value_of(state).mean():.0f} % painted"

    def spec(self) -> dict:
        keys = ("kind", "name", "label", "on", "height", "width", "radius", "hard", "when")
        return {k: getattr(self, k) for k in keys}


def _labels(labels, count: int) -> list[str]:
    labels = [str(k + 1) for k in range(count)] if labels is None else [str(v) for v in labels]
    if len(labels) != count:
        raise bad(f"{count} labels, one a handle", len(labels), "labels=None")
    return labels


def _rows(name: str, data, count: int, width: int) -> list:
    try:
        rows = [list(row) for row in data]
    except TypeError:
        rows = []
    if len(rows) != count or any(len(row) != width for row in rows):
        raise bad(f"{count} rows of {width} numbers for {name}", repr(data)[:60], f"the state of {name}")
    return rows


def _axes(cov) -> tuple[float, float, float]:
    """Covariance (2, 2) -> standard deviations along and across its first axis, and the angle of that axis."""
    if not np.allclose(cov, cov.T, rtol=1e-6, atol=1e-12):
        raise bad("symmetric covariances", cov.tolist(), "(cov + cov.T) / 2")
    values, vectors = np.linalg.eigh(cov)
    if values[0] <= 0:
        raise bad("positive definite covariances", f"eigenvalues {values}", "cov + 1e-6 * identity")
    return math.sqrt(values[1]), math.sqrt(values[0]), math.atan2(vectors[1, 1], vectors[0, 1])
