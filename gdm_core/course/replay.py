"""Run a committed notebook again and compare every output: nbval, made to notice what it misses.

Loaded into pytest by `-p gdm_core.course.replay` (`command` gives the whole line).  Against nbval 0.11 it
- runs cells with history, without which IPython ignores a `;` at the end of a line;
- notices within a second that a kernel died, in place of waiting for the cell's time to pass;
- starts a second kernel when the first one hangs at its start;
- compares that there is a picture, and how many, where nbval leaves pictures out altogether.  Their bytes differ
  between machines; plotly's numbers differ in the last bit.  So they are drawn small, in half the time;
- lets the numbers of a claim differ by a third, by 0.1, or by half of what its "±" allows, a count by 1 or by half of
  the way to its bound: a processor that sums in another order trains another model, and the claim itself has checked
  its number;
- compares of an explorer's words its title, since the rest reads such a model.
"""

import functools
import math
import os
import re
import sys
import time
from pathlib import Path
from queue import Empty

from gdm_core.course import start_fast

start_fast()  # nbval imports nbformat

from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell

from gdm_core.colors import DRAFT
from gdm_core.course.claims import MARK, NEEDED
from gdm_core.course.kernels import START_SECONDS, KernelHung, twice
from gdm_core.course.notebooks import CELL_SECONDS, PICTURES

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]\d+)?")
BOUND = re.compile(rf"[≤≥] ({NUMBER.pattern})")
WITHIN = re.compile(rf"± ({NUMBER.pattern})")


def command(*notebooks: Path) -> list[str]:
    """The command that replays `notebooks`; run it in the environment of `kernels.clean`."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "gdm_core.course.replay", "--color=no"]
    # As long as a build may take: this is for a kernel that hangs, since one that died is noticed at once.
    nbval = ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}", "--noconftest"]
    return [sys.executable, "-m", "pytest", *options, *nbval, *map(str, notebooks)]


def execute_cell_input(kernel: RunningKernel, source: str, allow_stdin=None) -> str:
    return kernel.kc.execute(source, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)


def await_reply(kernel: RunningKernel, msg_id: str, timeout: float | None = None) -> None:
    """Wait for the reply to `msg_id` as long as the kernel lives; Empty when `timeout` seconds have passed."""
    end = time.monotonic() + (timeout or float("inf"))
    while True:
        try:
            reply = kernel.get_message(stream="shell", timeout=min(1.0, max(0.01, end - time.monotonic())))
        except Empty:
            if not kernel.is_alive():
                raise RuntimeError("the kernel died in this cell: out of memory, or crashed") from None
            if time.monotonic() >= end:
                raise
            continue
        if reply["parent_header"].get("msg_id") == msg_id:
            if reply["content"]["status"] == "aborted":
                raise RuntimeError("the kernel refused to run this cell")
            return


def start(kernel: RunningKernel, original, *args, **options) -> None:
    """`RunningKernel.__init__`, once more when the kernel does not answer."""

    def attempt() -> None:
        original(kernel, *args, **options)
        try:
            kernel.await_reply(kernel.kc.execute("pass", silent=True), timeout=START_SECONDS)
        except Empty:
            kernel.stop()
            raise KernelHung(f"needed a kernel that answers within {START_SECONDS} s, got none; try again") from None

    twice(attempt)


def compare_outputs(cell: IPyNbCell, original, new: list, old: list, skip=None) -> bool:
    skip = [key for key in (skip or cell.parent.skip_compare) if key not in PICTURES]
    new, old = ([_named(output) for output in outputs] for outputs in (new, old))
    return original(cell, _near(new, old), old, skip)


def _named(output: dict) -> dict:
    """`output` with each picture replaced by the fact that there is one, and the words of an explorer by its title."""
    if "data" not in output:
        return output
    data = {mime: "a picture" if mime in PICTURES else value for mime, value in output["data"].items()}
    if output["output_type"] == "execute_result" and "image/png" in data:
        data["text/plain"] = re.split("[:.]", data.get("text/plain", ""))[0]
    return type(output)({**output, "data": type(output)(data)})


def _near(new: list, old: list) -> list:
    """`new` with the committed line in place of each claim that says the same in nearly the same numbers."""
    lines = [line for output in old for line in output.get("text", "").splitlines() if line.startswith(MARK)]

    def settled(line: str) -> str:
        if not line.startswith(MARK):
            return line
        said, _, needed = line.partition(" (needed ")
        words = NUMBER.sub("", said)
        committed = next((other for other in lines if NUMBER.sub("", other) == words), None)
        if committed is None:
            return said
        lines.remove(committed)
        slack = max([0.1, *(float(width) / 2 for width in WITHIN.findall(needed))])
        bounds = [float(bound) for bound in BOUND.findall(needed)]

        def close(a: str, b: str) -> bool:
            counts = a.lstrip("-").isdecimal() and b.lstrip("-").isdecimal()
            steps = max([1.0, *(abs(float(b) - bound) / 2 for bound in bounds)]) if counts else 0.0
            return math.isclose(float(a), float(b), rel_tol=1 / 3, abs_tol=max(slack, steps))

        same = all(close(a, b) for a, b in zip(NUMBER.findall(said), NUMBER.findall(committed)))
        return committed if same else said

    def output(of: dict) -> dict:
        if "text" not in of:
            return of
        text = "\n".join(settled(line) for line in of["text"].split("\n"))
        return type(of)({**of, "text": text})

    return [output(of) for of in new]


def pytest_configure(config) -> None:
    """Put the functions above in the place of nbval's."""
    os.environ[NEEDED] = os.environ[DRAFT] = "1"
    RunningKernel.execute_cell_input = execute_cell_input
    RunningKernel.await_reply = await_reply
    for owner, name, function in ((RunningKernel, "__init__", start), (IPyNbCell, "compare_outputs", compare_outputs)):
        original = getattr(owner, name)
        setattr(owner, name, functools.partialmethod(function, original))
