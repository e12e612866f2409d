"""From a source (py:percent) to the committed notebook: run in a fresh kernel, normalized, stamped.

Whatever differs between two runs or two machines (times, ids, kernel versions, widget state) is left out, so that a
second build changes no byte, and a changed byte means a changed result.
"""

import base64
import copy
import hashlib
import io
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from gdm_core.course.chapters import Chapter
from gdm_core.course.kernels import SPEC, START_SECONDS, KernelHung, clean, probe, twice
from gdm_core.files import atomic_write
from gdm_core.validate import bad

CELL_SECONDS = 1800  # an old processor that does ten other things took 600 s where a quiet one takes 30
PLOTLY = "application/vnd.plotly.v1+json"
PICTURES = ("image/png", "image/jpeg", PLOTLY)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MANY_COLORS = 10_000  # lines, text and gray pictures have at most 6,000, rendered rooms 40,000
KEPT = {"tags", "exercise", "nbgrader", "jupyter", "editable", "deletable", "slideshow"}


class CellFailed(RuntimeError):
    """A cell raised; `cell` is its number among the code cells, from 1, and `source` its code."""

    def __init__(self, cell: int, source: str, error: str):
        super().__init__(error)
        self.cell, self.source, self.error = cell, source, error

    def __str__(self) -> str:
        code = "\n".join(f"    {line}" for line in self.source.splitlines())
        return f"code cell {self.cell} raised\n{code}\n{self.error}"


def read_source(path: str | os.PathLike) -> NotebookNode:
    """The notebook that a py:percent file describes: no outputs, stable cell ids."""
    path = Path(path)
    if path.suffix != ".py" or not path.is_file():
        raise bad("a py:percent source", str(path), "lectures/src/01_name.py")
    nb = jupytext.read(path, fmt="py:percent")
    if not nb.cells:
        raise bad(f"cells in {path.name}", "none", "a first line `# %% [markdown]`")
    nb.metadata = NotebookNode(kernelspec=SPEC, language_info={"name": "python"})
    nb.nbformat, nb.nbformat_minor = 4, 5
    name_cells(nb)
    return nb


def fingerprint(nb: NotebookNode) -> str:
    """What a source says (kinds, tags, folds and text of its cells), in 16 hexadecimal digits; headers do not count."""
    folds = lambda cell: sorted(name for name, on in cell.metadata.get("jupyter", {}).items() if on)
    said = [(c.cell_type, sorted(c.metadata.get("tags", [])) + folds(c), c.source) for c in nb.cells]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def execute(nb: NotebookNode, folder: Path, *, cell_seconds: int = CELL_SECONDS, **environment: str) -> NotebookNode:
    """A copy of `nb`, run from top to bottom in a fresh kernel whose working directory is `folder`.

    Args:
        nb: what to run.
        folder: where.
        cell_seconds: how long one cell may take.
        environment: variables beside those of `kernels.clean`.

    Raises:
        CellFailed: a cell raised, took more than `cell_seconds`, or killed the kernel.
        KernelHung: two kernels in a row did not start.
    """
    return twice(lambda: _execute(copy.deepcopy(nb), folder, cell_seconds, environment))


def _execute(nb: NotebookNode, folder: Path, cell_seconds: int, environment: dict[str, str]) -> NotebookNode:
    client = NotebookClient(
        nb,
        timeout=cell_seconds,
        startup_timeout=START_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=CRITICAL"],
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.on_notebook_start = probe(client)
    client.reset_execution_trackers()
    number = 0
    with clean(**environment) as env, client.setup_kernel(env=env):
        for index, cell in enumerate(nb.cells):
            number += cell.cell_type == "code" and bool(cell.source.strip())
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                raise CellFailed(number, cell.source, traceback(cell) or f"{error.ename}: {error.evalue}") from None
            except CellTimeoutError:
                raise CellFailed(number, cell.source, f"it took more than {cell_seconds} s") from None
            except DeadKernelError:
                raise CellFailed(number, cell.source, "the kernel died: out of memory, or crashed") from None
    return nb


def traceback(cell: NotebookNode) -> str:
    """The traceback that a cell ended with, without colors; empty where there is none."""
    lines = [line for output in cell.outputs if output.output_type == "error" for line in output.traceback]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def normalize(nb: NotebookNode) -> NotebookNode:
    """`nb` with all that a run adds by chance taken out, in place: metadata, widget state and views, time stamps."""
    nb.metadata = NotebookNode(kernelspec=SPEC, language_info={"name": "python"})
    nb.nbformat, nb.nbformat_minor = 4, 5
    for cell in nb.cells:
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in KEPT})
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "data" in output:
                    _normalize_display(output)
            cell.outputs = _joined([output for output in cell.outputs if output.get("data", True)])
    return nb


def _normalize_display(output: NotebookNode) -> None:
    output.data.pop(WIDGET_VIEW, None)
    if "image/png" in output.data:
        output.data["image/png"] = plain_png(output.data["image/png"])
    sizes = {
        mime: {k: v for k, v in about.items() if k in ("width", "height")}
        for mime, about in output.metadata.items()
        if mime.startswith("image/")
    }
    output.metadata = NotebookNode({mime: size for mime, size in sizes.items() if size})


def _joined(outputs: list) -> list:
    """Neighboring pieces of one stream as one: where the kernel cuts them is chance."""
    joined: list = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and last.output_type == output.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def plain_png(encoded: str) -> str:
    """A PNG of at most 256 colors, a third of the size, without the text that names the version of matplotlib.

    A figure of rendered rooms has too many colors for that, and 256 of them show: it stays as it is.
    """
    picture, plain = Image.open(io.BytesIO(base64.b64decode(encoded))), io.BytesIO()
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    if picture.mode == "RGB" and picture.getcolors(MANY_COLORS):
        picture = picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    picture.save(plain, "PNG", optimize=True)
    return base64.b64encode(plain.getvalue()).decode()


def write(nb: NotebookNode, path: Path) -> bool:
    """Write `nb`, whole or not at all, unless the very bytes are there already; whether it wrote."""
    nbformat.validate(nb)
    payload = (nbformat.writes(nb).rstrip("\n") + "\n").encode()
    if path.is_file() and path.read_bytes() == payload:
        return False
    atomic_write(path, payload)
    return True


def build(chapter: Chapter, *, cell_seconds: int = CELL_SECONDS) -> bool:
    """Run `chapter.source` and write `chapter.notebook`; whether that changed the file.

    Raises:
        CellFailed: nothing is written.
    """
    source = read_source(chapter.source)
    nb = normalize(execute(source, chapter.notebook.parent, cell_seconds=cell_seconds))
    nb.metadata["gdm"] = {"source": fingerprint(source)}
    return write(nb, chapter.notebook)


def all_built(listed: list[Chapter], build: Callable[[Chapter], bool], *refused: type[Exception]) -> int:
    """Build each, say how it went, and go on after one that failed; how many did.

    Args:
        build: whether that changed the notebook.
        refused: what `build` raises beside `CellFailed` and `KernelHung`.
    """
    failed = 0
    for chapter in listed:
        print(f"{chapter.name} ...", flush=True)
        started = time.perf_counter()
        try:
            changed = build(chapter)
        except (CellFailed, KernelHung, *refused) as error:
            failed += 1
            print(f"✗ {chapter.name}: {error}\n{chapter.notebook.name} is as it was.", file=sys.stderr)
            continue
        seconds, size = time.perf_counter() - started, chapter.notebook.stat().st_size
        print(f"  {'written' if changed else 'unchanged'}, {seconds:.1f} s, {size / 1000:.0f} kB", flush=True)
    return failed


def name_cells(nb: NotebookNode) -> None:
    """Ids that follow from the text of a cell, so that an inserted cell renames no other."""
    seen: dict[str, int] = {}
    for cell in nb.cells:
        name = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
