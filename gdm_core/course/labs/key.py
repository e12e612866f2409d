"""The teacher's key, one page: each exercise with its solution, and the mistakes whose hints are known to come."""

import csv
import html
import importlib
import sys
from pathlib import Path

from gdm_core.checks.exercise import exercises
from gdm_core.course.chapters import chapters
from gdm_core.course.labs import student
from gdm_core.files import atomic_write

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; color: #222 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-top: 1px solid #ccd }
pre { background: #f4f5f7; padding: .8rem; overflow: auto; white-space: pre-wrap }"""


def write_key(home: Path) -> Path:
    """Write `build/labs.html` for all labs of the course in `home`; the checks are asked anew about `tests/answers`.

    How often a hint was given comes from `build/grades/mistakes.csv`, which `gdm labs grade` leaves.
    """
    body = ["<h1>Labs: solutions, mistakes and their hints</h1>"]
    for lab in chapters("labs", home):
        nb = student.source(lab)
        body.append(f"<h2>{html.escape(lab.spoken)} · {html.escape(lab.title)}</h2>")
        for name, about in student.exercises(nb).items():
            body += [f"<h3>{html.escape(name)}</h3>", f"<p>{about['minutes']} minutes</p>"]
            own = [c.source for c in nb.cells if c.metadata.get("exercise") == name]
            body += [f"<pre>{html.escape(m[0])}</pre>" for text in own for m in student.SOLUTION.finditer(text)]
            body += _mistakes(home, f"lab{lab.number}", name)
    page = "<!doctype html><html lang=en><meta charset=utf-8><title>Labs</title><style>"
    return atomic_write(home / "build" / "labs.html", f"{page}{STYLE}</style>{''.join(body)}</html>".encode())


def _mistakes(home: Path, lab: str, name: str) -> list[str]:
    """A table of the answers in tests/answers; nothing where the course comes without its tests."""
    if not (home / "tests" / "answers" / f"{lab}.py").is_file():
        return []
    sys.path.insert(0, str(home / "tests"))
    try:
        answers = importlib.import_module("answers").of(lab)
    finally:
        sys.path.remove(str(home / "tests"))
    check = exercises(importlib.import_module(f"gdm_core.checks.{lab}")).get(name)
    mine = [a for a in answers if a.exercise == name and check is not None]
    rows = [(a.__name__.replace("_", " "), check.verdict(a)) for a in mine]
    given = _given(home, lab.removeprefix("lab"), name)
    cells = [
        f"<tr><td>{html.escape(who)}<td>{html.escape(str(verdict))}<td>{given.get(verdict.said, '')}"
        for who, verdict in rows
    ]
    return ["<table><tr><th>answer<th>what the checks say<th>in class", *cells, "</table>"] if cells else []


def _given(home: Path, lab: str, name: str) -> dict[str, str]:
    """Hint -> how many of the last class got it."""
    path = home / "build" / "grades" / "mistakes.csv"
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["hint"]: row["count"] for row in rows if (row["lab"], row["exercise"]) == (lab, name)}
