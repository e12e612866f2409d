"""Marks, axes and legend for the static picture, drawn with Pillow as `js/marks.js` draws them on a canvas."""

import math

import numpy as np
from PIL import Image, ImageDraw

from gdm_core import colors
from gdm_core.widgets.fonts import broken, font
from gdm_core.widgets.overlay import NAMED

HALO = (255, 255, 255, 230)
LINE = 18  # screen pixels of a line of an axis label


def draw_marks(layer: Image.Image, marks: list[dict], extent, scale: float, rim: bool) -> None:
    """Encoded marks on `layer`, which spans `extent`; a white rim around each where there is a picture below."""
    left, right, bottom, top = extent
    unit = np.array([layer.width / (right - left), layer.height / (bottom - top)])
    place = lambda xy: (np.asarray(xy, dtype=float) - [left, top]) * unit
    crowded = any(mark["mark"] == "points" for mark in marks)  # words among dots need a rim as well
    for mark in marks:
        sheet = Image.new("RGBA", layer.size) if mark["alpha"] < 1 else layer
        edged = rim or crowded and mark["mark"] == "text"
        DRAW[mark["mark"]](ImageDraw.Draw(sheet), mark, place, unit, scale, edged)
        if sheet is not layer:
            sheet.putalpha(sheet.getchannel("A").point(lambda a, alpha=mark["alpha"]: round(a * alpha)))
            layer.alpha_composite(sheet)


def shade(mark: dict, i: int):
    """Color of mark i: its own, or that of all."""
    if "cycle" in mark:
        return colors.CYCLE[mark["cycle"][i]]
    return tuple(int(v) for v in mark["rgb"][i]) if "rgb" in mark else NAMED.get(mark["color"], mark["color"])


def _stroke(pen, points, color, width, scale, rim, dash=False):
    points = [tuple(p) for p in points]
    if len(points) < 2:
        return
    if rim:
        pen.line(points, fill=HALO, width=round((width + 2.5) * scale), joint="curve")
    if not dash:
        pen.line(points, fill=color, width=max(1, round(width * scale)), joint="curve")
        return
    on, period = 3 * width * scale, 5.5 * width * scale
    travelled = 0.0
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        length = math.hypot(x1 - x0, y1 - y0)
        at = -(travelled % period)
        while at < length:
            a, b = max(at, 0.0), min(at + on, length)
            if b > a:
                ends = [(x0 + (x1 - x0) * t / length, y0 + (y1 - y0) * t / length) for t in (a, b)]
                pen.line(ends, fill=color, width=max(1, round(width * scale)))
            at += period
        travelled += length


def _points(pen, mark, place, unit, scale, rim):
    r = mark["size"] / 2 * scale
    for i, (x, y) in enumerate(place(mark["xy"])):
        if rim:
            e = r + 0.75 * scale
            pen.ellipse((x - e, y - e, x + e, y + e), fill=HALO)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=shade(mark, i))


def _lines(pen, mark, place, unit, scale, rim):
    start = 0
    for k, count in enumerate(mark["counts"]):
        curve = mark["xy"][start : start + count]
        start += count
        fine = np.isfinite(curve).all(1)
        if mark["fill"] and fine.all() and count > 1:
            base = np.array([[curve[-1, 0], 0.0], [curve[0, 0], 0.0]])
            veil = Image.new("L", pen.im.size)
            ImageDraw.Draw(veil).polygon([tuple(p) for p in place(np.concatenate([curve, base]))], fill=46)
            ground = Image.new("RGBA", veil.size, shade(mark, k))
            ground.putalpha(veil)
            pen._image.alpha_composite(ground)
        for part in np.split(np.arange(count), np.flatnonzero(~fine)):
            part = part[fine[part]]
            _stroke(pen, place(curve[part]), shade(mark, k), mark["width"], scale, rim, mark["dash"])


def _arrows(pen, mark, place, unit, scale, rim):
    starts = place(mark["xy"][:, :2])
    for i, ((x, y), (dx, dy)) in enumerate(zip(starts, mark["xy"][:, 2:] * unit)):
        length = math.hypot(dx, dy)
        if length < 0.5 * scale:
            continue
        head, angle = min((4 + 2 * mark["width"]) * scale, 0.6 * length), math.atan2(dy, dx)
        tip = (x + dx, y + dy)
        barbs = [(tip[0] - head * math.cos(angle + t), tip[1] - head * math.sin(angle + t)) for t in (-0.5, 0.5)]
        for pieces in ([(x, y), tip], [barbs[0], tip, barbs[1]]):
            _stroke(pen, pieces, shade(mark, i), mark["width"], scale, rim)


def _ellipses(pen, mark, place, unit, scale, rim):
    turn = np.linspace(0, 2 * np.pi, 73)
    circle = np.stack([np.cos(turn), np.sin(turn)])  # (2, 73)
    for k, row in enumerate(mark["xy"]):
        axes = row[2:].reshape(2, 2).T  # columns are the half axes
        for radius in mark["radii"]:
            ring, dash = place(row[:2] + radius * (axes @ circle).T), mark.get("dash", False)
            _stroke(pen, ring, shade(mark, k), mark["width"], scale, rim, dash)


def _bars(pen, mark, place, unit, scale, rim):
    for i, (x, height, base, width) in enumerate(mark["xy"]):
        corners = place([[x - width / 2, base], [x + width / 2, base + height]])
        (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
        pen.rectangle((x0, y0, x1, y1), fill=shade(mark, i))


def _text(pen, mark, place, unit, scale, rim):
    anchor = {"center": "mm", "left": "lm", "right": "rm", "above": "mb", "below": "mt"}[mark["anchor"]]
    shift = {"left": (7, 0), "right": (-7, 0), "above": (0, -7), "below": (0, 7)}.get(mark["anchor"], (0, 0))
    face, rim_width = font(round(mark["size"] * scale), True), round(1.75 * scale) if rim else 0
    for i, ((x, y), words) in enumerate(zip(place(mark["xy"]), mark["text"])):
        at = (x + shift[0] * scale, y + shift[1] * scale)
        pen.text(at, words, fill=shade(mark, i), font=face, anchor=anchor, stroke_width=rim_width, stroke_fill=HALO)


DRAW = {
    "points": _points,
    "lines": _lines,
    "arrows": _arrows,
    "ellipses": _ellipses,
    "bars": _bars,
    "text": _text,
}


def ticks(low: float, high: float, count: float) -> list[float]:
    """Round numbers in [low, high], about `count` of them.

    >>> ticks(-3, 3, 4), ticks(-6.1, -4.1, 1)
    ([-2.0, 0.0, 2.0], [-6.0, -5.0])
    """
    low, high = min(low, high), max(low, high)
    raw = (high - low) / max(1.0, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next((m for m in (1, 2, 5) if m * power >= raw), 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last <= first and count < 50:
        return ticks(low, high, 1.5 * count)  # one number is no scale
    return [float(f"{k * step:.10g}") + 0.0 for k in range(first, last + 1)]


def spell(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def beside(sheet, view: dict, h: float) -> tuple[float, list[str]]:
    """What a y-axis `h` screen pixels high needs: room at its left for numbers and label, and the label in lines."""
    _, _, bottom, top = view["extent"]
    face = font(sheet.px(13))
    widest = max((face.getlength(spell(v)) for v in ticks(bottom, top, h / 45)), default=0.0) / sheet.scale
    named = not isinstance(view["axes"], bool)
    lines = broken(view["axes"][1], sheet.px(h + 24), font(sheet.px(14))) if named else []
    return 14 + widest + LINE * len(lines), lines


def draw_axes(sheet, view: dict, x: float, y: float, w: float, h: float, room: float) -> None:
    """Ticks and labels around the plot at (x, y), w x h screen pixels, with `room` at its left."""
    left, right, bottom, top = view["extent"]
    soft, line = "#566273", "#c9d0d9"
    across = ticks(left, right, w / 55)
    widest = max((font(sheet.px(13)).getlength(spell(v)) for v in across), default=0.0) / sheet.scale
    for v in ticks(left, right, w / max(55, widest + 14)):
        px = x + (v - left) / (right - left) * w
        sheet.rectangle(px - 0.5, y + h, 1, 5, fill=line)
        sheet.text(px, y + h + 7, spell(v), 13, soft, anchor="ma")
    for v in ticks(bottom, top, h / 45):
        py = y + (v - top) / (bottom - top) * h
        sheet.rectangle(x - 5, py - 0.5, 5, 1, fill=line)
        sheet.text(x - 8, py, spell(v), 13, soft, anchor="rm")
    if isinstance(view["axes"], bool):
        return
    sheet.text(x + w / 2, y + h + 25, view["axes"][0], 14, anchor="ma")
    face = font(sheet.px(14))
    for k, words in enumerate(beside(sheet, view, h)[1]):
        strip = Image.new("RGB", (max(1, round(face.getlength(words))) + 4, sheet.px(LINE)), "white")
        ImageDraw.Draw(strip).text((2, 0), words, fill="#1b2430", font=face)
        strip = strip.rotate(90, expand=True)
        sheet.image.paste(strip, (sheet.px(x - room + 1 + LINE * k), sheet.px(y + h / 2) - strip.height // 2))


def draw_legend(sheet, view: dict, x: float, y: float, width: float) -> float:
    """Color scale and labeled marks below a view; returns where they end."""
    face, at, used = font(sheet.px(13)), x, False

    def advance(room):
        nonlocal at, y, used
        if used and at + room > x + width:
            at, y = x, y + 21
        used = True

    if "scale" in view:
        low, high = view["scale"]["low"], f"{view['scale']['high']} {view['scale']['label']}"
        low_w, high_w = (face.getlength(s) / sheet.scale for s in (low, high))
        advance(low_w + high_w + 100)
        sheet.text(at, y + 8, low, 13, "#566273", anchor="lm")
        ramp = np.broadcast_to(view["palette"][None], (1, 256, 3)).astype(np.uint8)
        image = Image.fromarray(ramp).resize(sheet.px(80, 10))
        sheet.image.paste(image, sheet.px(at + low_w + 7, y + 3))
        sheet.text(at + low_w + 94, y + 8, high, 13, "#566273", anchor="lm")
        at += low_w + high_w + 115
    for mark in (m for m in view["marks"] if m["label"]):
        room = 30 + face.getlength(mark["label"]) / sheet.scale
        advance(room)
        color = shade(mark, 0)
        if mark["mark"] in ("lines", "arrows"):
            for k in range(3 if mark.get("dash") else 1):
                sheet.rectangle(at + 7 * k, y + 7, 5 if mark.get("dash") else 19, 3, fill=color)
        elif mark["mark"] == "ellipses":
            sheet.pen.ellipse(sheet.px(at + 2, y + 3, at + 17, y + 13), outline=color, width=sheet.px(2.5))
        else:
            sheet.pen.ellipse(sheet.px(at + 5, y + 3, at + 15, y + 13), fill=color)
        sheet.text(at + 25, y + 8, mark["label"], 13, "#566273", anchor="lm")
        at += room + 16
    return y + 21 if used else y - 8
