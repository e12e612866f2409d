"""The server behind `plant`: imports what is slow to import and belongs to others, then forks a child a request.

    python forks.py [module ...]        (to be imported first)

Between the two stands a nursery: a fork for one file of the course, which imports the modules that do not need that
file and has pytest ready, so that each of its faults finds them there.  No test runs in the server or in a nursery.
A file that is no module is read anew by whoever needs it, so the faults of all of these share one nursery, and one
child, whose Chromium stays open (see browser.py).

A request is one line of JSON: root, ids, seconds, modules, models, free, perhaps options of pytest, and for a fault
file and text.  So is the answer: exit code of pytest, outcome of each test, whether the faulty file was read, what went
wrong, and the end of what was printed.
"""

import contextlib
import functools
import gc
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import pathlib
import select
import shutil
import signal
import sys
import tempfile
import time

import pytest


class Fault(importlib.abc.MetaPathFinder):
    """Shows every reader of one file another text: imports of a module, and `pathlib` for all else."""

    def __init__(self, path: str, text: str = ""):
        self.path, self.text = os.path.realpath(path), text
        self.loaded, self.import_error = False, None

    def __enter__(self):
        self.readers = pathlib.Path.read_text, pathlib.Path.read_bytes
        pathlib.Path.read_text = self._reader(pathlib.Path.read_text, str)
        pathlib.Path.read_bytes = self._reader(pathlib.Path.read_bytes, str.encode)
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_) -> None:
        sys.meta_path.remove(self)
        pathlib.Path.read_text, pathlib.Path.read_bytes = self.readers

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.origin is None or os.path.realpath(spec.origin) != self.path:
            return None
        spec.loader = FaultyLoader(name, spec.origin, self)
        return spec

    def _reader(self, original, convert):
        def read(path, *args, **options):
            if os.path.realpath(path) != self.path:
                return original(path, *args, **options)
            self.loaded = True
            return convert(self.text)

        return read


class FaultyLoader(importlib.machinery.SourceFileLoader):
    """Compiles the fault's text, past any cached byte code."""

    def __init__(self, name: str, path: str, fault: Fault):
        super().__init__(name, path)
        self.fault = fault

    def get_code(self, fullname):
        return compile(self.fault.text, self.path, "exec", dont_inherit=True)

    def get_source(self, fullname):
        return self.fault.text

    def exec_module(self, module) -> None:
        self.fault.loaded = True
        try:
            super().exec_module(module)
        except BaseException as error:
            self.fault.import_error = f"{type(error).__name__}: {error}"
            raise


PLAIN = (
    # How a test fails is of no interest: no assertion is rewritten, no source looked up for a traceback.
    "-q", "--assert=plain", "--tb=no", "--color=no", "--capture=no", "-p", "no:cacheprovider",
)  # fmt: skip


class Run:
    """A pytest plugin: hands pytest the tests of a child, and records the outcome of each and the first exception.

    Args:
        children: an iterator that forks, and goes on in a child alone, with what is asked of it.
    """

    def __init__(self, children):
        self.children, self.request, self.wanted = children, None, set()
        self.reports: dict[str, str] = {}
        self.error: str | None = None

    def begin(self) -> None:
        self.request = next(self.children)
        files = [pathlib.Path(self.request["root"], i.partition("::")[0]) for i in self.request["ids"]]
        self.wanted = {place for file in files for place in (file, *file.parents)}

    def pytest_collection(self, session) -> None:
        if self.request is None:
            self.begin()
        session.config.args = self.request["ids"]
        session.config.option.maxfail = int("file" in self.request)

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path) -> bool:
        return collection_path not in self.wanted

    def pytest_runtest_logreport(self, report) -> None:
        worse = {"passed": 0, "skipped": 1, "failed": 2}
        known = self.reports.get(report.nodeid)
        if known is None or worse[report.outcome] > worse[known]:
            self.reports[report.nodeid] = report.outcome

    def pytest_exception_interact(self, call) -> None:
        self.error = self.error or call.excinfo.type.__name__


# A new model takes the place of a file and leaves the old one as it was, unless the fault is there.
WRITERS = ("gdm_core/files.py", "gdm_core/checkpoint.py", "gdm_core/kept.py")
NOTHING = {
    "code": None, "reports": {}, "error": None, "loaded": False, "import_error": None, "timed_out": False,
    "seconds": 0.0, "cpu": 0.0, "tail": "",
}  # fmt: skip


TOO_EARLY = "too early\n"


class Nursery:
    """A process for one file of the course, which forks children from there.

    It knows all modules of the course but those that need the file, and where pytest's own start is `free` of the file
    as well, pytest waits there, ready to collect.  It answers TOO_EARLY, and is done, when one of them needed the file
    after all; a bare one knows nothing.
    """

    def __init__(self, place: tuple, bare: bool = False):
        self.place = place
        (theirs, ours), (back, forth) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(ours)
                os.close(back)
                _nurse(*place, bare, open(theirs), open(forth, "w", buffering=1))
            finally:
                os._exit(0)
        os.close(theirs)
        os.close(forth)
        self.requests, self.answers = open(ours, "w", buffering=1), open(back)

    def ask(self, line: str) -> str:
        try:
            self.requests.write(line)
        except BrokenPipeError:
            pass
        return self.answers.readline() or json.dumps({**NOTHING, "tail": "the nursery died"}) + "\n"

    def close(self) -> None:
        self.requests.close()
        self.answers.close()
        os.waitpid(self.pid, 0)


def _nurse(root: str, file: str | None, free: bool, bare: bool, requests, answers) -> None:
    os.chdir(root)
    sys.path[:0] = [os.path.join(root, "tests"), root]
    with Fault(os.path.join(root, file) if file else os.devnull) as fault:
        children = _children(fault, bare, requests, answers)
        while True:
            run = Run(children)
            if bare or not free:
                run.begin()
            options = (run.request or {}).get("options", [])
            code = pytest.main([*PLAIN, f"--rootdir={root}", *options], plugins=[run])
            if run.request is None:  # pytest could not start without the file
                answers.write(TOO_EARLY)
                return
            said = {"code": int(code), "reports": run.reports, "error": run.error}
            run.request["answer"](said | {"loaded": fault.loaded, "import_error": fault.import_error})


def _children(fault: Fault, bare: bool, requests, answers):
    """Let a child run what each request asks and write down its answer.  In a child alone, yields the requests."""
    stays, caches, known = None, [], 0
    for line in requests:
        request = json.loads(line)
        for name in request["modules"] if not bare else ():
            try:
                importlib.import_module(name)
            except BaseException:  # the child will meet it again; a test module may want to be skipped
                pass
        if fault.loaded:  # in a way that mutants/imports.py does not see
            answers.write(TOO_EARLY)
            os._exit(0)
        if len(sys.modules) != known:
            caches, known = _caches(request["root"]), len(sys.modules)
        gc.freeze()  # pytest collects garbage at its end; let it leave alone what is shared
        started = time.monotonic()
        page = not _module(request)
        child = (page and stays) or Child(request)
        if child.pid == 0:
            yield from child.asked(fault, caches)
        answer = child.ask(line, started + request["seconds"])
        healthy = answer["code"] is not None
        if page:
            stays = child if healthy else None
        if not (page and healthy):
            child.end()
        answers.write(json.dumps(answer | {"seconds": time.monotonic() - started}) + "\n")
    if stays:
        stays.end()
    os._exit(0)  # pytest still waits for its tests


def _module(request: dict) -> bool:
    """Whether a fault, if any, lies in what Python imports."""
    return request.get("file", ".py").endswith(".py")


class Child:
    """A fork that runs tests in a session, a temporary folder and with models of its own."""

    def __init__(self, request: dict):
        (theirs, ours), (back, forth) = os.pipe(), os.pipe()
        self.own = tempfile.TemporaryDirectory(prefix="gdm-fault-", ignore_cleanup_errors=True)
        self.output = tempfile.TemporaryFile()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ours)
            os.close(back)
            self.requests, self.answers = open(theirs), open(forth, "w", buffering=1)
            self._settle(request)
            return
        os.close(theirs)
        os.close(forth)
        self.requests, self.answers = open(ours, "w", buffering=1), open(back, "rb", buffering=0)

    def ask(self, line: str, until: float) -> dict:
        """What the child answers; without `code` when it died or time was up."""
        start = self.output.seek(0, os.SEEK_END)
        with contextlib.suppress(BrokenPipeError):
            self.requests.write(line)
        received = _read(self.answers, until)
        answer = {**NOTHING, "timed_out": received is None} | (json.loads(received) if received else {})
        self.output.seek(start)
        return answer | {"tail": self.output.read().decode(errors="replace")[-3000:]}

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # and what it started
        os.waitpid(self.pid, 0)
        for at in (self.requests, self.answers, self.output):
            at.close()
        self.own.cleanup()

    def _settle(self, request: dict) -> None:
        """Make of the fork a process of its own."""
        os.setsid()
        for stream in (1, 2):
            os.dup2(self.output.fileno(), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = open(0)
        os.environ["TMPDIR"] = tempfile.tempdir = self.own.name
        models = request["models"]
        if "file" in request:  # a fault has its own folder of what was trained without one
            models = tempfile.mkdtemp(prefix="models-")
            take = shutil.copyfile if request["file"] in WRITERS else os.link
            for model in pathlib.Path(request["models"]).glob("*.safetensors"):
                with contextlib.suppress(OSError):
                    take(model, os.path.join(models, model.name))
        os.environ |= {"GDM_MODELS": models, "GDM_TEST_MODELS": models, "GDM_YOURS": os.path.join(models, "yours")}
        if not _module(request):
            os.environ["GDM_TEST_STAYS"] = "1"

    def asked(self, fault: Fault, caches: list):
        """In the child: each request, with the way to `answer` it.

        Args:
            caches: what empties those that it was born with; to look for them here is to touch every module, and so to
                copy as much memory as the rest of a test does.
        """
        for line in self.requests:
            request = json.loads(line)
            if "file" in request:
                fault.path, fault.text = (
                    os.path.realpath(os.path.join(request["root"], request["file"])),
                    request["text"],
                )
            fault.loaded = False
            for clear in caches if caches is not None else _caches(request["root"]):
                clear()  # it may hold what an earlier fault gave it
            caches = None
            yield request | {"answer": functools.partial(self._answer, sum(os.times()[:4]), not _module(request))}
        os._exit(0)

    def _answer(self, before: float, stays: bool, said: dict) -> None:
        sys.stdout.flush()
        self.answers.write(json.dumps(said | {"cpu": sum(os.times()[:4]) - before}) + "\n")
        if not stays:  # nor makes pytest ready for a request that does not come
            os._exit(0)


def _caches(root: str) -> list:
    """What empties the caches of the course's functions."""
    found = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(root) and not file.startswith(sys.prefix):
            found += [value.cache_clear for value in list(vars(module).values()) if hasattr(value, "cache_clear")]
    return found


def _read(pipe, until: float) -> bytes | None:
    """A line, or less where the pipe closes; None when time is up."""
    received = b""
    while not received.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return None
        if not (piece := pipe.read(65536)):
            return b""
        received += piece
    return received


def main(shared: list[str]) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is printed is no answer
    sys.stdout.reconfigure(line_buffering=True)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in shared:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    pytest.main(["--version"])  # loads its plugins
    assert not any(name.split(".")[0] == "gdm_core" for name in sys.modules), "the server imported the course"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    nursery = None
    for line in sys.stdin:
        request = json.loads(line)
        place = request["root"], request.get("file") if _module(request) else None, request["free"]
        if nursery is None or nursery.place != place:
            if nursery is not None:
                nursery.close()
            nursery = Nursery(place)
        answer = nursery.ask(line)
        if answer == TOO_EARLY:
            nursery.close()
            nursery = Nursery(place, bare=True)
            answer = nursery.ask(line)
        answers.write(answer)
    if nursery is not None:
        nursery.close()


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # not this folder, whose names are those of the areas
    main(sys.argv[1:])
