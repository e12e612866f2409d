"""How much there is to read in a part of a lecture: what one sitting holds.

Words are those outside of code and formulas, lines those of code that is not folded away, figures those that are no
explorers.
"""

import math
import re
from dataclasses import dataclass

from nbformat import NotebookNode

from gdm_core.course.claims import MARK
from gdm_core.course.notebooks import PICTURES

WORDS, LINES, FIGURES, CELL = 2500, 350, 10, 20  # at most; CELL: visible lines of one cell
NAME = 95  # characters of the line that names what is folded, at most: as many as a narrow JupyterLab shows
WORDS_A_MINUTE, LINES_A_MINUTE, FIGURES_A_MINUTE, EQUATIONS_A_MINUTE = 150, 12, 1, 1
MINUTES_OF_PLAY = 10  # an explorer
NO_WORDS = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]*>", re.DOTALL)


@dataclass(frozen=True)
class Sitting:
    """What a part has of each; `lines` are visible, `folded` the others."""

    words: int
    lines: int
    folded: int
    figures: int
    equations: int
    claims: int
    explorers: int

    @property
    def minutes(self) -> int:
        """To read it slowly, rounded up to five."""
        reading = self.words / WORDS_A_MINUTE + self.lines / LINES_A_MINUTE
        looking = self.figures / FIGURES_A_MINUTE + self.equations / EQUATIONS_A_MINUTE
        return 5 * math.ceil((reading + looking) / 5)

    @property
    def play(self) -> int:
        """Minutes with its explorers."""
        return MINUTES_OF_PLAY * self.explorers

    def __str__(self) -> str:
        return (
            f"{self.words:,} words, {self.lines} lines of code ({self.folded} more folded), {self.figures} figures, "
            f"{self.equations} equations, {self.claims} claims, {self.explorers} explorers: {self.minutes} minutes"
        )


def sitting(nb: NotebookNode) -> Sitting:
    """What a notebook with outputs holds."""
    prose = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if any(mime in output.get("data", {}) for mime in PICTURES)]
    explorers = [output for output in pictures if output.output_type == "execute_result"]
    lines = [line for output in outputs for line in output.get("text", "").splitlines()]
    return Sitting(
        words=len(re.findall(r"[^\W\d_][\w'’-]*", NO_WORDS.sub(" ", prose))),
        lines=sum(visible(cell) for cell in code),
        folded=sum(_lines(cell) for cell in code) - sum(visible(cell) for cell in code),
        figures=len(pictures) - len(explorers),
        equations=len(re.findall(r"\$\$.+?\$\$", prose, re.DOTALL)),
        claims=sum(line.startswith(MARK) for line in lines),
        explorers=len(explorers),
    )


def folded(cell: NotebookNode) -> bool:
    """Whether a reader has to ask for the code of `cell`."""
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def visible(cell: NotebookNode) -> int:
    """Lines of code that a reader cannot but see, blank ones not counted."""
    return 0 if folded(cell) else _lines(cell)


def _lines(cell: NotebookNode) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())
