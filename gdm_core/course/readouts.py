"""Numbers in prose, looked up in the claims that the run printed and in the settings that it ran with."""

import ast
import functools
import re
from collections.abc import Sequence, Set
from decimal import Decimal

from nbformat import NotebookNode

from gdm_core.course.claims import MARK

NUMBER = re.compile(
    r"(?<![A-Za-z0-9.^])(?<![A-Za-z0-9}]_)(?<![\^_]\{)(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<fraction>\.\d+)?"
    r"(?:[eE](?P<e>[-+]?\d+)|\s*(?:\\times|\\cdot|×|·)\s*10\^?\{?(?P<ten>[-+]?\d+)\}?)?"
    r"(?P<percent>\s?\\?%)?(?![A-Za-z0-9]|\.\d)"
)
# Numbers that name a thing and measure nothing: code, addresses, years of papers, equations and chapters, sizes.
NAMES = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|<[^>]*>"
    r"|\b(?:19|20)\d\d[a-z]?(?=[,;)])"
    r"|^#+\s+\d+[a-z]?(?:\.\d+)?\b|\b(?:time:\s+)?\d+\s(?:min(?:ute)?s?\b|more\s+to\s+play)"
    r"|\b(?:eqs?\.|equations?|chapters?|lectures?|sections?|figures?|tables?|pages?|pp?\.|labs?)"
    r"\s+\(?\d[\d.]*(?:(?:\s?[-–,]|,?\s(?:and|to))\s?\d[\d.]*)*"
    r"|^\*\*References.*?(?:\n\s*\n|\Z)"
    r"|(?<![\w.])\d+(?:\s?[×x]\s?\d+)+(?![\^\d])",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
YEAR = re.compile(r"(?<![\d.,$])(?:1[6-9]|20)\d\d[a-z]?\b(?![.,]\d)")
SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[^a-z])|\n\s*(?=-\s|\n)")
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


def claimed(cells: Sequence[NotebookNode]) -> set[Decimal]:
    """All numbers on the lines that claims printed in `cells`, as values without sign."""
    lines = [
        line
        for cell in cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
        for line in output.text.splitlines()
    ]
    return {_value(number) for line in lines if line.startswith(MARK) for number in NUMBER.finditer(line)}


def settings(nb: NotebookNode) -> set[Decimal]:
    """The numbers that somebody wrote into the code of `nb`, without sign."""
    trees = [ast.parse(_python(cell.source)) for cell in nb.cells if cell.cell_type == "code"]
    constants = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {abs(Decimal(str(c))) for c in constants if type(c) in (int, float)}


def unclaimed(nb: NotebookNode, sections: Set[str] = frozenset()) -> list[tuple[int, str, Decimal | None]]:
    """What the prose of `nb` says and neither a claim printed, by the end of its section, nor its code sets.

    A sentence that gives its source, as in (Bishop, 2006), may quote numbers: it has a year.

    Args:
        nb: with outputs.
        sections: numbers of sections, such as "2.7", to which the prose may point.

    Returns:
        (index of the cell, the number, the nearest claimed one) each.
    """
    heading = re.compile(r"^## ", re.MULTILINE)
    begins = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "markdown" and heading.search(cell.source)]
    printed_before = functools.cache(lambda end: claimed(nb.cells[:end]))  # looked up once a section
    constants, missing = settings(nb), []
    for index, cell in enumerate(nb.cells):
        if cell.cell_type != "markdown":
            continue
        printed = printed_before(next((i for i in begins if i > index), None))
        known = printed | constants
        said = "\n".join(sentence for sentence in SENTENCE.split(cell.source) if not YEAR.search(sentence))
        for written, value in measured(said).items():
            if value not in known and written not in sections:
                missing.append((index, written, min(printed, key=lambda p: abs(p - value), default=None)))
    return missing


def _python(source: str) -> str:
    """`source` without the lines that only IPython understands."""
    return re.sub(r"^[ \t]*[%!].*$", "", source, flags=re.MULTILINE)


def _value(number: re.Match) -> Decimal:
    exponent = int(number["e"] or number["ten"] or 0)
    return Decimal(number["digits"].replace(",", "") + (number["fraction"] or "")).scaleb(exponent)
