"""What the callback returns: pictures with marks over them, and a line of words.

    array                          one picture
    View(array, overlay=[...])     one picture and what lies over it
    {"name": array or View, ...}   several, side by side
    Frame(any of these, text=...)  and a read-out under them

A picture is (H, W) or (H, W, 3): uint8 as it is, floats in [0, 1]; a float field (H, W) with a `colormap` has any
range.  Row 0 is the top.  NumPy arrays and tensors on any device are taken alike.
"""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gdm_core import colors
from gdm_core.validate import bad, choice, integer
from gdm_core.widgets.controls import extent4, short
from gdm_core.widgets.honest import minus

LEAST, MOST = 1, 4096  # pixels a side


@dataclass
class View:
    """One picture, or a chart when there is no image, with marks over it.

    Args:
        image: (H, W) or (H, W, 3), see the module; None leaves the ground to the marks.
        overlay: `Points`, `Lines`, `Arrows`, `Ellipses`, `Bars`, `Text`.
        extent: (left, right, bottom, top) of the whole picture in data coordinates; pixels unless given.
        label: caption; the view's name unless given, "" for none.
        colormap: of a field: "cividis", "PuOr", any of matplotlib's; None shows gray levels.
        limits: values at the two ends of the colormap; those of the field unless given.
        scale: what the colors measure ("nats"): draws a color scale with its ends.
        axes: True for ticks, or (x label, y label) for ticks and labels.
        aspect: width / height on the screen; that of the image, of the extent, or 1.5 for a chart, unless given.
        smooth: interpolate between pixels; crisp squares unless given.
        warning: a sentence that says that one has left the data, "" for none now; a line under the picture is kept
            free for it unless it is None.
        size: width relative to the other views.
        asks: the caption where a hand can move what lies on it ("press a pixel: it flips"); not in a page of samples.
    """

    image: object = None
    overlay: Sequence = ()
    extent: Sequence[float] | None = None
    label: str | None = None
    colormap: str | None = None
    limits: tuple[float, float] | None = None
    scale: str | None = None
    axes: bool | tuple[str, str] = False
    aspect: float | None = None
    smooth: bool = False
    warning: str | None = None
    size: float = 1.0
    asks: str = ""

    def encode(self, name: str) -> dict:
        """Everything about this view as numbers and words; arrays stay arrays."""
        label = name if self.label is None else self.label
        out = {"name": name, "label": label, "asks": str(self.asks), "smooth": bool(self.smooth)}
        warning = str(self.warning or "")
        shape = None
        if self.image is not None:
            pixels, limits, lost = picture(self.image, self.colormap, self.limits)
            out["image"], shape = pixels, pixels.shape
            if lost:
                warning = warning or f"{lost} of {pixels.shape[0] * pixels.shape[1]} pixels are NaN or infinite"
            if self.colormap:
                out["palette"] = palette(self.colormap)
                if self.scale is not None:
                    out["scale"] = {
                        "low": end(limits[0], limits),
                        "high": end(limits[1], limits),
                        "label": str(self.scale),
                    }
        if self.extent is not None:
            extent = extent4("extent", self.extent)
        elif shape is not None:
            extent = (0.0, float(shape[1]), float(shape[0]), 0.0)
        else:
            raise bad("an extent for a view without an image", None, "extent=(left, right, bottom, top)")
        aspect = self.aspect
        if aspect is None:
            drawn = self.extent is not None and shape is not None and not isinstance(self.axes, tuple)
            wide, high = abs(extent[1] - extent[0]), abs(extent[3] - extent[2])
            aspect = wide / high if drawn else shape[1] / shape[0] if shape is not None else 1.5
        marks = []
        for mark in self.overlay:
            if not hasattr(mark, "encode"):
                raise bad("marks such as Points or Lines as overlay", type(mark).__name__, "overlay=[Points(xy)]")
            marks.append(mark.encode())
        if not isinstance(self.axes, bool) and (isinstance(self.axes, str) or len(self.axes) != 2):
            raise bad("axes as True or (x label, y label)", self.axes, 'axes=("step", "nats")')
        axes = self.axes if isinstance(self.axes, bool) else [str(a) for a in self.axes]
        return out | {
            "extent": list(extent),
            "aspect": float(aspect),
            "axes": axes,
            "marks": marks,
            "warning": warning,
            "warns": self.warning is not None,
            "size": float(self.size),
        }


@dataclass
class Frame:
    """Views and a read-out.

    Args:
        views: an array, a `View`, or a dict of them.
        text: under the pictures, such as "log p(z) = -2.3 nats · radius 1.4", what matters most first; the page writes
            minus signs, and shows as many parts as have three numbers together: one asks for the rest.
        controls: new values of controls, when drawing itself moves one.
    """

    views: object
    text: str = ""
    controls: Mapping = field(default_factory=dict)

    def encode(self) -> dict:
        views = self.views
        if not isinstance(views, Mapping):
            views = {"picture": views if isinstance(views, View) else View(views, label="")}
        if not views:
            raise bad("at least one view", "an empty dict", '{"picture": array}')
        named = {str(k): v if isinstance(v, View) else View(v) for k, v in views.items()}
        text, more = folded(minus(str(self.text)))
        return {"views": [view.encode(name) for name, view in named.items()], "text": text, "more": more}


def folded(text: str, most: int = 3) -> tuple[str, str]:
    """A read-out up to the part that brings more than so many numbers, and the rest.  The first part stays whole.

    >>> folded("radius 1.4 · z2 from 0 to 1 · step 3 of 9 · done")
    ('radius 1.4 · z2 from 0 to 1', 'step 3 of 9 · done')
    """
    parts, seen = text.split(" · "), 0
    for i, part in enumerate(parts):
        seen += len(re.findall(r"(?<![\w.,])\d", part))
        if seen > most and i:
            return " · ".join(parts[:i]), " · ".join(parts[i:])
    return text, ""


def frame_of(result) -> Frame:
    """Whatever a callback returned, as a `Frame`."""
    if result is None:
        raise bad("a picture from the drawing callback", None, "return array, View, {name: View} or Frame")
    return result if isinstance(result, Frame) else Frame(result)


def picture(image, colormap: str | None = None, limits=None) -> tuple[np.ndarray, tuple[float, float], int]:
    """Any image -> (uint8 (H, W) or (H, W, 3), the values of levels 0 and 255, how many pixels were not finite)."""
    if hasattr(image, "detach"):
        image = image.detach().cpu().numpy()
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 3 and image.shape[0] == 3 and image.shape[2] != 3:
        raise bad("an image (H, W, 3), channels last", image.shape, "image.permute(1, 2, 0)")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise bad("an image (H, W) or (H, W, 3)", image.shape, "tile(images) for a batch of them")
    if not all(LEAST <= side <= MOST for side in image.shape[:2]):
        raise bad(f"from {LEAST} to {MOST} pixels a side", image.shape, "fewer tiles or a crop")
    if image.dtype == np.uint8 and not colormap:
        return np.ascontiguousarray(image), (0.0, 255.0), 0
    if image.dtype.kind not in "fiub":
        raise bad("an image of numbers", image.dtype, "uint8, or floats in [0, 1]")
    if image.dtype.kind in "iu" and not colormap and limits is None:
        raise bad("an image in uint8, or floats in [0, 1]", image.dtype, "image.astype('uint8')")
    image = image.astype(np.float32)
    fine = np.isfinite(image)
    lost = int((~(fine if image.ndim == 2 else fine.all(-1))).sum())
    if colormap and image.ndim == 3:
        raise bad("a field (H, W) for a colormap", image.shape, "colormap=None for an image in color")
    if limits is not None and np.shape(limits) != (2,):
        raise bad("limits as (low, high)", limits, "limits=(0, 1)")
    low, high = (0.0, 1.0) if limits is None else (float(v) for v in limits)
    if limits is None and colormap:
        low, high = (float(image[fine].min()), float(image[fine].max())) if fine.any() else (0.0, 1.0)
    levels = (image - low) * (255.0 / (high - low if high != low else 1.0))
    if lost:
        levels = np.where(fine, levels, 0)
    np.rint(np.clip(levels, 0, 255, out=levels), out=levels)
    return levels.astype(np.uint8), (low, high), lost


def end(value: float, limits: tuple[float, float]) -> str:
    """One end of a color scale, with as many digits as the other end deserves.

    >>> end(-10.44, (-10.44, -0.0002)), end(-0.0002, (-10.44, -0.0002))
    ('−10.4', '0')
    """
    span = abs(limits[1] - limits[0]) or 1.0
    rounded = round(value, 2 - math.floor(math.log10(span)))
    return short(rounded + 0.0).replace("-", "−")


@functools.cache
def palette(name: str) -> np.ndarray:
    """uint8 (256, 3): matplotlib's colormap of that name."""
    import matplotlib

    choice("colormap", name, matplotlib.colormaps)
    levels = matplotlib.colormaps[name](np.arange(256) / 255.0)[:, :3]
    return np.rint(levels * 255).astype(np.uint8)


def tile(images, columns: int | None = None, gap: int = 1, ground: float = 1.0):
    """Batch of images -> one picture.

    Args:
        images: (N, H, W), (N, 1, H, W), (N, 3, H, W) or (N, H, W, 3); uint8, or floats in [0, 1].
        columns: how many a row; the most square unless given.
        gap: pixels around each tile, so that all tiles have the same share of the picture.
        ground: color between the tiles, in [0, 1].

    Returns:
        uint8 (rows (H + gap), columns (W + gap)[, 3]).
    """
    if hasattr(images, "detach"):
        images = images.detach().cpu().numpy()
    images = np.asarray(images)
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or len(images) == 0:
        raise bad("a batch of images (N, H, W) or (N, 3, H, W)", images.shape, "images[None] for one")
    if images.dtype != np.uint8:
        images = np.rint(np.nan_to_num(np.clip(images, 0, 1)) * 255).astype(np.uint8)
    n, h, w = images.shape[:3]
    columns = integer("columns", columns or int(np.ceil(np.sqrt(n * h / w))))
    rows = -(-n // columns)
    out = np.full((rows * columns, h + gap, w + gap, *images.shape[3:]), round(255 * ground), np.uint8)
    out[:n, gap // 2 : gap // 2 + h, gap // 2 : gap // 2 + w] = images
    out = out.reshape(rows, columns, *out.shape[1:]).swapaxes(1, 2)
    return out.reshape(rows * (h + gap), columns * (w + gap), *images.shape[3:])


def plane(extent, height: int, width: int | None = None) -> np.ndarray:
    """Centers of the pixels of a view, float64 (height, width, 2), row 0 at the top: where to evaluate a field.

    >>> plane((0, 2, 0, 2), 2)[0].tolist()
    [[0.5, 1.5], [1.5, 1.5]]
    """
    left, right, bottom, top = extent4("extent", extent)
    width = width or height
    x = left + (right - left) * (np.arange(width) + 0.5) / width
    y = top + (bottom - top) * (np.arange(height) + 0.5) / height
    return np.stack(np.meshgrid(x, y), -1)


FIELD, DIVERGING = colors.FIELD, colors.DIVERGING
