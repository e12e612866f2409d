"""The server behind `plant`: imports what is slow to import and belongs to others, then forks a child a request.

A request is one line of JSON: root, ids, seconds, and for a fault file and text.  So is the answer: exit code of
pytest, outcome of each test, whether the faulty file was read, what went wrong, and the end of what was printed.
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

    def __init__(self, path: str, text: str):
        self.path, self.text = os.path.realpath(path), text
        self.loaded, self.import_error = False, None

    def install(self) -> None:
        sys.meta_path.insert(0, self)
        for name, convert in (("read_text", str), ("read_bytes", str.encode)):
            setattr(pathlib.Path, name, self._reader(getattr(pathlib.Path, name), convert))

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

    os.chdir(request["root"])
    sys.path.insert(0, request["root"])
    fault, recorder = Fault(os.devnull, ""), Recorder()
    if "file" in request:
        fault = Fault(os.path.join(request["root"], request["file"]), request["text"])
        fault.install()
    stop = ["-x"] if "file" in request else []
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plain = ["-q", "--tb=short", "--color=no", "-p", "no:cacheprovider"]
    code = pytest.main([*request["ids"], *stop, *plain, f"--rootdir={request['root']}"], plugins=[recorder])
    return {"code": int(code), "loaded": fault.loaded, "import_error": fault.import_error, **vars(recorder)}


def fork(request: dict) -> dict:
    """The answer of a child to `request`; one that takes too long is ended with all its processes."""
    answer = {"code": None, "reports": {}, "error": None, "loaded": False, "import_error": None, "timed_out": False}
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
        os.waitpid(pid, 0)
        answer |= json.loads(received) if received else {}
        output.seek(0)
        answer["tail"] = output.read().decode(errors="replace")[-3000:]
    return answer | {"seconds": time.monotonic() - started}


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
    gc.freeze()  # pytest collects garbage at its end; let it leave alone what is shared
    for line in sys.stdin:
        answers.write(json.dumps(fork(json.loads(line))) + "\n")


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # not this folder, whose names are those of the areas
    main()
