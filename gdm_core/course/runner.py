"""Run chapters with other parameters (more training, real data, a graphics card) and keep what came out.

papermill puts the parameters in; the executed notebooks and a table of status, seconds and peak memory go to one
folder.  Whatever can be refused is refused in words before the first kernel starts.
"""

import ast
import csv
import difflib
import io
import logging
import math
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import nbformat
import papermill
import torch
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from gdm_core.course.chapters import Chapter
from gdm_core.course.kernels import START_SECONDS, probe, settings, twice
from gdm_core.course.memory import Watch
from gdm_core.course.notebooks import read_source, write
from gdm_core.files import atomic_write
from gdm_core.validate import bad, choice, integer

PROFILES = ("fast", "full")
LAST_SEED = 2**31 - 1  # a chapter counts on from its seed, and numpy takes no more than 32 bits
# Evaluated in the kernel after its last cell.
GPU_MEMORY = (
    "(lambda torch: torch.cuda.max_memory_allocated() / 2**20 if torch and torch.cuda.is_initialized() else 0.0)"
    "(__import__('sys').modules.get('torch'))"
)


@dataclass
class Row:
    """One chapter's run: wall seconds, peak memory of the kernel and its children in MB, and where it failed."""

    chapter: str
    status: str = "ok"
    seconds: float = 0.0
    memory: float = 0.0
    gpu: float = 0.0
    cell: int | None = None
    error: str = ""


def run(picked: list[Chapter], parameters: dict, folder: Path) -> list[Row]:
    """Run every chapter of `picked` and write `<name>.ipynb`, `table.txt` and `table.csv` into `folder`.

    A chapter that fails does not stop the others.  On Ctrl-C the chapters that are done stay, and nothing of the one
    that was running.

    Raises:
        ValueError: a parameter that a chapter does not have or cannot take, or a folder that cannot be written to,
            before anything runs.
    """
    for chapter in picked:
        check(chapter, parameters)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise bad("a folder to write to", f"{folder} ({error.strerror})", "--out with another") from None
    rows = []
    for chapter in picked:
        print(f"{chapter.name} ...", flush=True)
        rows.append(_run(chapter, parameters, folder))
        print(describe(rows[-1]), flush=True)
        _write_table(rows, parameters, folder)
    return rows


def check(chapter: Chapter, parameters: dict) -> None:
    """Refuse what `chapter` cannot be run with.

    Its parameters cell is the authority: the names, the types of the defaults, and for text the choices that the
    comment beside the default puts in quotes.
    """
    declared = papermill.inspect_notebook(read_source(chapter.source))
    for name, value in parameters.items():
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1, cutoff=0.3) or list(declared) or ["no parameters"]
            raise bad(f"a parameter of {chapter.name} ({', '.join(declared) or 'it has none'})", repr(name), near[0])
        default = ast.literal_eval(declared[name]["default"])
        if type(value) is not type(default) and not (type(value) is int and type(default) is float):
            raise bad(f"{name} of {chapter.name} as {type(default).__name__}", repr(value), f"{name}={default!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise bad(f"a finite {name} of {chapter.name}", repr(value), f"{name}={default!r}")
        if name == "SEED":
            integer(name, value, 0, LAST_SEED)
        options = re.findall(r"(?<=[\"'])[\w.-]+(?=[\"'])", declared[name]["help"])
        if name == "PROFILE":
            options = PROFILES
        elif name == "DATASET" and not options:
            from gdm_core.data import NAMES as options
        if name != "DEVICE" and isinstance(default, str) and options:
            choice(f"{name} of {chapter.name}", value, dict.fromkeys([*options, default]))


def device(name: str) -> str:
    """`name` if torch can compute there; "auto" is the first graphics card, else "cpu".

    >>> device("cpu")
    'cpu'
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        wanted = torch.device(name)
    except RuntimeError:
        raise bad("a device", repr(name), "cpu, cuda or cuda:1") from None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (wanted.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(wanted.type, False):
        raise bad("a device that torch can use here", repr(name), "--device cpu; gdm doctor says what there is")
    return name


def explorers_on(name: str | None) -> None:
    """Explorers compute there, in all kernels that this process starts; None leaves it to the environment."""
    if name is not None:
        device(name)
        os.environ["GDM_DEVICE"] = name


def describe(row: Row) -> str:
    """One chapter's outcome on a line or two."""
    gpu = f", {row.gpu:.0f} MB on the card" if row.gpu else ""
    line = f"  {row.status}, {row.seconds:.1f} s, {row.memory:.0f} MB{gpu}"
    return line if row.status == "ok" else f"{line}\n  {_where(row)}{row.error}"


def table(rows: list[Row], parameters: dict) -> str:
    """All outcomes as aligned text."""
    given = ", ".join(f"{name}={value}" for name, value in parameters.items()) or "as committed"
    head = ("chapter", "status", "seconds", "peak MB", "card MB")
    body = [(r.chapter, r.status, f"{r.seconds:.1f}", f"{r.memory:.0f}", f"{r.gpu:.0f}") for r in rows]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths)))
        for line in (head, *body)
    ]
    failed = [f"{r.chapter}: {_where(r)}{r.error}" for r in rows if r.status != "ok"]
    return "\n".join([f"Parameters: {given}", "", *lines, *([""] if failed else []), *failed]) + "\n"


def _run(chapter: Chapter, parameters: dict, folder: Path) -> Row:
    target, row = folder / f"{chapter.name}.ipynb", Row(chapter.name)
    target.unlink(missing_ok=True)  # an older success must not stand beside a new failure
    logging.getLogger("papermill").setLevel(logging.ERROR)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gdm-run-") as scratch, Watch() as watch:
        unfinished = Path(scratch) / target.name
        try:
            twice(lambda: _papermill(chapter, unfinished, parameters, watch))
        except PapermillExecutionError as error:
            row.status, row.cell = "failed", error.exec_count
            row.error = f"{error.ename}: {error.evalue}".strip()
        except RuntimeError as error:  # the kernel died or did not start
            row.status, row.error = "failed", " ".join(str(error).split())
        if unfinished.exists():
            nb = nbformat.read(unfinished, 4)
            row.cell = row.cell or (row.error and _last_cell(nb)) or None
            write(nb, target)
    row.seconds, row.memory, row.gpu = time.perf_counter() - started, watch.memory, watch.gpu
    return row


def _papermill(chapter: Chapter, output: Path, parameters: dict, watch: Watch) -> None:
    papermill_engines.register("gdm", _Engine)
    papermill.execute_notebook(
        read_source(chapter.source),
        str(output),
        parameters,
        engine_name="gdm",
        kernel_name="python3",
        progress_bar=False,
        cwd=str(chapter.notebook.parent),
        watch=watch,
    )


class _Engine(NBClientEngine):
    """papermill's own, with our environment, the probe at the start and a look at the memory."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, watch, **_):
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            timeout=None,
            startup_timeout=START_SECONDS,
            extra_arguments=["--log-level=CRITICAL"],
        )
        client.on_notebook_start = probe(client, watch.start)
        run_cells = client.papermill_execute_cells

        def then_ask_for_gpu() -> None:
            run_cells()
            reply = client.wait_for_reply(client.kc.execute("", silent=True, user_expressions={"gpu": GPU_MEMORY}))
            watch.gpu = float(reply["content"]["user_expressions"]["gpu"]["data"]["text/plain"])

        client.papermill_execute_cells = then_ask_for_gpu
        threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ}
        client.execute(env={**os.environ, **settings(), **threads})


def _last_cell(nb: nbformat.NotebookNode) -> int | None:
    """The number of the last cell that was begun; a kernel that dies at once has no time to say its count."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    begun = [i for i, cell in enumerate(code, 1) if cell.metadata.get("papermill", {}).get("start_time")]
    return max([*begun, *(cell.get("execution_count") or 0 for cell in code)], default=0) or None


def _where(row: Row) -> str:
    return f"In [{row.cell}]: " if row.cell else ""


def _write_table(rows: list[Row], parameters: dict, folder: Path) -> None:
    atomic_write(folder / "table.txt", table(rows, parameters).encode())
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)] + list(parameters))
    writer.writeheader()
    writer.writerows({**asdict(row), **parameters} for row in rows)
    atomic_write(folder / "table.csv", text.getvalue().encode())
