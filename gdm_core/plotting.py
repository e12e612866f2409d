"""Figures of the course: data and an axis in, the axis out.

No function here trains, downloads or shows anything, and none knows a model: densities come as functions of points.
Notebooks call `use_style()` once; importing changes nothing.
"""

import base64
import io
import json
import math
import os
import sys
import textwrap
from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image
from torch import Tensor

from gdm_core import colors
from gdm_core.validate import bad

# What a plotly figure does without: a row of ten buttons covers a title, and one of them uploads the chart.
BUTTONS = ["sendChartToCloud", "toImage", "zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale"]
BUTTONS += ["zoom3d", "pan3d", "orbitRotation", "tableRotation", "resetCameraLastSave3d", "hoverClosest3d"]

Extent = tuple[float, float, float, float]  # x low, x high, y low, y high


def use_style() -> None:
    """Set the course's matplotlib style for this process: large type, few lines, color-blind-safe colors.

    In a notebook figures are drawn with 160 dots an inch and shown at half their size: sharp on a projector.  Where the
    environment has `GDM_DRAFT`, as in a replay, with 40: of the pictures that it draws nobody sees any.
    """
    mpl.rcParams.update(
        {
            "figure.figsize": (8, 4),
            "figure.dpi": 80,
            "figure.constrained_layout.use": True,
            "font.size": 13,
            "axes.titlesize": 14,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#9aa3ad",
            "axes.labelcolor": colors.DATA,
            "axes.prop_cycle": mpl.cycler(color=colors.CYCLE),
            "axes.grid": False,
            "lines.linewidth": 2.4,
            "xtick.color": colors.DATA,
            "ytick.color": colors.DATA,
            "legend.frameon": False,
            "image.cmap": "gray_r",
            "savefig.dpi": 80,
            "svg.hashsalt": "gdm",
        }
    )
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        if colors.DRAFT in os.environ:
            set_matplotlib_formats("png", dpi=40)
        else:
            set_matplotlib_formats("retina")


def turn(plotly, twin: Figure) -> None:
    """Show a figure that can be turned or hovered over and, where none can be (GitHub, paper), its picture.

    Both are one output, of which a page takes what it can draw.  The picture is a JPEG: beside a PNG plotly waits for
    the mouse in JupyterLab, and shows the picture until then, twice as large.

    Args:
        plotly: a `plotly.graph_objects.Figure`.
        twin: says the same; closed, so that it is not shown a second time.
    """
    from IPython.core.pylabtools import retina_figure
    from IPython.display import display
    from matplotlib import pyplot as plt

    png, size = retina_figure(twin)
    plt.close(twin)
    _on_any_paper(plotly)
    drawn = {"application/vnd.plotly.v1+json": json.loads(plotly.to_json()), "text/plain": "a figure to turn"}
    Image.open(io.BytesIO(png)).convert("RGB").save(
        jpeg := io.BytesIO(), "JPEG", quality=92, subsampling=0, optimize=True
    )
    encoded = base64.b64encode(jpeg.getvalue()).decode()
    display({**drawn, "image/jpeg": encoded}, raw=True, metadata={"image/jpeg": size})


def _on_any_paper(plotly) -> None:
    """Take a figure's white ground away, give it ink for light and dark themes, of its buttons leave the way back."""
    none, ink, faint = "rgba(0,0,0,0)", "#7d8794", "rgba(125,135,148,0.35)"
    lines = {"gridcolor": faint, "zerolinecolor": faint, "linecolor": ink, "color": ink}
    walls = {f"{axis}axis": {**lines, "showbackground": False, "nticks": 5, "tickfont_size": 10} for axis in "xyz"}
    buttons = {"bgcolor": none, "color": ink, "remove": BUTTONS}
    plotly.update_layout(paper_bgcolor=none, plot_bgcolor=none, font_color=ink, title_font_size=14, modebar=buttons)
    plotly.update_xaxes(lines).update_yaxes(lines).update_scenes(bgcolor=none, **walls)
    for slider in plotly.layout.sliders:
        slider.update(pad={"t": 10, "b": 10})  # or plotly cuts the names of its steps
    titles = [title for title in plotly.layout.annotations if title.yref == "paper"]
    if len(titles) > 1:  # side by side in a cell of JupyterLab, which may be narrow
        for title in titles:
            title.update(text="<br>".join(textwrap.wrap(title.text.replace("<br>", " "), 24)), font_size=13)
        plotly.update_layout(margin_t=max(plotly.layout.margin.t or 0, 44))


def images(x: Tensor, ax: Axes, *, columns: int | None = None, titles: Sequence[str] = (), pad: int = 1) -> Axes:
    """Pictures side by side.

    Args:
        x: `(N, 1 or 3, H, W)` in [0, 1]; gray ones are drawn dark on light, as ink.
        columns: pictures a row; None makes the sheet about square.
        titles: one short text above each picture of the first row.
        pad: pixels between two pictures.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) == 0:
        raise bad("pictures (N, 1 or 3, H, W)", tuple(x.shape), "x.reshape(-1, 1, 28, 28)")
    columns = columns or math.ceil(math.sqrt(len(x)))
    x = x.detach().cpu().float().clamp(0, 1)
    n, channels, height, width = x.shape
    rows = math.ceil(n / columns)
    background = 0.0 if channels == 1 else 1.0
    sheet = torch.full((channels, rows * (height + pad) - pad, columns * (width + pad) - pad), background)
    for i, picture in enumerate(x):
        top, left = i // columns * (height + pad), i % columns * (width + pad)
        sheet[:, top : top + height, left : left + width] = picture
    ax.imshow(sheet.permute(1, 2, 0).squeeze(-1).numpy(), vmin=0, vmax=1, interpolation="nearest")
    if pad and channels == 1:  # hairlines: a picture's edge is visible although paper and background are white
        for i in range(1, columns):
            ax.axvline(i * (width + pad) - pad / 2 - 0.5, color="#d5dae0", lw=0.8)
        for i in range(1, rows):
            ax.axhline(i * (height + pad) - pad / 2 - 0.5, color="#d5dae0", lw=0.8)
    ax.set_xticks([])
    ax.set_yticks([])
    for i, title in enumerate(titles):
        ax.text(i * (width + pad) + width / 2 - 0.5, -0.06 * height - 0.5, title, ha="center", va="bottom", fontsize=12)
    return ax


def points(x: Tensor, ax: Axes, *, color=colors.DATA, size: float = 8, alpha: float = 0.6, **options) -> Axes:
    """Scatter of `x` `(N, 2)`; one color, or one a point."""
    x = x.detach().cpu()
    ax.scatter(x[:, 0], x[:, 1], c=color, s=size, alpha=alpha, linewidths=0, **options)
    ax.set_aspect("equal")
    return ax


def grid(extent: Extent, side: int = 120, **options) -> Tensor:
    """Points `(side * side, 2)` of a regular grid, row by row from the lower left."""
    x, y = torch.linspace(*extent[:2], side, **options), torch.linspace(*extent[2:], side, **options)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)


def field(
    f: Callable[[Tensor], Tensor], ax: Axes, extent: Extent, *, side: int = 120, cmap=colors.FIELD, **options
) -> Axes:
    """A scalar function of the plane, `(B, 2) -> (B,)`, as a colored picture."""
    with torch.no_grad():
        z = f(grid(extent, side)).reshape(side, side)
    picture = {"origin": "lower", "extent": extent, "aspect": "equal", "interpolation": "bilinear"}
    ax.imshow(_array(z), cmap=cmap, **picture, **options)
    return ax


def contours(
    log_prob: Callable[[Tensor], Tensor],
    ax: Axes,
    extent: Extent,
    *,
    color=colors.EXACT,
    mass: Sequence[float] = (0.2, 0.5, 0.8, 0.95),
    side: int = 160,
) -> Axes:
    """Lines of equal density that enclose the given shares of probability mass.

    Args:
        log_prob: `(B, 2) -> (B,)` nats.
        extent: where nearly all mass lies.
        mass: shares in (0, 1).
    """
    with torch.no_grad():
        p = _array(log_prob(grid(extent, side)).exp().double().reshape(side, side))
    ordered = np.sort(p.ravel())[::-1]
    inside = np.cumsum(ordered) / ordered.sum()
    levels = sorted({float(ordered[np.searchsorted(inside, m)]) for m in mass})
    axes = np.linspace(*extent[:2], side), np.linspace(*extent[2:], side)
    ax.contour(*axes, p, levels=levels, colors=[color], linewidths=1.8)
    ax.set_aspect("equal")
    return ax


def ellipses(
    means: Tensor, covariances: Tensor, ax: Axes, *, color=colors.MODEL, radius: float = 2.0, weights=None, **options
) -> Axes:
    """Gaussians as ellipses of `radius` standard deviations; a heavier component gets a heavier line.

    Args:
        means: `(K, 2)`.
        covariances: `(K, 2, 2)`.
        color: one, or one a component.
        weights: `(K,)` mixing weights, or None.
    """
    means, covariances = means.detach().cpu().double(), covariances.detach().cpu().double()
    shades = [color] * len(means) if isinstance(color, str) else list(color)
    for k, (mean, covariance) in enumerate(zip(means, covariances)):
        values, vectors = torch.linalg.eigh(covariance)
        width, height = 2 * radius * values.flip(0).sqrt()
        angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
        line = 2.4 if weights is None else 1.0 + 3.0 * min(1.0, float(weights[k]) * len(means) / 2)
        patch = Ellipse(mean, width, height, angle=angle, fill=False, edgecolor=shades[k], lw=line, **options)
        ax.add_patch(patch)
        ax.plot(*mean, "+", color=shades[k], ms=9, mew=2)
    ax.set_aspect("equal")
    return ax


def curve(x, y, ax: Axes, label: str = "", *, color=colors.MODEL, at: float = 1.0, offset=(6, 0), **options) -> Axes:
    """A line with its name written beside it, at the fraction `at` of its length, in place of a legend."""
    x, y = _array(x), _array(y)
    ax.plot(x, y, color=color, **options)
    if label:
        i = round(at * (len(x) - 1))
        ax.annotate(
            label, (x[i], y[i]), offset, textcoords="offset points", color=color, va="center", fontweight="bold"
        )
    return ax


def histogram(x: Tensor, ax: Axes, *, bins: int = 60, color=colors.DATA, **options) -> Axes:
    """One-dimensional samples as a density."""
    ax.hist(_array(x).ravel(), bins=bins, density=True, color=color, alpha=0.25, **options)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    return ax


def _array(x) -> np.ndarray:
    """A tensor of any device, a list of numbers of any, or what numpy reads itself."""
    if isinstance(x, list | tuple):
        return np.asarray([_array(value) for value in x])
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
