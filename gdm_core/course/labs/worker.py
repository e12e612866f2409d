"""Runs a lab's cells, then asks its checks, in this process; says each step before it begins.

    python -m gdm_core.course.labs.worker JOB

JOB is a JSON file: `notebook`, `lab` (a module of `gdm_core.checks`), `seed`, `skip` (steps to leave out) and `said`, a
file to which one JSON line is added for each step and each result.  A step that never ends, or that ends the process,
is the last that was said: see `check.py`.
"""

import importlib
import json
import sys
from pathlib import Path

import nbformat
from IPython.core.interactiveshell import InteractiveShell

from gdm_core.checks.exercise import Verdict, exercises, one_line
from gdm_core.course.labs.student import is_check

NOT_FOUND = "not written: the notebook has no function of this name"


def run(job: dict) -> None:
    """Cells first, top to bottom, whatever becomes of each; then the verdicts, on what is defined at the end."""
    asked = exercises(importlib.import_module(f"gdm_core.checks.{job['lab']}"))  # before any cell can replace it
    shell = InteractiveShell.instance()
    failed = {}
    with open(job["said"], "a", encoding="utf-8") as file:

        def say(**what) -> None:
            file.write(json.dumps(what) + "\n")
            file.flush()

        for number, cell in enumerate(nbformat.read(job["notebook"], 4).cells, 1):
            step = f"cell {number}"
            if cell.cell_type != "code" or is_check(cell) or step in job["skip"]:
                continue
            exercise = cell.metadata.get("exercise")
            say(step=step, exercise=exercise if isinstance(exercise, str) else None)
            done = shell.run_cell(cell.source, store_history=False)
            error = done.error_before_exec or done.error_in_exec
            if error is not None:
                failed.setdefault(exercise, one_line(error))
                say(step=step, error=one_line(error))
        for name, exercise in asked.items():
            if name in job["skip"]:
                continue
            say(step=name, exercise=name)
            verdict = exercise.verdict(shell.user_ns.get(name), job["seed"])
            if name not in shell.user_ns:
                kind, said = (
                    ("error", f"its cell raised {failed[name]}") if name in failed else ("not written", NOT_FOUND)
                )
                verdict = Verdict(name, kind, said)
            say(step=name, kind=verdict.kind, said=verdict.said)
        say(step="end")


if __name__ == "__main__":
    run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
