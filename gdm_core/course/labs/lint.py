"""What a lab must have before it is handed out."""

import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from gdm_core.course.chapters import Chapter
from gdm_core.course.labs import student
from gdm_core.course.labs.build import for_students

LONGEST = 90  # minutes
HINTS = 2


def complaints(lab: Chapter, nb: NotebookNode) -> Iterator[str]:
    """Complaints about a lab's source and its notebook `nb` as committed, each on one line."""
    source = student.source(lab)
    yield from _fresh(lab, nb)
    yield from _secret(lab.notebook, source)
    listed = student.exercises(source)
    minutes = sum(about["minutes"] for about in listed.values())
    if lab.minutes != minutes:
        yield f"cell 1: needed Time: {minutes} minutes, the sum of the exercises, got {lab.minutes}; try that sum"
    if minutes > LONGEST:
        yield f"needed exercises of at most {LONGEST} minutes, got {minutes}; try fewer, or a second lab"
    for name, about in listed.items():
        for complaint in _exercise(name, about, source, nb):
            yield f"exercise {name}: {complaint}"


def _fresh(lab: Chapter, nb: NotebookNode) -> Iterator[str]:
    """The notebook is what the source makes; of pictures, which another processor draws otherwise, the place alone."""
    plain = lambda cell: (
        cell.id,
        cell.cell_type,
        cell.source,
        dict(cell.metadata),
        sorted(cell.get("attachments", ())),
    )
    wanted = for_students(lab, student.folded(nb))
    if list(map(plain, nb.cells)) != list(map(plain, wanted.cells)) or nb.metadata != wanted.metadata:
        yield f"needed the notebook of the source as it is, got another; try gdm labs build {lab.number}"
    if any(cell.get("outputs") or cell.get("execution_count") for cell in nb.cells):
        yield f"needed no outputs, got some; try gdm labs build {lab.number}"


def _secret(path: Path, source: NotebookNode) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    told = [line for line in student.secrets(source) if line.replace("\\", "\\\\").replace('"', '\\"') in text]
    if told or "SOLUTION" in text:
        yield f"needed no solution in {path.name}, got {(told or ['a marker'])[0]!r}; try moving it between the markers"


def _exercise(name: str, about: dict, source: NotebookNode, nb: NotebookNode) -> Iterator[str]:
    first = next(c for c in source.cells if isinstance(c.metadata.get("exercise"), dict) and
                 c.metadata.exercise["name"] == name)  # fmt: skip
    for what in ("difficulty", "importance"):
        if about[what] not in range(1, student.DOTS + 1):
            yield f"needed {what} from 1 to {student.DOTS}, got {about[what]!r}; try 3"
    code = [c.source for c in source.cells if c.cell_type == "code" and c.metadata.get("exercise") == name]
    if not any(student.SOLUTION.search(c.source) for c in source.cells if c.metadata.get("exercise") == name):
        yield "needed a solution between markers, got none; try ### BEGIN SOLUTION"
    if not about["checked"]:
        return
    if "$$" not in first.source:
        yield "needed the equation that it implements, got none; try $$ ... $$"
    hints = len(re.findall(r"<details><summary>Hint \d", first.source))
    if hints != HINTS:
        yield f"needed {HINTS} hints that unfold, got {hints}; try <details><summary>Hint 1: ...</summary>"
    signature = next(
        (m[0] for m in (re.search(rf"^def {name}\(.*?\"\"\".*?\"\"\"", c, re.M | re.S) for c in code) if m), ""
    )
    typed = re.search(r"\) -> .+:$", signature, re.MULTILINE)
    if not typed or not re.search(r"\([A-Za-z]+[,)]", signature.partition('"""')[2]):
        yield f"needed a typed signature whose docstring gives shapes, got none; try def {name}(x: Tensor) -> Tensor"
    if name not in student.folded(nb):
        yield "needed the picture that a right answer makes, got none; try show=... in its check"
