"""The pages of the studio: a tiny notebook an explorer, and the start page that lists them.

Nobody edits them: both are written from `explorers.EXPLORERS` and from what the chapters say of themselves.
"""

import base64
import re
from functools import cache
from pathlib import Path

import jinja2
import nbformat
from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter, chapters
from gdm_core.course.kernels import SPEC
from gdm_core.course.look import TEMPLATE
from gdm_core.course.notebooks import write
from gdm_core.files import atomic_write


def folder(home: Path) -> Path:
    """Where the notebooks and the pictures of the studio are kept; `make clean` takes them away."""
    return home / "build" / "studio"


def explorers() -> dict:
    """All explorers, {name: Explorer}, in the order of the chapters."""
    from gdm_core.explorers import EXPLORERS

    return dict(EXPLORERS)


def notebook(name: str, explorer, chapter: Chapter | None = None) -> NotebookNode:
    """The page of one explorer: the cell that shows it, and what the page says around it."""
    cell = nbformat.v4.new_code_cell(f"from gdm_core import explorers\n\nexplorers.{name}()", id="explorer")
    about = {"title": explorer.title, "question": explorer.question, "name": name}
    about |= {"chapter": chapter.name, "heading": heading(chapter)} if chapter else {}
    nb = nbformat.v4.new_notebook(cells=[cell])
    nb.metadata = NotebookNode(
        kernelspec=SPEC, language_info={"name": "python"}, voila={"template": "gdm"}, jupytext={"formats": "ipynb"}
    )
    nb.metadata["gdm"] = about
    return nb


def write_pages(home: Path) -> Path:
    """Write the notebooks of all explorers, take away those of explorers that are gone; returns their folder."""
    lectures = chapters(home=home)
    there = folder(home)
    listed = explorers()
    for name, explorer in listed.items():
        write(notebook(name, explorer, taught_in(name, explorer, lectures)), there / f"{name}.ipynb")
    for old in there.glob("*.ipynb"):
        if old.stem not in listed:
            old.unlink()
    return there


def taught_in(name: str, explorer, lectures: list[Chapter]) -> Chapter | None:
    """The lecture of its chapter, and of several parts the first that shows it."""
    parts = [c for c in lectures if c.whole == int(explorer.chapter)]
    shows = (c for c in parts if re.search(rf"\bexplorers\.{name}\(", c.source.read_text(encoding="utf-8")))
    return next(shows, parts[0] if parts else None)


def heading(chapter: Chapter) -> str:
    return f"Chapter {chapter.spoken} · {chapter.title}"


def picture(name: str, home: Path) -> bytes | None:
    """PNG of an explorer: that of its last preheated page, else that in the built lecture, else None."""
    drawn = folder(home) / f"{name}.png"
    if drawn.is_file():
        return drawn.read_bytes()
    call = re.compile(rf"\bexplorers\.{re.escape(name)}\(")
    for chapter in chapters(home=home):
        if not chapter.notebook.is_file():
            continue
        for cell in nbformat.read(chapter.notebook, as_version=4).cells:
            for output in cell.get("outputs", ()) if call.search(cell.source) else ():
                if encoded := output.get("data", {}).get("image/png"):
                    return base64.b64decode(encoded)
    return None


def keep_picture(name: str, html: str, home: Path) -> bool:
    """Keep the static picture of a rendered page for the start page; whether there was one."""
    found = re.search(r'class="still".*?src="data:image/png;base64,([^"]+)"', html, re.DOTALL)
    if not found:
        return False
    payload, there = base64.b64decode(found[1]), folder(home) / f"{name}.png"
    if not there.is_file() or there.read_bytes() != payload:
        atomic_write(there, payload)
    return True


@cache
def templates() -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATE), autoescape=True, trim_blocks=True)


def start_page(home: Path, base: str, render: str) -> str:
    """HTML of the start page.

    Args:
        home: folder of the course.
        base: address of the server's root, such as "/".
        render: address under which Voila renders the notebooks, without the name.
    """
    listed = chapters(home=home)
    cards = [
        {"name": name, "title": e.title, "question": e.question, "chapter": taught_in(name, e, listed)}
        for name, e in explorers().items()
    ]
    return (
        templates()
        .get_template("start.html")
        .render(cards=cards, chapters=listed, base=base, render=render, heading=heading)
    )
