"""Runs a lab's cells, then asks its checks, in this process; says each step before it begins.

    python -m gdm_core.course.labs.worker JOB

JOB is a JSON file: `notebook`, `lab` (a module of `gdm_core.checks`), `seeds`, `own` (a seed, see `handout`), `skip`
(steps to leave out), `limited` (see `limit`) and `said`, a file to which one JSON line is added for each step and each
result.  A step that never ends, or that ends the process, is the last that was said: see `check.py`.
"""

import contextlib
import importlib
import json
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

from gdm_core.checks.exercise import Exercise, Verdict, exercises, one_line
from gdm_core.course import start_fast

NOT_FOUND = "not written: the notebook has no function of this name"
CHANGED = "the notebook changes what checks it: an answer moved by 0.37 was accepted as well"
MEMORY, FILE, PROCESSES = (
    8 * 2**30,
    100 * 2**20,
    512,
)  # bytes of address space, bytes of one file, processes of this user


def run(job: dict) -> None:
    """Cells first, top to bottom, whatever becomes of each; then the verdicts, on what is defined at the end."""
    start_fast()
    import nbformat

    from gdm_core.course.labs.handout import is_own
    from gdm_core.course.labs.student import is_check

    asked = exercises(importlib.import_module(f"gdm_core.checks.{job['lab']}"))  # before any cell can replace it
    if job["limited"]:
        limit()
    shell = InteractiveShell.instance()
    failed = {}
    with open(job["said"], "a", encoding="utf-8") as file:

        def say(**what) -> None:
            file.write(json.dumps(what) + "\n")
            file.flush()

        say(step="start")
        for number, cell in enumerate(nbformat.read(job["notebook"], 4).cells, 1):
            step = f"cell {number}"
            if cell.cell_type != "code" or is_check(cell) or step in job["skip"]:
                continue
            exercise = cell.metadata.get("exercise")
            say(step=step, exercise=exercise if isinstance(exercise, str) else None)
            done = shell.run_cell(cell.source, store_history=False)
            if is_own(cell) and job["own"] is not None:
                shell.user_ns["SEED"] = job["own"]
            error = done.error_before_exec or done.error_in_exec
            if error is not None:
                failed.setdefault(exercise, one_line(error))
                say(step=step, error=one_line(error))
        for name, exercise in asked.items():
            if name in job["skip"]:
                continue
            say(step=name, exercise=name)
            verdict = judged(exercise, shell.user_ns.get(name), job["seeds"])
            if name not in shell.user_ns:
                kind, said = (
                    ("error", f"its cell raised {failed[name]}") if name in failed else ("not written", NOT_FOUND)
                )
                verdict = Verdict(name, kind, said)
            say(step=name, kind=verdict.kind, said=verdict.said, right=verdict.right, share=verdict.share)
        say(step="end")


def judged(exercise: Exercise, answer, seeds: list[int]) -> Verdict:
    """What the checks say, unless the notebook has made them accept everything."""
    verdict = exercise.repeated(answer, seeds)
    if verdict.kind != "right":
        return verdict
    if exercise.verdict(lambda *inputs: nudged(answer(*inputs))).kind == "right":
        return Verdict(exercise.name, "error", CHANGED)
    return verdict


def nudged(result):
    """A result that is right no longer: every number of it is another one."""
    if isinstance(result, tuple | list):
        return type(result)(nudged(part) for part in result)
    try:
        return result + 0.37
    except Exception:
        return result


def limit() -> None:
    """Bound what this process may use, where the system can: memory, the size of a file, the number of processes."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, FILE), (resource.RLIMIT_NPROC, PROCESSES)):
        low, high = resource.getrlimit(what)
        bounds = [bound for bound in (low, high, most) if bound != resource.RLIM_INFINITY]
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (min(bounds), min(bounds)))


if __name__ == "__main__":
    run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
