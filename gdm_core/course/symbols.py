"""One symbol, one thing: what a chapter writes, beside the table of symbols in CONTRIBUTING.md.

A row says what its symbols mean, in which chapters (none named: in all), and which spellings it rules out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter
from gdm_core.course.export.symbols import GREEK
from gdm_core.course.readouts import MATH

GUIDE = "CONTRIBUTING.md"
ROWS = re.compile(r"^\| symbol \| chapters \|.*\n\|[-:| ]+\|\n((?:\|.*\n)+)", re.MULTILINE)
CELLS = re.compile(r"(?<!\\)\|")
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\S")
SPACE = {r"\,", r"\;", r"\:", r"\!", r"\ "}
LETTERS = {letter: name.removeprefix("var") for name, letter in GREEK.items()}
ALONE = re.compile(rf"(?<![A-Za-z])[{''.join(LETTERS)}](?![A-Za-z])")  # not as in ΠGDM, which is a name
NAMES = frozenset(LETTERS.values())


@dataclass(frozen=True)
class Row:
    """One row of the table; `chapters` is empty where it holds in all of them."""

    symbols: str
    chapters: frozenset[int]
    what: str
    never: tuple[str, ...]


def table(home: Path) -> list[Row]:
    """The table of symbols of the course in `home`; empty where no guide lies there."""
    guide = home / GUIDE
    found = ROWS.search(guide.read_text(encoding="utf-8")) if guide.is_file() else None
    lines = found[1].splitlines() if found else []
    cells = [[cell.replace(r"\|", "|").strip() for cell in CELLS.split(line)[1:-1]] for line in lines]
    return [
        Row(symbols, frozenset(map(int, re.findall(r"\d+", where))), what, tuple(re.findall("`([^`]+)`", never)))
        for symbols, where, what, never in cells
    ]


def strays(nb: NotebookNode, chapter: Chapter) -> Iterator[str]:
    """Complaints: a Greek letter that means nothing in this chapter, a spelling that the table rules out."""
    rows = table(chapter.source.parents[2])
    here = [row for row in rows if not row.chapters or chapter.whole in row.chapters]
    known = {name for row in here for name in _greek(row.symbols)}
    for number, cell in enumerate(nb.cells if rows else (), 1):
        math = [m[2] for m in MATH.finditer(cell.source)] if cell.cell_type == "markdown" else []
        letters = {LETTERS[letter] for letter in ALONE.findall(cell.source)}
        for name in sorted(letters.union(*map(_greek, math)) - known):
            known.add(name)  # said once
            yield (
                f"cell {number}: needed letters that chapter {chapter.spoken} gives a meaning, got \\{name}; "
                f"try another of the table of symbols in {GUIDE}, or a row for it there"
            )
        written = [_plain(tex) for tex in math]
        for row in rows:
            for never in row.never:
                if any(_plain(never) in tex for tex in written):
                    yield f"cell {number}: needed one spelling of {row.what}, got {never}; try {row.symbols}"


def _greek(tex: str) -> set[str]:
    """The names of the Greek letters in `tex`; \\varphi is a \\phi.

    >>> sorted(_greek(r"\\varphi\\, \\mu_k + \\max z"))
    ['mu', 'phi']
    """
    return {name.removeprefix("var") for name in re.findall(r"\\([A-Za-z]+)", tex)} & NAMES


def _plain(tex: str) -> str:
    """`tex` as tokens between spaces, without what only moves them and without braces around a single one.

    >>> _plain(r"\\mathbb{E}_{q}\\, x"), _plain(r"\\ln") in _plain(r"\\lnot")
    (' \\\\mathbb E _ q x ', False)
    """
    tokens = f" {' '.join(token for token in TOKEN.findall(tex) if token not in SPACE)} "
    return re.sub(r" \{ (\S+) \} ", r" \1 ", tokens)
