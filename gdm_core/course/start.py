"""The start page: a notebook of links, written from what the chapters say of themselves."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter, chapters
from gdm_core.course.kernels import SPEC
from gdm_core.course.notebooks import write

NAME = "00_start.ipynb"

WELCOME = """# Deep generative models

Each chapter is a notebook: read it from top to bottom, run its cells (Shift+Enter), and drag what can be dragged.
Cells that only draw or check are folded; a click on their dots opens them. A line with ✓ is a claim: the run measured
the number and stops where it is not what the text says. Change a setting, run the chapter again, and see which hold."""

HELP = """**Explorers on pages of their own:** [the studio](/studio/), while JupyterLab runs; \
`make app` opens it by itself.

**Before the first cell:** `gdm doctor` in a terminal says what is missing.
The first code cell of a chapter holds its parameters: `PROFILE = "full"` trains longer, `DATASET` chooses the data,
`DEVICE = "cuda"` uses a graphics card. Your edits stay in your copy; *File → Save Notebook As…* keeps the original."""


def page(home: Path) -> NotebookNode:
    """The start page of the course in `home`: chapters and labs, with their questions and minutes."""
    cells = [WELCOME]
    if lectures := chapters("lectures", home):
        cells.append(_table("Chapter", lectures, ""))
    if labs := chapters("labs", home):
        cells.append(_table("Lab", labs, "../labs/"))
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in [*cells, HELP]])
    for index, cell in enumerate(nb.cells):
        cell.id = f"start-{index}"
    # Without a source of its own the page must not be paired with one.
    nb.metadata = NotebookNode(kernelspec=SPEC, language_info={"name": "python"}, jupytext={"formats": "ipynb"})
    return nb


def write_page(home: Path) -> bool:
    """Write the start page; whether that changed it."""
    return write(page(home), home / "lectures" / NAME)


def _table(kind: str, listed: list[Chapter], folder: str) -> str:
    rows = [f"| {kind} | Question | Minutes |", "|:--|:--|--:|"]
    for c in listed:
        question = c.question.replace("|", "\\|")
        rows.append(f"| [{c.spoken} · {c.title}]({folder}{c.name}.ipynb) | {question} | {c.minutes or ''} |")
    return "\n".join(rows)
