"""What a hand can move: sliders, choices, words, toggles, buttons, timelines, and the two-dimensional pad.

Every control has two faces.  Its *state* is plain JSON: what travels between page and kernel, into links and into code
cells.  Its *value* is what the drawing callback receives.  `clean` turns whatever came (from a page, a link, a hand
in Python) into valid state, or says what was needed; `value_of` turns state into the value; `words` says it aloud.
"""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gdm_core.validate import bad, choice, integer


def number(name: str, data, low: float, high: float) -> float:
    """A finite float, moved into `[low, high]`: a hand may slip past the end of a slider, but NaN is a mistake."""
    try:
        value = float(data)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise bad(f"a finite number for {name}", repr(data)[:60], f"{name}={low:g}")
    return min(max(value, low), high)


def extent4(name: str, extent) -> tuple[float, float, float, float]:
    """`limit` -> (-limit, limit, -limit, limit); four numbers stay (left, right, bottom, top)."""
    if np.ndim(extent) == 0:
        extent = (-extent, extent, -extent, extent)
    extent = tuple(float(v) for v in extent)
    if len(extent) != 4 or not all(map(math.isfinite, extent)) or extent[0] == extent[1] or extent[2] == extent[3]:
        raise bad(f"{name} as one limit or (left, right, bottom, top)", extent, f"{name}=3.0")
    return extent


@dataclass
class Slider:
    """A number.  Value: float, or int when `low` and `step` are ints (`low` and `high` of a logarithmic one).

    Args:
        name: key in the callback's controls.
        low, high: ends.
        value: start; the middle unless given.
        step: of an arrow key; a hundredth of the range unless given.
        label: in the page; the name unless given.
        unit: written after the number.
        log: equal distances are equal ratios (low > 0).
    """

    name: str
    low: float
    high: float
    value: float | None = None
    step: float | None = None
    label: str = ""
    unit: str = ""
    log: bool = False
    kind = "slider"

    def __post_init__(self):
        if not self.low < self.high:
            raise bad(f"low < high for slider {self.name!r}", (self.low, self.high), "Slider(name, 0.0, 1.0)")
        if self.log and self.low <= 0:
            raise bad(f"low > 0 for the logarithmic slider {self.name!r}", self.low, "low=1e-3")
        self.whole = isinstance(self.low, int) and isinstance(self.high if self.log else self.step, int)
        if self.value is None:
            self.value = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        if self.step is None:
            self.step = 0.01 if self.log else (self.high - self.low) / 100  # a logarithmic step is a share of the track
        if not self.step > 0:
            raise bad(f"a step > 0 for slider {self.name!r}", self.step, "step=0.1")
        self.label = self.label or self.name
        self.value = self.clean(self.value)

    def clean(self, data):
        value = number(self.name, data, self.low, self.high)
        return round(value) if self.whole else value

    def value_of(self, state):
        return state

    def words(self, state) -> str:
        return f"{self.label} {short(state)}{self.unit and ' ' + self.unit}"

    def spec(self) -> dict:
        keys = ("kind", "name", "low", "high", "step", "label", "unit", "log", "whole")
        return {k: getattr(self, k) for k in keys}


@dataclass
class Pad:
    """A point in the plane.  Value: (x, y) floats in the pad's own coordinates.

    Args:
        name: key in the callback's controls.
        limit: the pad spans [-limit, limit] in both directions; or (left, right, bottom, top).
        value: start; the middle unless given.
        labels: of the two axes.
        step: of an arrow key; shift or page keys move ten of them.
        label: of the whole; the name unless given.
        on: name of a view to lie over, in that view's coordinates; a pad of its own unless given.
    """

    name: str
    limit: float | tuple = 3.0
    value: Sequence[float] | None = None
    labels: tuple[str, str] = ("x", "y")
    step: float | None = None
    label: str = ""
    on: str | None = None
    kind = "pad"

    def __post_init__(self):
        self.extent = extent4("limit", self.limit)
        if isinstance(self.labels, str) or len(self.labels) != 2:
            raise bad(f"labels of the two axes of pad {self.name!r}", self.labels, 'labels=("z1", "z2")')
        left, right, bottom, top = self.extent
        if self.value is None:
            self.value = [(left + right) / 2, (bottom + top) / 2]
        self.step = float(self.step or abs(right - left) / 120)
        self.label = self.label or self.name
        self.value = self.clean(self.value)

    def clean(self, data):
        left, right, bottom, top = self.extent
        try:
            x, y = data
        except (TypeError, ValueError):
            raise bad(f"two numbers for {self.name}", repr(data)[:60], f"{self.name}=(0.0, 0.0)") from None
        x = number(self.name, x, min(left, right), max(left, right))
        return [x, number(self.name, y, min(bottom, top), max(bottom, top))]

    def value_of(self, state):
        return tuple(state)

    def words(self, state) -> str:
        return f"{self.label} = ({state[0]:.2f}, {state[1]:.2f})"

    def spec(self) -> dict:
        keys = ("kind", "name", "step", "label", "on")
        return {k: getattr(self, k) for k in keys} | {"labels": list(self.labels), "extent": list(self.extent)}


@dataclass
class Choice:
    """One of several options.  Value: the option itself (a string or a number).

    Args:
        name: key in the callback's controls.
        options: strings or numbers.
        value: start; the first unless given.
        label: in the page; the name unless given.
    """

    name: str
    options: Sequence
    value: object = None
    label: str = ""
    kind = "choice"

    def __post_init__(self):
        self.options = [o.item() if isinstance(o, np.generic) else o for o in self.options]
        if not self.options or not all(isinstance(o, str | int | float) for o in self.options):
            raise bad(f"strings or numbers as options of {self.name!r}", self.options, 'options=["a", "b"]')
        self.label = self.label or self.name
        self.value = self.clean(self.options[0] if self.value is None else self.value)

    def clean(self, data):
        data = data.item() if isinstance(data, np.generic) else data
        return choice(self.name, data, self.options)

    def value_of(self, state):
        return state

    def words(self, state) -> str:
        return f"{self.label} {state}"

    def spec(self) -> dict:
        return {"kind": self.kind, "name": self.name, "label": self.label, "options": self.options}


@dataclass
class Sentence:
    """A line of words that one types.  Value: the string; what it means is the callback's affair, who may raise.

    Args:
        name: key in the callback's controls.
        value: start.
        label: in the page; the name unless given.
        most: characters.
    """

    name: str
    value: str = ""
    label: str = ""
    most: int = 200
    kind = "words"

    def __post_init__(self):
        integer(f"characters of {self.name!r}", self.most)
        self.label = self.label or self.name
        self.value = self.clean(self.value)

    def clean(self, data):
        if not isinstance(data, str) or len(data) > self.most or not all(map(str.isprintable, data)):
            raise bad(f"a line of at most {self.most} characters for {self.name}", repr(data)[:60], f"{self.name}='a'")
        return str(data)

    def value_of(self, state):
        return state

    def words(self, state) -> str:
        return f"{self.label} {state}" if state else ""

    def spec(self) -> dict:
        return {"kind": self.kind, "name": self.name, "label": self.label, "most": self.most}


@dataclass
class Toggle:
    """On or off.  Value: bool."""

    name: str
    value: bool = False
    label: str = ""
    kind = "toggle"

    def __post_init__(self):
        self.label = self.label or self.name
        self.value = self.clean(self.value)

    def clean(self, data):
        if not isinstance(data, bool | np.bool_):
            raise bad(f"True or False for {self.name}", repr(data)[:60], f"{self.name}=True")
        return bool(data)

    def value_of(self, state):
        return state

    def words(self, state) -> str:
        return f"{self.label} {'on' if state else 'off'}"

    def spec(self) -> dict:
        return {"kind": self.kind, "name": self.name, "label": self.label}


@dataclass
class Button:
    """Something to press.  Value: how many times it was pressed (int), so that "new noise" is the seed of the noise.

    Args:
        name: key in the callback's controls.
        press: `press(controls) -> dict of new control values, or None`; called in the kernel once for every press,
            before the picture is drawn.  An EM step is a function from the handles' means to new ones.
        label: in the page; the name unless given.
    """

    name: str
    press: Callable[[dict], Mapping | None] | None = None
    label: str = ""
    value: int = 0
    kind = "button"

    def __post_init__(self):
        self.label = self.label or self.name
        self.value = self.clean(self.value)

    def clean(self, data):
        return integer(self.name, data, low=0, high=10**9)

    def value_of(self, state):
        return state

    def words(self, state) -> str:
        return "" if state == 0 else f"{self.label} pressed {state} times" if state > 1 else f"{self.label} pressed"

    def spec(self) -> dict:
        return {"kind": self.kind, "name": self.name, "label": self.label}


@dataclass
class Timeline:
    """A row of states with play and scrub.  Value: the index of the state (int, from 0).

    Over `trainer.count` of the stage's trainer, links and pages number the states by their training steps, since old
    checkpoints give way to new ones; the callback still gets an index for `trainer.at`.

    Args:
        name: key in the callback's controls.
        length: how many states; or a function that says how many there are now (checkpoints of a training run).
        value: start; -1 is the last.
        fps: states a second while playing.
        follow: the last position means "the newest, whatever comes": its state is -1.
        label: in the page; the name unless given.
        loop: start again at the end.
    """

    name: str
    length: int | Callable[[], int]
    value: int = 0
    fps: float = 12.0
    follow: bool = False
    label: str = ""
    loop: bool = False
    kind = "timeline"
    trainer = None  # whose checkpoints these are; the stage says so

    def __post_init__(self):
        if not callable(self.length):
            integer(f"length of timeline {self.name!r}", self.length)
        if not self.fps > 0:
            raise bad(f"fps > 0 for timeline {self.name!r}", self.fps, "fps=12")
        self.label = self.label or self.name
        self.value = self.clean(self.value)

    def now(self) -> int:
        """How many states there are at this moment, at least 1."""
        return max(1, int(self.length())) if callable(self.length) else self.length

    def states(self) -> Sequence[int]:
        """The numbers of all states of this moment, in order: indices, or training steps."""
        return range(self.now()) if self.trainer is None else self.trainer.marks()

    def clean(self, data):
        states = self.states()
        wanted = round(number(self.name, data, -1, states[-1]))
        index = len(states) - 1 if wanted == -1 else nearest(states, wanted)
        return -1 if self.follow and index == len(states) - 1 else states[index]

    def value_of(self, state):
        states = self.states()
        return len(states) - 1 if state == -1 else nearest(states, state)  # that checkpoint may be gone since

    def words(self, state) -> str:
        if self.trainer is not None and len(self.states()) < 2:
            return ""  # nothing is trained yet, and the page hides the timeline too
        return f"{self.label} {'latest' if state == -1 else state}"

    def spec(self) -> dict:
        keys = ("kind", "name", "label", "fps", "follow", "loop")
        live = {} if self.trainer is None else {"live": True, "total": self.trainer.total}
        return {k: getattr(self, k) for k in keys} | {"length": self.grown()} | live

    def grown(self) -> int | list[int]:
        """What the page is told after each answer: how many states there are, or which."""
        return self.now() if self.trainer is None else list(self.trainer.marks())


def nearest(states: Sequence[int], wanted: int) -> int:
    """Index of the state nearest to `wanted`; the later one of two.

    >>> nearest([0, 10, 30], 19), nearest([0, 10, 30], 20), nearest(range(5), 9)
    (1, 2, 4)
    """
    at = min(bisect.bisect_left(states, wanted), len(states) - 1)
    return at - 1 if at and states[at] - wanted > wanted - states[at - 1] else at


def spread(total: int, count: int) -> list[int]:
    """At most `count` of `total` indices, both ends among them, evenly."""
    return sorted({round(v) for v in np.linspace(0, total - 1, min(total, count))})


def short(value) -> str:
    """Three significant digits, no trailing zeros, no exponent where none is needed.

    >>> short(0.1), short(12.3456), short(3), short(1e-05)
    ('0.1', '12.3', '3', '1e-05')
    """
    return str(value) if isinstance(value, int | str) else f"{value:.3g}"
