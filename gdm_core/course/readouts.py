"""Numbers in prose, looked up in the claims that the run printed."""

import re
from decimal import Decimal

from nbformat import NotebookNode

from gdm_core.course.claims import MARK

TAG = "read-out"
NUMBER = re.compile(
    r"(?<![A-Za-z0-9.^])(?<![A-Za-z0-9}]_)(?<![\^_]\{)(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<fraction>\.\d+)?"
    r"(?:[eE](?P<e>[-+]?\d+)|\s*(?:\\times|\\cdot|×|·)\s*10\^?\{?(?P<ten>[-+]?\d+)\}?)?"
    r"(?P<percent>\s?\\?%)?(?![A-Za-z0-9]|\.\d)"
)
# Numbers that name a thing and measure nothing: code, addresses, years of papers, equations and chapters, sizes.
NAMES = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|<[^>]*>"
    r"|\b(?:19|20)\d\d[a-z]?(?=[,;)])"
    r"|\b(?:eqs?\.|equations?|chapters?|lectures?|sections?|figures?|tables?|pages?|pp?\.|labs?)"
    r"\s+\(?\d[\d.]*(?:\s?[-–]\s?\d[\d.]*)?"
    r"|(?<![\w.])\d+(?:\s?[×x]\s?\d+)+(?![\^\d])",
    re.DOTALL | re.IGNORECASE,
)
MATH = re.compile(r"(?<!\\)(\$\$?)(.+?)(?<!\\)\1", re.DOTALL)
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def measured(prose: str) -> dict[str, Decimal]:
    """The numbers in `prose` that a run must have made, as written and as values without sign.

    These are all with a decimal point, an exponent or a percent sign, and whole numbers from 10 on outside of math;
    small whole numbers are words.

    >>> list(measured("It gains 0.31 nats (12%) after 37 steps of 8x8 digits (Bishop, 2006, eq. 9.3), $k = 25$."))
    ['0.31', '12%', '37']
    """
    raised = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda power: f"^{{{power[0].translate(RAISED)}}}", prose.replace("−", "-"))
    text = NAMES.sub(" ", raised)
    found = {}
    for whole_numbers, part in ((True, MATH.sub(" ", text)), (False, " ; ".join(m[2] for m in MATH.finditer(text)))):
        for number in NUMBER.finditer(part):
            special = any(number[group] for group in ("fraction", "e", "ten", "percent"))
            if special or (whole_numbers and _value(number) >= 10):
                found[number[0].strip()] = _value(number)
    return found


def claimed(nb: NotebookNode) -> set[Decimal]:
    """All numbers on the lines that claims printed in `nb`, as values without sign."""
    lines = [
        line
        for cell in nb.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
        for line in output.text.splitlines()
    ]
    return {_value(number) for line in lines if line.startswith(MARK) for number in NUMBER.finditer(line)}


def unclaimed(nb: NotebookNode) -> list[tuple[int, str, Decimal | None]]:
    """What read-out cells say and no claim printed: (index of the cell, the number, the nearest claimed one)."""
    printed = claimed(nb)
    missing = []
    for index, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown" and TAG in cell.metadata.get("tags", ()):
            for written, value in measured(cell.source).items():
                if value not in printed:
                    missing.append((index, written, min(printed, key=lambda p: abs(p - value), default=None)))
    return missing


def _value(number: re.Match) -> Decimal:
    exponent = int(number["e"] or number["ten"] or 0)
    return Decimal(number["digits"].replace(",", "") + (number["fraction"] or "")).scaleb(exponent)
