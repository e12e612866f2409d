"""Plant a known fault, run the tests that must notice, and say whether they did.

    python -m mutants.plant [word ...]        (or gdm mutants [word ...])

Each file beside this one lists the faults of one area as MUTANTS.  For each fault a server (see forks.py) forks a child
that sees one file of the course changed, and runs pytest there.  Only a test that ran and failed kills: a fault that
does not compile or import, or tests that do not exist, are breakages of the mutant itself.
"""

import dataclasses
import importlib
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants.imports import Imports
from mutants.stamps import Stamps

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 180.0  # a busy machine is no endless loop
HEALTHY_SECONDS = 600.0  # all tests of an area at once

# Slow to import and free of the course; a child that needs more imports it itself.
SHARED = (
    "torch", "torch.distributions", "torch._dynamo", "numpy", "scipy.stats", "scipy.special", "scipy.integrate",
    "scipy.optimize", "sklearn.mixture", "sklearn.decomposition", "sklearn.datasets", "sklearn.linear_model",
    "matplotlib.pyplot", "PIL.Image", "safetensors.torch", "tqdm.auto", "nbformat", "nbclient", "jupytext",
    "papermill", "ipywidgets", "anywidget", "plotly.graph_objects",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A faulty edit and the tests that must fail under it."""

    name: str
    file: str  # relative to the root of the course
    old: str  # occurs exactly once in the file
    new: str
    tests: str  # pytest node ids, separated by spaces
    hang: float = 0.0  # for a fault that loops: still running after so many seconds counts as noticed

    @property
    def ids(self) -> list[str]:
        return self.tests.split()


@dataclass
class Verdict:
    """killed, survived, skipped (the tests cannot run here) or broken (the mutant is no test of the tests)."""

    outcome: str
    detail: str = ""
    seconds: float = 0.0
    cpu: float = 0.0  # seconds of computing, which do not depend on what else the machine does


def collect(folder: Path = HERE) -> dict[str, list[Mutant]]:
    """Area -> its mutants, from each module in `folder` that has a list MUTANTS."""
    areas = {}
    for file in sorted(folder.glob("[a-z]*.py")):
        mutants = getattr(importlib.import_module(f"mutants.{file.stem}"), "MUTANTS", None)
        if mutants is not None:
            names = [m.name for m in mutants]
            assert len(set(names)) == len(names), f"two mutants of one name in {file.name}: {sorted(names)}"
            areas[file.stem] = sorted(mutants, key=lambda m: m.file)  # those of one file share a nursery
    return areas


def faulty(mutant: Mutant, root: Path = ROOT) -> str:
    """The text of `mutant.file` with the fault in it."""
    path = root / mutant.file
    if not path.is_file():
        raise ValueError(f"needed a file of the course, got {mutant.file}; try its path from the root")
    text = path.read_text(encoding="utf-8")
    if (times := text.count(mutant.old)) != 1:
        raise ValueError(f"needed {mutant.old!r} once in {mutant.file}, got it {times} times; try more of its line")
    return text.replace(mutant.old, mutant.new)


class Planter:
    """Runs mutants, one after the other, in forks of one server; a context manager.

    Args:
        root: folder of the course.
        seconds: how long a child with a fault may take.
        shared: modules that the server imports.
        outcomes: a file with what tests have already come to, a line each: its id, a tab, the outcome.
    """

    def __init__(
        self,
        root: Path = ROOT,
        seconds: float = SECONDS,
        shared: Iterable[str] = SHARED,
        outcomes: Path | None = None,
    ):
        self.root, self.seconds, self.shared, self.outcomes = root, seconds, shared, outcomes
        self._imports = Imports(root)
        self._healthy: dict[str, Verdict] = {}
        self._together = True
        self._stack = ExitStack()

    def run(self, mutant: Mutant, neighbors: Iterable[Mutant] = ()) -> Verdict:
        """Plant `mutant`.

        Args:
            neighbors: mutants that may follow; their tests are run without a fault in the same go.
        """
        try:
            text = faulty(mutant, self.root)
            if mutant.file.endswith(".py"):
                compile(text, mutant.file, "exec")
        except (ValueError, SyntaxError) as error:
            return Verdict("broken", f"{type(error).__name__}: {error}")
        health = self._health(mutant, neighbors)
        if health.outcome != "passed":
            return health
        answer = self.ask(mutant.ids, mutant.hang or self.seconds, file=mutant.file, text=text)
        return dataclasses.replace(judge(mutant, answer), seconds=answer["seconds"], cpu=answer["cpu"])

    def _health(self, mutant: Mutant, neighbors: Iterable[Mutant]) -> Verdict:
        """Whether the tests pass without a fault: asked once, for as many as possible at a time."""
        ids = set(mutant.ids)
        if not ids:
            return Verdict("broken", "names no tests")
        if not ids <= self._healthy.keys():
            self._note(ids.union(*(m.ids for m in neighbors)), self._known())
        if not ids <= self._healthy.keys():
            together = ids.union(*(m.ids for m in neighbors)) - self._healthy.keys()
            self._together = self._together and self._examine(together)
            if not self._together:  # one wrong id stops pytest: from now on each mutant's tests go alone
                self._examine(ids, alone=True)
        found = [self._healthy[i] for i in mutant.ids]
        bad = [v for v in found if v.outcome == "broken"]
        if bad:
            return bad[0]
        return next((v for v in found if v.outcome == "passed"), found[0])

    def _examine(self, ids: set[str], alone: bool = False) -> bool:
        """Run tests without a fault and note which pass; False when pytest itself stopped, which `alone` blames on
        all of them."""
        answer = self.ask(sorted(ids))
        if answer["code"] not in (0, 1):
            if alone:
                trouble = Verdict("broken", f"without the fault: {_trouble(answer)}")
                self._healthy |= dict.fromkeys(ids, trouble)
            return False
        self._note(ids, answer["reports"])
        for i in ids - self._healthy.keys():
            self._healthy[i] = Verdict("broken", f"without the fault {i} does not pass")
        return True

    def _known(self) -> dict[str, str]:
        """Test -> outcome, its last: a test may have been run once more."""
        if self.outcomes is None or not self.outcomes.is_file():
            return {}
        return dict(line.split("\t") for line in self.outcomes.read_text().splitlines())

    def _note(self, ids: set[str], reports: dict[str, str]) -> None:
        """What `reports` say of `ids`, which may be of a test, of all its cases or of a whole file."""
        for i in ids:
            outcomes = {n: o for n, o in reports.items() if n == i or n.startswith((f"{i}::", f"{i}["))}
            failed = [n for n, outcome in outcomes.items() if outcome == "failed"]
            if failed:
                self._healthy[i] = Verdict("broken", f"without the fault {failed[0]} does not pass")
            elif "passed" in outcomes.values():
                self._healthy[i] = Verdict("passed")
            elif outcomes:
                self._healthy[i] = Verdict("skipped", f"{i} is skipped here")

    def ask(self, ids: list[str], seconds: float = HEALTHY_SECONDS, **more) -> dict:
        """What a child says of these tests; `more` may be file and text of a fault, and options for pytest."""
        file = self.root / more.get("file", "")
        free = not more.get("options") and not self._at_once(self.root / "tests" / "conftest.py", file)
        early = {"modules": self._early(ids, file), "free": free, "models": self._models}
        request = {"root": str(self.root), "ids": ids, "seconds": seconds, **early, **more}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError("the server of the mutants died")
        return json.loads(answer)

    def _early(self, ids: list[str], file: Path) -> list[str]:
        """The modules that the tests need and whose import does not need `file`."""
        files = {self.root / i.partition("::")[0] for i in ids}
        needed = {n for f in files if f.is_file() for n in self._imports.needs(f) if n.suffix == ".py"}
        pytests = {n for n in needed if n.name == "conftest.py"}
        return sorted(self._imports.name(n) for n in needed - pytests if not self._at_once(n, file))

    def _at_once(self, module: Path, file: Path) -> bool:
        """Whether the import of `module` needs `file`."""
        return file in self._imports.needs(module, lazily=False)

    @cached_property
    def _models(self) -> str:
        """Where models are kept that were trained without a fault: with those of the tests' run, if this is one."""
        return os.environ.get("GDM_TEST_MODELS") or self._stack.enter_context(TemporaryDirectory(prefix="gdm-models-"))

    @cached_property
    def _server(self) -> subprocess.Popen:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        command = [sys.executable, str(HERE / "forks.py"), *self.shared]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        ours = {"GDM_QUIET": "1", "GDM_TEST_MODELS": self._models}
        return subprocess.Popen(command, env={**clean, **one, **ours}, text=True, cwd=self.root, **pipes)

    def __enter__(self) -> "Planter":
        return self

    def __exit__(self, *_) -> None:
        if "_server" in self.__dict__:
            self._server.stdin.close()
            self._server.wait()
            self._server.stdout.close()
        self._stack.close()


def judge(mutant: Mutant, answer: dict) -> Verdict:
    """What the answer of a child with the fault means."""
    failed = [n for n, outcome in answer["reports"].items() if outcome == "failed"]
    if answer["timed_out"]:
        return Verdict("killed" if mutant.hang else "broken", "out of time")
    if answer["import_error"]:
        return Verdict("broken", f"the faulty file does not import: {answer['import_error']}")
    if answer["code"] not in (0, 1):
        return Verdict("broken", _trouble(answer))
    if not answer["loaded"]:
        return Verdict("broken", f"the tests never load {mutant.file}")
    if answer["code"] == 0:
        return Verdict("survived", " ".join(mutant.ids))
    if answer["error"] in ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "SyntaxError"):
        return Verdict("broken", f"the faulty code does not run: {answer['error']} in {failed[0]}")
    return Verdict("killed", failed[0] if failed else "")


def _trouble(answer: dict) -> str:
    known = {2: "pytest was interrupted", 3: "pytest broke", 4: "no such test", 5: "no test was collected"}
    return f"{known.get(answer['code'], 'the child died')} (exit code {answer['code']})\n{answer['tail']}"


def main(words: list[str]) -> int:
    """Run the mutants whose `area:name` contains one of `words` (all without words) and print a table with the seconds
    of computing that each took."""
    jobs = [
        (area, mutant)
        for area, mutants in collect().items()
        for mutant in mutants
        if not words or any(word in f"{area}:{mutant.name}" for word in words)
    ]
    if not jobs:
        print(f"needed the name of a mutant, got {' '.join(words)}; try gdm mutants without a name", file=sys.stderr)
        return 2
    count = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4, len(jobs))
    width = max(len(f"{area}:{mutant.name}") for area, mutant in jobs)
    stamps = Stamps(ROOT)
    files = iter([list(group) for _, group in itertools.groupby(jobs, lambda job: (job[0], job[1].file))])

    def work(_) -> list[Verdict]:
        verdicts = []
        with Planter() as planter:
            for share in files:  # which all workers draw from
                for i, (area, mutant) in enumerate(share):
                    verdicts.append(verdict := planter.run(mutant, [m for _, m in share[i:]]))
                    line = f"{verdict.outcome:<9} {area + ':' + mutant.name:<{width}} {verdict.cpu:6.2f} s"
                    print(f"{line}  {verdict.detail}", flush=True)
                    if verdict.outcome == "killed":
                        stamps.keep(mutant)
        return verdicts

    with ThreadPoolExecutor(count) as pool:
        verdicts = [v for share in pool.map(work, range(count)) for v in share]
    outcomes = {o: sum(v.outcome == o for v in verdicts) for o in ("killed", "survived", "broken", "skipped")}
    told = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items() if n)
    print(f"{told}; median {statistics.median(v.cpu for v in verdicts):.2f} s of computing")
    return int(outcomes["survived"] + outcomes["broken"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
