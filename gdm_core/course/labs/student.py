"""From a lab's source to what a student gets: gaps, no outputs, and the pictures of right answers, folded away."""

import base64
import re
from collections.abc import Iterator

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from gdm_core.course.chapters import Chapter
from gdm_core.course.kernels import SPEC
from gdm_core.course.notebooks import name_cells, plain_png, read_source

SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?### END SOLUTION$", re.DOTALL | re.MULTILINE)
GAP, WORDS = r"\1# Your code here\n\1raise NotImplementedError()", "*Your answer here.*"
CHECK = "check"
PICTURE = "right.png"
FOLDED = f"""<details><summary>The picture that a right answer makes</summary>

<img src="attachment:{PICTURE}" width="{{width}}" alt="what a right answer draws">

</details>"""
DOTS = 5
DPI_RATIO = 2  # figures have 160 dots an inch and are shown at 80: see `plotting.use_style`


def source(lab: Chapter) -> NotebookNode:
    """The lab with its solutions; each cell of an exercise knows its name, each exercise says what it costs.

    Cells carry the metadata of nbgrader, for which this is the source of an assignment.
    """
    nb = read_source(lab.source)
    current = None
    for cell in nb.cells:
        about = cell.metadata.get("exercise")
        heading = cell.source.startswith("#") and not SOLUTION.match(cell.source)
        if cell.cell_type == "markdown" and (about or heading):
            current = about["name"] if about else None
        if about:
            cell.source = _with_cost(cell.source, about)
        elif current:
            cell.metadata["exercise"] = current
    for name, about in exercises(nb).items():
        _for_nbgrader([c for c in nb.cells if c.metadata.get("exercise") == name], name, about)
    nb.metadata["gdm"] = {"lab": lab.number}
    nb.metadata["jupytext"] = {"formats": "ipynb"}  # saved in JupyterLab, it must not write the source
    return nb


def student(nb: NotebookNode, pictures: dict[str, str]) -> NotebookNode:
    """What a student gets of `source(lab)`, which has no outputs, in place.

    Args:
        nb: the source.
        pictures: exercise -> PNG in base64.
    """
    cells = []
    for cell in nb.cells:
        cell.source = SOLUTION.sub(GAP if cell.cell_type == "code" else WORDS, cell.source)
        if is_check(cell) and cell.metadata.exercise in pictures:
            png = pictures[cell.metadata.exercise]
            text = FOLDED.format(width=width(png) // DPI_RATIO)
            shown = new_markdown_cell(text, metadata={"exercise": cell.metadata.exercise})
            shown["attachments"] = {PICTURE: {"image/png": png}}
            cells.append(shown)
        cells.append(cell)
    nb.cells = cells
    nb.metadata = NotebookNode(kernelspec=SPEC, language_info={"name": "python"}, **_own(nb))
    name_cells(nb)
    return nb


def is_check(cell: NotebookNode) -> bool:
    """Whether a cell asks the checks."""
    return cell.cell_type == "code" and CHECK in cell.metadata.get("tags", ())


def made(nb: NotebookNode) -> dict[str, str]:
    """The pictures that a solved lab made at its checks, as small PNGs: exercise -> base64."""
    found = {}
    for cell in nb.cells:
        pictures = [o.data["image/png"] for o in cell.get("outputs", ()) if "image/png" in o.get("data", {})]
        if is_check(cell) and pictures:
            found[cell.metadata.exercise] = plain_png(pictures[-1])
    return found


def folded(nb: NotebookNode) -> dict[str, str]:
    """The pictures in a student's notebook: exercise -> base64."""
    shown = [cell for cell in nb.cells if PICTURE in cell.get("attachments", {})]
    return {cell.metadata.exercise: cell.attachments[PICTURE]["image/png"] for cell in shown}


def exercises(nb: NotebookNode) -> dict[str, dict]:
    """What the source says of each exercise: name -> its difficulty, importance, minutes and `checked`."""
    found = {}
    for cell in nb.cells:
        about = cell.metadata.get("exercise")
        if isinstance(about, dict):
            found[about["name"]] = {**about, "checked": False}
        elif about in found and is_check(cell):
            found[about]["checked"] = True
    return found


def secrets(nb: NotebookNode) -> Iterator[str]:
    """The lines of the solutions in a source, without those too short to mean anything."""
    for cell in nb.cells:
        for solution in SOLUTION.finditer(cell.source):
            for line in solution[0].splitlines()[1:-1]:
                if len(line.strip()) > 12:
                    yield line.strip()


def width(png: str) -> int:
    """Pixels across, from a PNG's header."""
    return int.from_bytes(base64.b64decode(png[:44])[16:20], "big")


def _for_nbgrader(cells: list[NotebookNode], name: str, about: dict) -> None:
    """Cells of an exercise as nbgrader knows them (schema 3): one to write into, one that gives the points."""
    common = {"schema_version": 3, "task": False}
    for cell in cells:
        if is_check(cell):
            own = {"grade_id": f"{name}-check", "grade": True, "solution": False, "locked": True}
        elif SOLUTION.search(cell.source):
            own = {"grade_id": name, "grade": not about["checked"], "solution": True, "locked": False}
        else:
            continue
        points = {"points": about["importance"]} if own["grade"] else {}
        cell.metadata["nbgrader"] = {**common, **own, **points}


def _own(nb: NotebookNode) -> dict:
    return {name: nb.metadata[name] for name in ("gdm", "jupytext")}


def _with_cost(text: str, about: dict) -> str:
    """The heading, then what the exercise costs, then the rest."""
    dots = lambda n: "●" * n + "○" * (DOTS - n)
    heading, _, rest = text.partition("\n")
    cost = (
        f"difficulty {dots(about['difficulty'])} · importance {dots(about['importance'])} · {about['minutes']} minutes"
    )
    return f"{heading}\n\n*{cost}*\n{rest}"
