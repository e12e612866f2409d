"""Marks over a picture, in the picture's own coordinates: points, lines, arrows, ellipses, bars, words.

A color is a name of the course's colors ("data", "latent", "model", "exact", "noise", "family", "accent", "encoder";
they follow the page's theme), "#rrggbb", an (N,) array of ints (the course's color cycle, one a mark) or an (N, 3)
array of red, green, blue in [0, 1].
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gdm_core import colors
from gdm_core.validate import bad, choice

NAMED = {
    "data": colors.DATA,
    "latent": colors.LATENT,
    "model": colors.MODEL,
    "exact": colors.EXACT,
    "noise": colors.NOISE,
    "family": colors.FAMILY,
    "accent": colors.ACCENT,
    "encoder": colors.ENCODER,
}


@dataclass
class Points:
    """Dots.

    Args:
        xy: (N, 2).
        color: see the module; may differ from dot to dot.
        size: diameter in pixels of the screen.
        alpha: opacity in [0, 1].
        label: for the legend.
    """

    xy: object
    color: object = "data"
    size: float = 5.0
    alpha: float = 1.0
    label: str = ""

    def encode(self) -> dict:
        xy = array("xy", self.xy, (None, 2))
        return {"mark": "points", "xy": xy, "size": float(self.size), **_look(self, len(xy))}


@dataclass
class Lines:
    """Curves.

    Args:
        xy: (M, 2), one curve; (K, M, 2), several; or a list of (M_k, 2).
        color: one color, or one a curve.
        width: in pixels of the screen.
        dash: broken lines.
        fill: shade the area between the curve and y = 0.
        label: for the legend.
    """

    xy: object
    color: object = "model"
    width: float = 2.5
    alpha: float = 1.0
    dash: bool = False
    fill: bool = False
    label: str = ""

    def encode(self) -> dict:
        ragged = isinstance(self.xy, list | tuple) and len(self.xy) and np.ndim(_plain(self.xy[0])) == 2
        curves = list(self.xy) if ragged else _plain(self.xy)
        if not ragged and curves.ndim == 2:
            curves = curves[None]
        curves = [array("xy", c, (None, 2), gaps=True) for c in curves]
        counts = [len(c) for c in curves]
        xy = np.concatenate(curves) if curves else np.zeros((0, 2))
        look = {"width": float(self.width), "dash": bool(self.dash), "fill": bool(self.fill)}
        return {"mark": "lines", "xy": xy, "counts": counts, **look, **_look(self, len(curves))}


@dataclass
class Arrows:
    """Arrows from `start` to `start + delta`, both (N, 2)."""

    start: object
    delta: object
    color: object = "accent"
    width: float = 2.0
    alpha: float = 1.0
    label: str = ""

    def encode(self) -> dict:
        start = array("start", self.start, (None, 2))
        delta = array("delta", self.delta, (len(start), 2))
        both = np.concatenate([start, delta], 1)  # (N, 4)
        return {"mark": "arrows", "xy": both, "width": float(self.width), **_look(self, len(start))}


@dataclass
class Ellipses:
    """Gaussians as ellipses at so many standard deviations.

    Args:
        means: (K, 2).
        covs: (K, 2, 2).
        radii: standard deviations, one ellipse each.
        color: one color, or one a Gaussian; the course's cycle unless given.
    """

    means: object
    covs: object
    radii: Sequence[float] = (1.0, 2.0)
    color: object = None
    width: float = 2.0
    alpha: float = 1.0
    label: str = ""

    def encode(self) -> dict:
        means = array("means", self.means, (None, 2))
        covs = array("covs", self.covs, (len(means), 2, 2))
        values, vectors = np.linalg.eigh(covs)  # (K, 2), (K, 2, 2)
        # An axis has two directions, and which one is returned is a matter of rounding: take that to the upper right.
        vectors = vectors * np.where(vectors[:, :1] + 0.6 * vectors[:, 1:] < 0, -1.0, 1.0)
        axes = vectors * np.sqrt(np.clip(values, 0, None))[:, None, :]  # columns: std times direction
        rows = np.concatenate([means, axes[:, :, 1], axes[:, :, 0]], 1)  # (K, 6)
        look = _look(self if self.color is not None else replace(self, color=np.arange(len(means))), len(means))
        radii = [float(r) for r in self.radii]
        return {"mark": "ellipses", "xy": rows, "radii": radii, "width": float(self.width), **look}


@dataclass
class Bars:
    """Upright bars from `base` to `base + height` around `x`, all (N,), `width` wide in data coordinates."""

    x: object
    height: object
    width: float = 0.8
    base: object = 0.0
    color: object = "model"
    alpha: float = 1.0
    label: str = ""

    def encode(self) -> dict:
        x = array("x", self.x, (None,))
        height = array("height", self.height, (len(x),))
        base = array("base", np.zeros_like(x) + _plain(self.base), (len(x),))
        rows = np.stack([x, height, base, np.full_like(x, self.width)], 1)  # (N, 4)
        return {"mark": "bars", "xy": rows, **_look(self, len(x))}


@dataclass
class Text:
    """Words at places.

    Args:
        xy: (N, 2).
        text: N strings.
        size: in pixels of the screen.
        anchor: which side of the words lies on the place: "center", "left", "right", "above" or "below" (the words
            stand above or below it).
    """

    xy: object
    text: Sequence[str]
    color: object = "data"
    size: float = 14.0
    anchor: str = "center"
    alpha: float = 1.0
    label: str = ""

    def encode(self) -> dict:
        words = [self.text] if isinstance(self.text, str) else [str(t) for t in self.text]
        xy = array("xy", np.atleast_2d(_plain(self.xy)), (len(words), 2))
        choice("anchor", self.anchor, ("center", "left", "right", "above", "below"))
        rest = {"text": words, "size": float(self.size), "anchor": self.anchor}
        return {"mark": "text", "xy": xy, **rest, **_look(self, len(words))}


def colored(color) -> str:
    """A name of the course's colors or #rrggbb, checked."""
    if isinstance(color, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        return color
    return choice("color", color, NAMED)


def array(name: str, data, shape: tuple, gaps: bool = False) -> np.ndarray:
    """Float64 array of `shape` (None = any length) from an array, a tensor or a list; finite unless `gaps`."""
    out = _plain(data)
    if out.ndim != len(shape) or any(want is not None and want != got for want, got in zip(shape, out.shape)):
        spelled = ", ".join("N" if s is None else str(s) for s in shape)
        raise bad(f"{name} of shape ({spelled})", tuple(out.shape), f"np.asarray({name}).reshape(...)")
    if not gaps and not np.isfinite(out).all():
        raise bad(f"finite {name}", f"{int((~np.isfinite(out)).sum())} NaN or infinite entries", "dropping them")
    return out


def _plain(data) -> np.ndarray:
    if hasattr(data, "detach"):
        data = data.detach().cpu().numpy()
    try:
        return np.asarray(data, dtype=float)
    except (TypeError, ValueError):
        raise bad("numbers", repr(data)[:60], "a float array or tensor") from None


def _look(mark, count: int) -> dict:
    look = {"alpha": float(mark.alpha), "label": str(mark.label)}
    if isinstance(mark.color, str):
        return look | {"color": colored(mark.color)}
    shades = _plain(mark.color)
    if shades.shape == (count,):
        return look | {"cycle": (shades.astype(int) % len(colors.CYCLE)).astype(np.uint8)}
    if shades.shape == (count, 3):
        return look | {"rgb": np.rint(np.clip(shades, 0, 1) * 255).astype(np.uint8)}
    raise bad(f"one color, or {count} of them", f"shape {shades.shape}", 'color="model"')
