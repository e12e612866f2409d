"""A class gets its notebooks: everyone the same exercises, and data of their own where a lab asks for them.

A lab asks with a cell tagged "own-data" that sets SEED.  What is handed out has a seed there that follows from the
student's name, and says the name in its metadata; the grader sets the seed again, whatever the cell says by then.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter
from gdm_core.course.notebooks import write
from gdm_core.validate import bad

OWN = "own-data"
SEED = re.compile(r"^SEED = \d+", re.MULTILINE)
NAME = re.compile(r"[\w.-]+(?: [\w.-]+)*")


def seed_of(student: str) -> int:
    """The seed of a student's data: from 1 to 2^31 - 1, the same whenever and wherever it is asked for."""
    return int.from_bytes(hashlib.blake2b(student.encode(), digest_size=8).digest()) % (2**31 - 1) + 1


def student_of(nb: NotebookNode) -> str:
    """To whom a notebook was handed out; "" where that was to everyone."""
    about = nb.metadata.get("gdm")
    name = about.get("student") if isinstance(about, dict) else ""
    return name if isinstance(name, str) else ""


def is_own(cell: NotebookNode) -> bool:
    """Whether a cell sets the seed of a student's own data."""
    return cell.cell_type == "code" and OWN in cell.metadata.get("tags", ())


def hand_out(labs: Iterable[Chapter], names: Iterable[str], folder: Path) -> list[Path]:
    """Write `folder`/NAME/NN_name.ipynb for every name and lab, but none that is there already; what was written.

    Raises:
        ValueError: a name that is no name of a folder.
    """
    names = list(names)
    for name in names:
        if not NAME.fullmatch(name) or set(name) == {"."}:
            raise bad("names of letters, digits, dots, dashes and single spaces", repr(name), "ada")
    written = []
    for lab in labs:
        for name in names:
            path = folder / name / lab.notebook.name
            if path.exists():
                continue
            nb = nbformat.read(lab.notebook, 4)
            nb.metadata["gdm"] = {**nb.metadata["gdm"], "student": name}
            for cell in filter(is_own, nb.cells):
                cell.source = SEED.sub(f"SEED = {seed_of(name)}", cell.source, count=1)
            path.parent.mkdir(parents=True, exist_ok=True)
            write(nb, path)
            written.append(path)
    return written
