"""The start page: a notebook of links, written from what the chapters say of themselves."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter, chapters
from gdm_core.course.kernels import SPEC
from gdm_core.course.notebooks import write

NAME = "00_start.ipynb"

WELCOME = """# Deep generative models

A generative model learns a distribution from examples, and can then draw new ones. Each chapter of this course is a
notebook that builds one family of such models beside an exact answer, so that you can see how good the model is.
You need some Python with PyTorch, probability densities, and derivatives.

Read a chapter from top to bottom and run its cells (Shift+Enter). Answer the questions marked **Predict** before you
run the cell below them, and play with the explorers, which follow your hand. The lab of the same number lets you write
the main steps yourself, and checks them.

Cells that only draw or check are folded; click on their dots to open them. A line with ✓ is a *claim*: the run has
measured this number, and would have stopped there if it contradicted the text. Change a setting, run the chapter again,
and see which claims still hold."""

HELP = """**Explorers on pages of their own:** [the studio](/studio/), while JupyterLab runs; \
`make app` opens it by itself.

**If something does not work:** `gdm doctor` in a terminal says what is missing.
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
