"""Where the views of a still lie: rows that fill the page, of columns that end at one line and hold a view or several.

A plot keeps its aspect, so a column of width w is a + b w high, and one division gives the height at which columns fill
a row.  Of all ways to cut the views, in their order, into columns and rows, the one is taken that gives
the plots most: the greatest sum of their log areas, weighted by their sizes, less the height of the page.
"""

import functools
import math

GAP, BELOW, TALLEST, NARROWEST = 26, 14, 440.0, 150.0  # screen pixels
PAGE, WIDEST = 0.6, 6  # height of a page that is as good as any, in widths; views a row at most
AXES = (64, 6, 12, 46)  # left (at least), top, right, bottom of a view with axes


def around(view: dict, left: float = AXES[0]) -> tuple[float, float]:
    """What a view has beside its plot and, without words, above and below it."""
    return (left + AXES[2], AXES[1] + AXES[3]) if view["axes"] else (0.0, 0.0)


def slope(column: list[dict]) -> float:
    """By how much a column grows when it gets one pixel wider."""
    return sum(1 / view["aspect"] for view in column)


def most(column: list[dict], left: float = AXES[0]) -> float:
    """The width at which one of its plots is as tall as any may be."""
    return min(TALLEST * view["aspect"] + around(view, left)[0] for view in column)


def justified(row: list[list[dict]], words: list[float], inner: float, left: float = AXES[0]) -> list[float]:
    """Widths at which columns fill `inner` and end at one line, or end before it where a plot would be too tall.

    Args:
        words: of each column, the height of what is not plots: labels, axes, legends, warnings, gaps.
        left: room for the numbers at the left of a plot.
    """
    b = [slope(column) for column in row]
    a = [h - sum(around(v, left)[0] / v["aspect"] for v in column) for h, column in zip(words, row)]
    room = inner - GAP * (len(row) - 1)
    height = (room + sum(p / q for p, q in zip(a, b))) / sum(1 / q for q in b)
    height = min([height, *(p + q * most(column, left) for p, q, column in zip(a, b, row))])
    least = [60 + max(around(v, left)[0] for v in column) for column in row]  # however many lines its words need
    return [max(w, (height - p) / q) for w, p, q in zip(least, a, b)]


def nominal(column: list[dict]) -> float:
    """The height of what is not plots when labels and legends have one line each."""
    words = sum(26 * bool(v["label"]) + around(v)[1] + 29 * legend(v) for v in column)
    return words + BELOW * (len(column) - 1)


def legend(view: dict) -> bool:
    return "scale" in view or any(mark["label"] for mark in view["marks"])


def cuts(items: list) -> list[list[list]]:
    """Every way to cut a list into parts, in its order."""
    if not items:
        return [[]]
    return [[items[:n], *rest] for n in range(1, len(items) + 1) for rest in cuts(items[n:])]


def cost(row: list[list[dict]], inner: float, weight: float) -> float:
    """Low where plots are large and the row is not high; `weight` is the sum of all sizes."""
    widths = justified(row, [nominal(c) for c in row], inner)
    if len(row) > 1 and min(widths) < NARROWEST:
        return math.inf
    height = nominal(row[0]) + sum((widths[0] - around(v)[0]) / v["aspect"] for v in row[0]) + BELOW
    areas = [(v["size"], (w - around(v)[0]) ** 2 / v["aspect"]) for w, c in zip(widths, row) for v in c]
    return weight * height / (PAGE * inner) - sum(size * math.log(area) for size, area in areas)


def arranged(views: list[dict], inner: float) -> list[list[list[dict]]]:
    """Rows of columns of views, for a page that leaves them `inner` screen pixels."""
    weight = sum(view["size"] for view in views)

    @functools.cache
    def best(start: int) -> tuple[float, list]:
        if start == len(views):
            return 0.0, []
        options = []
        for end in range(start + 1, min(start + WIDEST, len(views)) + 1):
            row = min(cuts(views[start:end]), key=lambda r: cost(r, inner, weight))
            options.append((cost(row, inner, weight) + best(end)[0], [row, *best(end)[1]]))
        return min(options, key=lambda o: o[0])

    return best(0)[1]
