"""The server behind `plant`: imports what is slow to import and belongs to others, then forks a child a request.

Between the two stands a nursery: a fork for one file of the course, which imports the modules that do not need that
file, so that each of its faults finds them there.  No test runs in the server or in a nursery.

A request is one line of JSON: root, ids, seconds, modules, perhaps options of pytest, and for a fault file and text.
So is the answer: exit code of pytest, outcome of each test, whether the faulty file was read, what went wrong, and the
end of what was printed.
"""

import gc
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import pathlib
import select
import signal
import sys
import tempfile
import time

# Slow to import and free of the course; a child that needs more imports it itself.
SHARED = (
    "torch", "torch.distributions", "torch._dynamo", "numpy", "scipy.stats", "scipy.special", "scipy.integrate",
    "scipy.optimize", "sklearn.mixture", "sklearn.decomposition", "sklearn.datasets", "sklearn.linear_model",
    "matplotlib.pyplot", "PIL.Image", "safetensors.torch", "tqdm.auto", "pytest", "nbformat", "nbclient", "jupytext",
    "papermill", "ipywidgets", "anywidget", "plotly.graph_objects",
)  # fmt: skip


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


class Recorder:
    """A pytest plugin: the outcome of each test, and the kind of the first exception."""

    def __init__(self):
        self.reports: dict[str, str] = {}
        self.error: str | None = None

    def pytest_runtest_logreport(self, report) -> None:
        worse = {"passed": 0, "skipped": 1, "failed": 2}
        known = self.reports.get(report.nodeid)
        if known is None or worse[report.outcome] > worse[known]:
            self.reports[report.nodeid] = report.outcome

    def pytest_exception_interact(self, call) -> None:
        self.error = self.error or call.excinfo.type.__name__


def child(request: dict) -> dict:
    """Run pytest here, under the fault; this process is of no use afterwards."""
    import pytest

    planted, recorder = "file" in request, Recorder()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # How a test fails is of no interest: no assertion is rewritten, no source looked up for a traceback.
    plain = ["-q", "--assert=plain", "--tb=no", "--color=no", "-p", "no:cacheprovider", *["-x"] * planted]
    plain += [f"--rootdir={request['root']}", *request.get("options", [])]
    path = os.path.join(request["root"], request["file"]) if planted else os.devnull
    with Fault(path, request.get("text", "")) as fault:
        code = pytest.main([*request["ids"], *plain], plugins=[recorder])
    return {"code": int(code), "loaded": fault.loaded, "import_error": fault.import_error, **vars(recorder)}


def fork(request: dict) -> dict:
    """The answer of a child to `request`; one that takes too long is ended with all its processes."""
    answer = {**NOTHING}
    started = time.monotonic()
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            _in_child(request, writer, output.fileno())
        os.close(writer)
        received = _read(reader, started + request["seconds"])
        answer["timed_out"] = received is None
        try:
            os.killpg(pid, signal.SIGKILL)  # a child that answered is done; what it started is not
        except ProcessLookupError:
            pass
        _, _, used = os.wait4(pid, 0)
        answer |= json.loads(received) if received else {}
        output.seek(0)
        answer["tail"] = output.read().decode(errors="replace")[-3000:]
    return answer | {"seconds": time.monotonic() - started, "cpu": used.ru_utime + used.ru_stime}


NOTHING = {
    "code": None, "reports": {}, "error": None, "loaded": False, "import_error": None, "timed_out": False,
    "seconds": 0.0, "cpu": 0.0, "tail": "",
}  # fmt: skip


TOO_EARLY = "too early\n"


class Nursery:
    """A process that knows all modules of the course but those that need `file`, and forks children from there.

    It answers TOO_EARLY, and is done, when one of the modules needed the file after all; a bare one knows none of them.
    """

    def __init__(self, root: str, file: str | None, bare: bool = False):
        self.place = root, file
        (theirs, ours), (back, forth) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(ours)
                os.close(back)
                _nurse(root, file, bare, open(theirs), open(forth, "w", buffering=1))
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


def _nurse(root: str, file: str | None, bare: bool, requests, answers) -> None:
    os.chdir(root)
    sys.path.insert(0, root)
    for line in requests:
        request = json.loads(line)
        with Fault(os.path.join(root, file) if file else os.devnull) as guard:
            for name in request["modules"] if not bare else ():
                try:
                    importlib.import_module(name)
                except Exception:  # the child will meet it again
                    pass
                if guard.loaded:  # in a way that mutants/imports.py does not see
                    answers.write(TOO_EARLY)
                    return
        gc.freeze()  # pytest collects garbage at its end; let it leave alone what is shared
        answers.write(json.dumps(fork(request)) + "\n")


def _in_child(request: dict, writer: int, output: int) -> None:
    try:
        os.setsid()
        for stream in (1, 2):
            os.dup2(output, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)
        payload = json.dumps(child(request)).encode()
        sys.stdout.flush()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(payload)
    finally:
        os._exit(0)


def _read(reader: int, until: float) -> bytes | None:
    """All that comes until the pipe closes; None when time is up."""
    received = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            piece = pipe.read(65536)
            if not piece:
                return received
            received += piece


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for name in SHARED:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    assert not any(name.split(".")[0] == "gdm_core" for name in sys.modules), "the server imported the course"
    sys.modules["torch"].set_num_threads(1)
    nursery = None
    for line in sys.stdin:
        request = json.loads(line)
        place = request["root"], request.get("file")
        if nursery is None or nursery.place != place:
            if nursery is not None:
                nursery.close()
            nursery = Nursery(*place)
        answer = nursery.ask(line)
        if answer == TOO_EARLY:
            nursery.close()
            nursery = Nursery(*place, bare=True)
            answer = nursery.ask(line)
        answers.write(answer)
    if nursery is not None:
        nursery.close()


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # not this folder, whose names are those of the areas
    main()
