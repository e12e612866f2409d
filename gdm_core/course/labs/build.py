"""Builds a lab: the student's notebook beside its source's folder, the solved one into `build/labs`."""

import copy
from pathlib import Path

from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter
from gdm_core.course.labs import student
from gdm_core.course.notebooks import execute, normalize, write
from gdm_core.validate import bad


def build(lab: Chapter, solved: Path) -> bool:
    """Run `lab.source`, write the student's notebook and, into the folder `solved`, the one with solutions and outputs.

    Returns:
        Whether that changed the student's notebook.

    Raises:
        CellFailed: a cell of the source raised; nothing is written.
        ValueError: a check refuses the solution.
    """
    source = student.source(lab)
    about = copy.deepcopy(source.metadata)
    done = normalize(execute(source, lab.notebook.parent))
    for cell in done.cells:
        said = "".join(output.get("text", "") for output in cell.get("outputs", ()))
        if student.is_check(cell) and not said.startswith("✓"):
            raise bad("solutions that their checks accept", said.strip() or "no verdict", f"mending {lab.source.name}")
    done.metadata = about
    solved.mkdir(parents=True, exist_ok=True)
    write(done, solved / lab.notebook.name)
    return write(for_students(lab, student.made(done)), lab.notebook)


def for_students(lab: Chapter, pictures: dict[str, str]) -> NotebookNode:
    """The student's notebook, without running anything.  pictures: exercise -> PNG in base64."""
    return student.student(student.source(lab), pictures)
