"""The stage without a page: a PNG for GitHub, nbviewer and the built notebooks, and one line of text.

Pillow and the fonts that come with matplotlib, nothing of the system, so that the same state gives the same bytes.
"""

import io
import struct

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from gdm_core import colors
from gdm_core.validate import bad, choice
from gdm_core.widgets.arrange import AXES, BELOW, GAP, TALLEST, arranged, justified
from gdm_core.widgets.controls import spread
from gdm_core.widgets.fonts import broken, font
from gdm_core.widgets.honest import minus
from gdm_core.widgets.marks import beside, draw_axes, draw_legend, draw_marks
from gdm_core.widgets.overlay import NAMED, Ellipses, Lines, Text
from gdm_core.widgets.view import folded

SPOKEN = ("slider", "choice", "words", "toggle", "timeline", "pad")
WIDTH, EDGE = 800, 22  # screen pixels
INK, SOFT, LINE, RAISED = "#1b2430", "#566273", "#c9d0d9", "#f4f6f8"


class Sheet:
    """A white page on which everything is measured in screen pixels; it grows as it is filled."""

    def __init__(self, width: int, scale: float):
        self.width, self.scale = width, scale
        self.image = Image.new("RGB", (round(width * scale), round(200 * scale)), "white")
        self.pen = ImageDraw.Draw(self.image)

    def room(self, y: float) -> None:
        """Make the page reach down to `y`."""
        if self.px(y) > self.image.height:
            longer = Image.new("RGB", (self.image.width, self.px(1.2 * y)), "white")
            longer.paste(self.image)
            self.image, self.pen = longer, ImageDraw.Draw(longer)

    def px(self, *values: float):
        out = [round(v * self.scale) for v in values]
        return out[0] if len(out) == 1 else tuple(out)

    def text(self, x, y, words, size=15, color=INK, bold=False, anchor="la"):
        self.room(y + 2 * size)
        self.pen.text(self.px(x, y), words, fill=color, font=font(self.px(size), bold), anchor=anchor)

    def wrapped(self, x, y, width, words, size=15, color=INK, bold=False) -> float:
        """Words in lines no wider than `width`; returns the y below them."""
        for line in broken(words, self.px(width), font(self.px(size), bold)):
            self.text(x, y, line, size, color, bold)
            y += 1.45 * size
        return y

    def rectangle(self, x, y, w, h, fill=None, outline=None, width=1.0):
        left, top = self.px(x, y)
        right, bottom = self.px(x + w, y + h)
        box = (left, top, max(left, right - 1), max(top, bottom - 1))  # on a small page a hairline is a pixel still
        self.pen.rectangle(box, fill=fill, outline=outline, width=max(1, self.px(width)))

    def cut(self, height: float) -> Image.Image:
        self.room(height)
        return self.image.crop((0, 0, self.image.width, self.px(height)))


def words(stage, frame) -> str:
    """Title, where the controls are, and the read-out; the same in every run."""
    told = (c.words(stage.state[n]) for n, c in stage.controls.items() if c.kind != "button" and there(c, stage.state))
    said = ", ".join(filter(None, told))
    parts = [f"{stage.title or 'Stage'}: {said}" if said else stage.title or "Stage", frame.text]
    return minus(". ".join(filter(None, parts)))


SHARP = 1.5  # pixels a screen pixel, in notebooks and exported pages: legible when enlarged, and still small files


def png(stage, frame, scale: float = 2.0) -> bytes:
    """The frame as PNG, `scale` pixels a screen pixel."""
    image = draw(stage, frame, 2 * scale)
    size = (image.width // 2, image.height // 2)
    image = image.resize(size, Image.Resampling.BOX)  # drawn twice as large: smooth edges
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def gif(stage, control: str | None, width: int) -> bytes:
    """A frame for every state of a timeline, 120 at most."""
    timelines = {n: c for n, c in stage.controls.items() if c.kind == "timeline"}
    if not timelines:
        raise bad("a stage with a timeline", ", ".join(stage.controls) or "no controls", "stage.png()")
    name = choice("timeline", control or next(iter(timelines)), timelines)
    line = timelines[name]
    states = line.states()
    images = []
    for i in (states[at] for at in spread(len(states), 120)):
        image = draw(stage, stage.frame({name: i}), 2 * width / WIDTH, state={**stage.state, name: i})
        images.append(image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX))
    tallest = max(image.height for image in images)  # words may need more lines in some; a GIF has one size
    images = [ImageOps.pad(image, (image.width, tallest), color="white", centering=(0, 0)) for image in images]
    out = io.BytesIO()
    rest = {"append_images": images[1:], "save_all": True, "loop": 0, "duration": round(1000 / line.fps)}
    images[0].save(out, "GIF", **rest)
    return out.getvalue()


def size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG."""
    return struct.unpack(">II", data[16:24])


def draw(stage, frame, scale: float, width: int = WIDTH, state: dict | None = None) -> Image.Image:
    """The page as an image: title, views in rows, legend, read-out, controls."""
    state = stage.clean(frame.controls, state or stage.state)
    sheet, y = Sheet(width, scale), float(EDGE)
    inner = width - 2 * EDGE
    if stage.title:
        y = sheet.wrapped(EDGE, y, inner, stage.title, 21, INK, True) + 8
    views = [own(c) for c in stage.controls.values() if place_of(c) and not c.on]
    views += frame.encode()["views"]
    for row in arranged(views, inner):
        y = max(draw_row(sheet, row, y, inner, stage.controls, state)) + BELOW
    for text, size, color in zip(folded(minus(frame.text)), (15, 13), (INK, SOFT)):
        y = sheet.wrapped(EDGE, y, inner, text, size, color) if text else y
    said = (c.words(state[n]) for n, c in stage.controls.items() if c.kind in SPOKEN)
    said = [minus(words) for words in said if words]
    if said:
        y = sheet.wrapped(EDGE, y + 2, inner, "  ·  ".join(said).replace(" ", "\u2005"), 14, SOFT)
    return sheet.cut(y + EDGE - 6)


def place_of(control) -> str | None:
    """The view on which a control lies: its own when it has none to lie on; None for those beside the pictures."""
    return (control.on or control.name) if hasattr(control, "on") else None


def there(control, state: dict) -> bool:
    """Whether the choice that a control may wait for is made."""
    when = getattr(control, "when", None)
    return when is None or state[when[0]] == when[1]


def own(control) -> dict:
    """The plane of a control that lies on no view: a pad, or a sheet to paint."""
    pad = control.kind == "pad"
    extent = list(control.extent) if pad else [0.0, float(control.width), float(control.height), 0.0]
    left, right, bottom, top = extent
    aspect = abs((right - left) / (top - bottom))
    marks = []
    if pad:
        x, y = (left + right) / 2, (bottom + top) / 2
        marks = [Lines([[[left, y], [right, y]], [[x, bottom], [x, top]]], LINE, width=1).encode()]
        places = [[right, bottom + 0.55 * (top - bottom)], [x, bottom + 0.94 * (top - bottom)]]
        marks.append(Text(places[:1], [control.labels[0]], SOFT, anchor="right").encode())
        marks.append(Text(places[1:], [control.labels[1]], SOFT, anchor="left").encode())
    rest = {"marks": marks, "warning": "", "size": 1.0, "smooth": False, "axes": False}
    return {"name": control.name, "label": control.label, "extent": extent, "aspect": aspect, **rest}


def draw_row(sheet: Sheet, row: list[list[dict]], y: float, inner: float, controls: dict, state: dict) -> list:
    """Columns of views side by side from `y`; returns where each ends."""
    left, ruler, widths = AXES[0], Sheet(1, sheet.scale), [inner / len(row)] * len(row)
    for _ in range(4):  # how words break depends on the widths, and the widths on the room that words take
        left = max(left_of(sheet, v, w) for column, w in zip(row, widths) for v in column)  # one: plots align
        lines = max(len(label_of(sheet, column[0], w)) for column, w in zip(row, widths))
        words = [draw_column(ruler, column, 0, 0, w, left, lines, no_plot) for column, w in zip(row, widths)]
        widths = justified(row, words, inner, left)
    x, ends = float(EDGE), []
    plot = lambda *given: draw_view(*given, controls=controls, state=state)
    for column, wide in zip(row, widths):
        ends.append(draw_column(sheet, column, x, y, wide, left, lines, plot))
        x += wide + GAP
    return ends


def draw_column(sheet: Sheet, column: list[dict], x, y, wide: float, left: float, lines: int, plot) -> float:
    """Views below each other, `wide` with the room `left` of those with axes; returns where the last ends.

    The first label takes `lines` lines; `plot` draws a view's plot and returns where it ends.
    """
    for i, view in enumerate(column):
        y += BELOW if i else 0
        sheet.room(y + TALLEST + 200)
        label = label_of(sheet, view, wide)
        for k, line in enumerate(label):
            sheet.text(x, y + 22 * k, line, 15, INK, True)
        lines = len(label) if i else lines
        y += 22 * lines + 4 * bool(lines)
        room, above, right, below = (left, *AXES[1:]) if view["axes"] else (0.0, 0, 0, 0)
        w = wide - room - right
        end = plot(sheet, view, x + room, y + above, w, w / view["aspect"], room) + below
        end = draw_warning(sheet, view, x + room, end, w)
        y = draw_legend(sheet, view, x, end + 8, wide)
    return y


def no_plot(sheet: Sheet, view: dict, x: float, y: float, *rest) -> float:
    """In place of a plot: what remains is the height of the words around it."""
    return y


def label_of(sheet: Sheet, view: dict, wide: float) -> list[str]:
    return broken(view.get("asks") or view["label"], sheet.px(wide), font(sheet.px(15), True))


def left_of(sheet: Sheet, view: dict, wide: float) -> float:
    """Room for the numbers and the label at the left of a view that is `wide` with them."""
    room = AXES[0] if view["axes"] else 0.0
    for _ in range(2 if view["axes"] else 0):  # a plot that gives way may have other numbers
        room = max(room, beside(sheet, view, (wide - room - AXES[2]) / view["aspect"])[0])
    return room


def draw_view(sheet: Sheet, view: dict, x, y, w, h, room: float, controls: dict, state: dict) -> float:
    """Picture, marks, handles, axes, frame; returns where the plot ends."""
    box = sheet.px(w), sheet.px(h)
    sheet.rectangle(x, y, w, h, fill=RAISED)
    if "image" in view:
        pixels = view["palette"][view["image"]] if "palette" in view else view["image"]
        how = Image.Resampling.BICUBIC if view["smooth"] else Image.Resampling.NEAREST
        sheet.image.paste(Image.fromarray(pixels).resize(box, how), sheet.px(x, y))
    layer = Image.new("RGBA", box)
    draw_marks(layer, view["marks"], view["extent"], sheet.scale, rim="image" in view)
    for name, control in controls.items():
        if place_of(control) == view["name"] and there(control, state):
            hold(layer, control, state[name], view["extent"], sheet.scale)
    sheet.image.paste(layer, sheet.px(x, y), layer)
    warned = bool(view["warning"])
    sheet.rectangle(x, y, w, h, outline=colors.MODEL if warned else LINE, width=2.5 if warned else 1)
    if view["axes"]:
        draw_axes(sheet, view, x, y, w, h, room)
    return y + h


def draw_warning(sheet: Sheet, view: dict, x: float, y: float, w: float) -> float:
    """What is said of a view in which one has left the data, below what it judges; returns where it ends."""
    if not view["warning"]:
        return y
    lines = broken(view["warning"], sheet.px(w - 12), font(sheet.px(13)))
    sheet.rectangle(x, y + 6, w, 18 * len(lines) + 8, fill="#fff3ea")
    for i, line in enumerate(lines):
        sheet.text(x + 6, y + 10 + 18 * i, line, 13, "#9a3412")
    return y + 14 + 18 * len(lines)


def hold(layer: Image.Image, control, state, extent, scale: float) -> None:
    """The handles of a control, as the page shows them."""
    left, right, bottom, top = extent
    pen = ImageDraw.Draw(layer)
    at = lambda x, y: ((x - left) / (right - left) * layer.width, (y - top) / (bottom - top) * layer.height)

    def knob(x, y, color, words="", radius=11.0):
        (px, py), r = at(x, y), radius * scale
        pen.ellipse((px - r, py - r, px + r, py + r), fill=color, outline="white", width=round(2.5 * scale))
        pen.text((px, py), words, fill="white", font=font(round(13 * scale), True), anchor="mm")

    cycle = colors.CYCLE
    if control.kind == "pad":
        knob(*state, colors.LATENT)
    elif control.kind == "handles":
        for k, (x, y) in enumerate(state):
            color = control.color or cycle[k % len(cycle)]
            knob(x, y, NAMED.get(color, color), control.labels[k])
    elif control.kind == "gaussians":
        moments = control.value_of(state)
        cycle = colors.COMPONENTS
        shades = colors.rgb(*(cycle[k % len(cycle)] for k in range(control.count)))
        rings = Ellipses(*moments, radii=(control.radius,), color=shades, width=2)
        draw_marks(layer, [rings.encode() | {"dash": True}], extent, scale, rim=True)
        for k, (x, y, along, across, angle) in enumerate(state):
            knob(x, y, cycle[k % len(cycle)], control.labels[k])
            for turn, length in ((0.0, along), (np.pi / 2, across)):
                reach = control.radius * length
                knob(x + reach * np.cos(angle + turn), y + reach * np.sin(angle + turn), cycle[k % len(cycle)], "", 6.5)
    elif control.kind == "tiles":
        w, h = layer.width / control.columns, layer.height / control.rows
        row, column = divmod(state, control.columns)
        box = (column * w, row * h, (column + 1) * w, (row + 1) * h)
        pen.rectangle(box, outline=colors.ACCENT, width=round(3 * scale))
    elif control.kind == "brush":
        paint = Image.fromarray(np.rint(190 * control.value_of(state)).astype(np.uint8))
        veil = Image.new("RGBA", layer.size, colors.ACCENT)
        veil.putalpha(paint.resize(layer.size, Image.Resampling.NEAREST))
        layer.alpha_composite(veil)
