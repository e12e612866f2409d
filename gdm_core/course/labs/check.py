"""Checks a lab's notebook in a process of its own: a loop or a dead process costs the exercise that it was in."""

import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gdm_core.checks.exercise import Verdict
from gdm_core.checks.exercise import exercises as asked
from gdm_core.course.kernels import settings
from gdm_core.course.labs import student
from gdm_core.validate import bad

SECONDS = 60  # for one cell, or for the checks of one exercise
START = 120  # until a process is ready
LARGEST = 50_000_000  # bytes of a notebook
LOOK = 0.05


def read(path: Path) -> NotebookNode:
    """A notebook of a lab.

    Raises:
        ValueError: no such file, no notebook, none of a lab.
    """
    try:
        if (size := Path(path).stat().st_size) > LARGEST:
            raise ValueError(f"{size / 1e6:.0f} MB are too many")
        nb = nbformat.read(path, 4)
        nbformat.validate(nb)
    except OSError:
        raise bad("a notebook", f"no file {path}", "labs/01_mixtures.ipynb") from None
    except Exception as error:  # a damaged file fails in many ways
        first = (str(error).splitlines() or [""])[0][:120]
        raise bad("a notebook", f"{Path(path).name}, which is none ({type(error).__name__}: {first})",
                  "the file as JupyterLab saved it") from None  # fmt: skip
    if not module(nb):
        raise bad("the notebook of a lab", Path(path).name, "labs/01_mixtures.ipynb")
    return nb


def module(nb: NotebookNode) -> str:
    """Such as "lab01", or nothing for a notebook of no lab that there is."""
    about = nb.metadata.get("gdm")
    name = f"lab{about.get('lab')}" if isinstance(about, dict) else ""
    known = name.removeprefix("lab").isalnum() and importlib.util.find_spec(f"gdm_core.checks.{name}")
    return name if known else ""


def check(
    path: Path, *, seeds: Sequence[int] = (0,), seconds: float = SECONDS, limited: bool = False, own: int | None = None
) -> list[Verdict]:
    """What the checks say of each exercise in `path`, in the order of the lab; open questions at the end.

    Args:
        path: a notebook of a lab, as the student left it.
        seeds: of the checks' random numbers, one for each repetition; 0 is the notebook's own.
        seconds: how long one cell, or the checks of one exercise, may take.
        limited: bound memory, files and processes as well (see `worker.limit`), and cut the network off where the
            system lets one.
        own: SEED of the student's own data, where a cell sets it (see `handout`); None leaves what the cell says.

    Raises:
        ValueError: see `read`.
    """
    nb = read(path)
    names = list(asked(importlib.import_module(f"gdm_core.checks.{module(nb)}")))
    found: dict[str, Verdict] = {}
    with tempfile.TemporaryDirectory(prefix="gdm-lab-") as folder:
        said, job, room = Path(folder, "said"), Path(folder, "job"), Path(folder, "room")
        worker = [sys.executable, "-m", "gdm_core.course.labs.worker", str(job)]
        command = [*(offline() if limited else ()), *worker]
        skip: list[str] = []
        while set(names) - set(found):
            room.mkdir(exist_ok=True)
            there = str(Path(path).resolve())
            content = {"notebook": there, "lab": module(nb), "seeds": list(seeds), "skip": skip, "limited": limited}
            content |= {"said": str(said), "own": own}
            job.write_text(json.dumps(content), encoding="utf-8")
            said.write_text("", encoding="utf-8")
            ending = _run(command, room, said, seconds)
            heard = _heard(said)
            told = (s for s in heard if "kind" in s)
            found |= {s["step"]: Verdict(s["step"], s["kind"], s["said"], tuple(s["right"]), s["share"]) for s in told}
            if not heard or heard[-1]["step"] == "end" or not ending:
                break
            last = heard[-1]
            skip += [last["step"], *found]
            where = "" if last["step"] in names else f" in {last['step']}"
            kind, line = ("out of time", f"more than {seconds:g} s") if ending == "time" else ("error", ending)
            if last["step"] == "start":
                break
            if last.get("exercise"):
                found[last["exercise"]] = Verdict(last["exercise"], kind, line + where)
    missing = Verdict("", "error", "the notebook could not be run to its end")
    verdicts = [found.get(name, Verdict(name, missing.kind, missing.said)) for name in names]
    return verdicts + [_words(nb, name) for name in _open(nb)]


def table(verdicts: list[Verdict]) -> str:
    """One line an exercise."""
    wide = max(len(v.exercise) for v in verdicts)
    return "\n".join(f"  {str(v)[0]} {v.exercise:<{wide}}  {v.kind:<12} {v.line}" for v in verdicts)


@functools.cache
def offline() -> tuple[str, ...]:
    """What to put before a command so that it has no network; nothing where that cannot be had."""
    prefix = ("unshare", "--user", "--map-current-user", "--net", "--")
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ()
    return prefix if done.returncode == 0 else ()


def _run(command: list[str], folder: Path, said: Path, seconds: float) -> str:
    """Wait for a worker: "" when it came to its end, "time" when a step took too long, else how it died."""
    own = {"MPLBACKEND": "agg", "IPYTHONDIR": str(folder), "GDM_YOURS": str(folder)}  # pictures are made by our models
    environment = {**os.environ, **settings(), **own}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    size, since = -1, time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(LOOK)
            if not said.is_file():
                return "it deleted what it was run from"
            if (now := said.stat().st_size) != size:
                size, since = now, time.monotonic()
            if time.monotonic() - since > (seconds if size > 0 else max(seconds, START)):
                return "time"
    finally:
        _end(process)
    return "" if process.returncode == 0 and any(h["step"] == "end" for h in _heard(said)) else "it ended Python"


def _end(process: subprocess.Popen) -> None:
    """The worker and what it started."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
    elif process.poll() is None:
        process.kill()
    process.wait()


def _heard(said: Path) -> list[dict]:
    """What a worker said, without a line that it did not finish."""
    lines = said.read_text("utf-8", "replace").splitlines() if said.is_file() else []
    heard = []
    for line in lines:
        try:
            heard.append(json.loads(line))
        except ValueError:
            continue
    return [h for h in heard if isinstance(h, dict) and "step" in h]


def _open(nb: NotebookNode) -> list[str]:
    """Exercises that are answered in words."""
    return [name for name, about in student.exercises(nb).items() if not about["checked"]]


def _words(nb: NotebookNode, name: str) -> Verdict:
    cells = [c for c in nb.cells if c.cell_type == "markdown" and c.metadata.get("exercise") == name]
    answered = [c.source for c in cells if not c.source.lstrip().startswith("<details>")]
    words = " ".join(answered).replace(student.WORDS, "").split()
    if not words:
        return Verdict(name, "not written", "not written yet")
    return Verdict(name, "to read", f"{len(words)} words, for a person to read")
