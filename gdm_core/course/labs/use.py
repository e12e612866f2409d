"""`gdm labs use`: right answers of a lab take the place of the library's own code, where the interface is the same.

Of a notebook one file an exercise is kept: the function and what it reads of the notebook's other cells, nothing else.
It is asked by `gdm_core.yours`, in the student's own kernels alone: built notebooks, checks and graders start without.
"""

import ast
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from gdm_core import yours
from gdm_core.checks.exercise import exercises
from gdm_core.course.kernels import settings
from gdm_core.course.labs import check as checking
from gdm_core.course.labs.student import is_check
from gdm_core.course.labs.trials import TRIALS
from gdm_core.files import atomic_write, yours_home
from gdm_core.reachable import bound, chains

SECONDS = 120  # for all trials together, imports included
NO_PLACE = "no function of the library has this form"


def use(path: Path, seconds: float = checking.SECONDS) -> list[tuple[str, str, str]]:
    """Put the right answers of a notebook in place of ours; those of the same lab that were in use go.

    Returns:
        A row an exercise that has a function: its name; what it replaces, or nothing; why ours stays, or nothing.

    Raises:
        ValueError: no notebook of a lab.
    """
    nb = checking.read(path)
    lab = checking.module(nb)
    names = list(exercises(importlib.import_module(f"gdm_core.checks.{lab}")))
    code = {name: code_of(nb, name) for name in names if f"{lab}.{name}" in TRIALS}
    with tempfile.TemporaryDirectory(prefix="gdm-use-") as folder:
        said = {name: f"{v.kind}: {v.said}" for name, v in _checked(nb, code, Path(folder), seconds).items()}
        why = {name: NO_PLACE for name in names if name not in code}
        why |= {name: line for name, line in said.items() if not line.startswith("right:")}
        for name in code:
            if name not in why:
                atomic_write(Path(folder, "yours", f"{lab}.{name}.py"), code[name].encode())
        why |= _tried(Path(folder))
        drop(lab)
        for name in (n for n in names if n not in why):
            about = f"# {name} of {Path(path).resolve()}, as gdm labs use found it; {yours.UNDO}.\n"
            atomic_write(yours_home() / f"{lab}.{name}.py", f"{about}{code[name]}\n".encode())
    places = lambda name: ", ".join(yours.PLACES.get(f"{lab}.{name}", ())) if name not in why else ""
    return [(name, places(name), why.get(name, "")) for name in names]


def drop(lab: str = "") -> list[str]:
    """Take answers out, of one lab or all; which."""
    gone = {exercise: path for exercise, path in yours.files().items() if exercise.startswith(lab)}
    for path in gone.values():
        path.unlink(missing_ok=True)
    return list(gone)


def code_of(nb: NotebookNode, name: str) -> str:
    """The statements of a notebook that define `name` and all that it reads, in their order; "" without the name."""
    statements = [s for cell in nb.cells if cell.cell_type == "code" and not is_check(cell) for s in _parsed(cell)]
    needed, kept = {name}, set()
    while more := {i for i, s in enumerate(statements) if i not in kept and needed & set(bound(s))}:
        kept |= more
        needed |= {chain[0] for i in more for chain in chains(statements[i])}
    if not any(name in bound(statements[i]) for i in kept):
        return ""
    return "\n\n".join(ast.unparse(statements[i]) for i in sorted(kept))


def _parsed(cell: NotebookNode) -> list[ast.stmt]:
    try:
        return ast.parse(TransformerManager().transform_cell(cell.source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _checked(nb: NotebookNode, code: dict[str, str], folder: Path, seconds: float) -> dict:
    """What the checks say of each answer alone, cut out as it will be used."""
    cells = [new_code_cell(text, metadata={"exercise": name}) for name, text in code.items()]
    alone = new_notebook(cells=cells, metadata={"gdm": dict(nb.metadata["gdm"])})
    (folder / "alone.ipynb").write_text(json.dumps(alone), encoding="utf-8")
    verdicts = checking.check(folder / "alone.ipynb", seconds=seconds) if code else []
    return {v.exercise: v for v in verdicts if v.exercise in code}


def _tried(folder: Path) -> dict[str, str]:
    """Why answers in `folder`/yours cannot stand in for ours; they are tried in a process of their own."""
    files, told = sorted(folder.glob("yours/*.py")), folder / "told.json"
    if not files:
        return {}
    command = [sys.executable, "-m", "gdm_core.course.labs.trials", str(told), *map(str, files)]
    environment = {**os.environ, **settings(), "MPLBACKEND": "agg"}
    trouble = f"it could not be tried in place of ours within {SECONDS} s"
    try:
        subprocess.run(command, env=environment, cwd=folder, capture_output=True, timeout=SECONDS)
        found = json.loads(told.read_text(encoding="utf-8"))
    except (subprocess.TimeoutExpired, OSError, ValueError):
        found = {}
    why = {path.stem: found.get(path.stem, trouble) for path in files}
    return {exercise.partition(".")[2]: line for exercise, line in why.items() if line}
