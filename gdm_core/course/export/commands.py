"""The commands of `latex` that take arguments: functions of the reader and of whether the command had a star."""

import re
from html import escape

from gdm_core.course.export import symbols as known

ALIGNED = {"aligned", "align", "align*", "split", "alignedat", "eqnarray", "eqnarray*"}
CENTERED = {"gathered", "gather", "gather*", "equation", "equation*", "multline", "multline*"}


def mo(text: str, **attributes: str) -> str:
    """An operator."""
    listed = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<mo{listed}>{escape(text, quote=False)}</mo>"


def row_of(parts: list[str]) -> str:
    """Parts as one."""
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


def around(before: str, after: str, kind: str = "ordinary"):
    """A command with one argument, which stands between two pieces of MathML."""
    return lambda reader, star: (f"{before}{reader.argument()}{after}", kind)


def text(style: str = ""):
    """Words, with formulas between dollars in them."""

    def command(reader, star):
        parts = []
        for i, piece in enumerate(re.split(r"(?<!\\)\$", reader.raw())):
            if i % 2:
                parts.append(type(reader)(piece).row())
            elif piece:
                words = re.sub(r"^ | $", "\u00a0", re.sub(r"\\([%_&#$ ])", r"\1", piece)).replace("--", "–")
                parts.append(f"<mtext{style}>{escape(words, quote=False)}</mtext>")
        return row_of(parts), "ordinary"

    return command


def mathrm(reader, star):
    word = reader.raw() if reader.peek() == "{" else reader.take()
    if word.isalnum():
        return (f"<mi>{word}</mi>" if len(word) > 1 else f'<mi mathvariant="normal">{word}</mi>'), "ordinary"
    return type(reader)(word).row().replace("<mi>", '<mi mathvariant="normal">'), "ordinary"


def operatorname(reader, star):
    word = escape(re.sub(r"\\[,;: ]", "\u2006", reader.raw()))
    if star:
        return mo(word, movablelimits="true", lspace="0", rspace="0"), "limits"
    return (f"<mi>{word}</mi>" if len(word) > 1 else f'<mi mathvariant="normal">{word}</mi>'), "function"


def fraction(style: str = "", line: str = ""):
    def command(reader, star):
        inner = f"<mfrac{line}>{reader.argument()}{reader.argument()}</mfrac>"
        return (f'<mstyle displaystyle="{style}">{inner}</mstyle>' if style else inner), "ordinary"

    return command


def binomial(reader, star):
    inner, kind = fraction(line=' linethickness="0"')(reader, star)
    return f"<mrow>{mo('(')}{inner}{mo(')')}</mrow>", kind


def root(reader, star):
    degree, inner = reader.optional(), reader.argument()
    return (f"<mroot>{inner}{degree}</mroot>" if degree else f"<msqrt>{inner}</msqrt>"), "ordinary"


def stacked(tag: str):
    def command(reader, star):
        other, base = reader.argument(), reader.argument()
        return f"<{tag}>{base}{other}</{tag}>", "relation"

    return command


def negated(reader, star):
    inner, kind = reader.bare()
    return inner.replace("</mo>", "\u0338</mo>"), kind


def left(reader, star):
    opening = reader.fence()
    parts = [mo(opening, fence="true", stretchy="true", form="prefix")] if opening else []
    parts.append(reader.row(r"\middle"))
    while reader.peek() == r"\middle":
        reader.take()
        parts.append(mo(reader.fence(), stretchy="true", lspace="0.1667em", rspace="0.1667em"))
        parts.append(reader.row(r"\middle"))
    reader.take(r"\right")
    closing = reader.fence()
    parts += [mo(closing, fence="true", stretchy="true", form="postfix")] if closing else []
    return f"<mrow>{''.join(parts)}</mrow>", "ordinary"


def begin(reader, star):
    """An environment: rows of cells."""
    name = reader.raw()
    columns = [c for c in reader.raw() if c in "lcr"] if name in ("array", "alignedat") else []
    rows = cells(reader, r"\end", infix=name in ALIGNED)
    reader.take(r"\end")
    if reader.raw() != name:
        raise reader.wrong(rf"\end{{{name}}}")
    if name in ALIGNED:
        return table(rows, "rl", ' displaystyle="true"'), "ordinary"
    if name in CENTERED:
        return table(rows, "c", ' displaystyle="true"'), "ordinary"
    if name == "cases":
        return f"<mrow>{mo('{', fence='true', stretchy='true', form='prefix')}{table(rows, 'l')}</mrow>", "ordinary"
    if name == "array":
        return table(rows, columns), "ordinary"
    if name not in known.BRACKETS:
        raise reader.wrong(f"an environment that the pages know, not {name}")
    before, after = (mo(text, fence="true", stretchy="true") if text else "" for text in known.BRACKETS[name])
    return f"<mrow>{before}{table(rows, 'c')}{after}</mrow>", "ordinary"


def substack(reader, star):
    reader.take("{")
    rows = cells(reader, "}")
    reader.take("}")
    return table(rows, "c"), "ordinary"


def cells(reader, end: str, infix: bool = False) -> list[list[str]]:
    """Rows up to `end`, which stays."""
    rows: list[list[str]] = [[]]
    while True:
        rows[-1].append(reader.row(end, infix=infix and len(rows[-1]) % 2 == 1))
        token = reader.peek()
        if token == end:
            return rows[:-1] if rows[-1] == ["<mrow></mrow>"] and len(rows) > 1 else rows
        if token not in ("&", r"\\"):
            raise reader.wrong(end)
        reader.take()
        if token == r"\\":
            rows.append([])
            if gap := re.compile(r"\s*\[[\d.]+[a-z]+\]").match(reader.source, reader.at):  # \\[2mm]
                reader.at = gap.end()


def table(rows: list[list[str]], sides, attributes: str = "") -> str:
    """Cells; `sides` repeats along a row: l, r, or c."""
    mark = lambda i: "" if sides[i % len(sides)] == "c" else f' class="{sides[i % len(sides)]}"'
    lines = ("".join(f"<mtd{mark(i)}>{cell}</mtd>" for i, cell in enumerate(row)) for row in rows)
    return f"<mtable{attributes}>{''.join(f'<mtr>{line}</mtr>' for line in lines)}</mtable>"


COMMANDS = {
    **dict.fromkeys(("text", "textrm", "mbox", "textnormal"), text()),
    **dict.fromkeys(("textit", "emph"), text(' style="font-style:italic"')),
    "textbf": text(' style="font-weight:bold"'),
    "texttt": text(' style="font-family:monospace"'),
    "mathrm": mathrm,
    "operatorname": operatorname,
    "frac": fraction(),
    "dfrac": fraction("true"),
    "tfrac": fraction("false"),
    "binom": binomial,
    "sqrt": root,
    "overset": stacked("mover"),
    "stackrel": stacked("mover"),
    "underset": stacked("munder"),
    "underbrace": around("<munder>", mo("⏟", stretchy="true") + "</munder>", "brace"),
    "overbrace": around("<mover>", mo("⏞", stretchy="true") + "</mover>", "brace"),
    "underline": around("<munder>", mo("_", stretchy="true") + "</munder>"),
    "xrightarrow": around(f"<mover>{mo('→', stretchy='true', minsize='2.5em')}", "</mover>", "relation"),
    "phantom": around("<mphantom>", "</mphantom>"),
    "boxed": around('<mrow class="boxed">', "</mrow>"),
    "not": negated,
    "bmod": lambda reader, star: (mo("mod", lspace="0.2222em", rspace="0.2222em"), "binary"),
    "colon": lambda reader, star: (mo(":", lspace="0", rspace="0.2222em"), "mark"),
    "left": left,
    "begin": begin,
    "substack": substack,
}
