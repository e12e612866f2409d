"""The studio and JupyterLab, each in a process of its own, for tests and measurements."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil

PATIENCE = 120.0  # seconds, on a machine that does other things too
TOKEN = "a-token-for-tests"
SERVE = """
import sys
from pathlib import Path
from gdm_core.course import start_fast
start_fast()  # as the command does
from gdm_core.course.studio import serve
pages, home, ahead, host, base, most = sys.argv[1:]
sys.exit(serve(Path(pages), Path(home), port=0, ahead=int(ahead), host=host, base=base, most=int(most)))
"""


@dataclass
class Server:
    url: str  # of its root, with a slash at the end
    process: subprocess.Popen
    log: Path

    def kernels(self) -> list[int]:
        """Process ids of its kernels."""
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.process.pid).children(recursive=True)
            return [p.pid for p in below if is_kernel(p)]
        return []

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")


def is_kernel(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return any("ipykernel_launcher" in word for word in process.cmdline())
    return False


def until(found, seconds: float = PATIENCE, what: str = "it"):
    """The first true value of `found()`, asked again and again."""
    end = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
    return value


def notebook(path: Path, *cells: str, template: str | None = "gdm", **about) -> Path:
    """Write a notebook of code cells."""
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nb.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nb.metadata |= {"voila": {"template": template}} if template else {}
    nb.metadata["gdm"] = about
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    return path


@contextlib.contextmanager
def running(command: list[str], address: str, folder: Path, **environment: str):
    """A server whose log shows its address; ended, with its kernels, at the end."""
    with tempfile.TemporaryDirectory(prefix="gdm-server-", ignore_cleanup_errors=True) as own:
        # Nothing of this user's Jupyter, and nothing left in it.
        places = {f"JUPYTER_{kind}_DIR": os.path.join(own, kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
        settings = {"IPYTHONDIR": own, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GDM_QUIET": "1"}
        log = Path(own) / "log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=out, env=os.environ | places | settings | environment
            )
        server = Server("", process, log)
        try:
            found = until(
                lambda: re.search(address, server.said()) or (process.poll() is not None and "ended"), what="a server"
            )
            if found == "ended":
                raise RuntimeError(f"the server ended:\n{server.said()[-2000:]}")
            server.url = found[1]
            yield server
        finally:
            close(server)


def close(server: Server) -> float:
    """Ctrl-C; returns how many seconds it took to end.  Whatever is left then is killed."""
    began = time.monotonic()
    kernels = server.kernels()
    for _ in range(2):  # JupyterLab asks whether one is sure
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(15)
    took = time.monotonic() - began
    for pid in (server.process.pid, *kernels):
        with contextlib.suppress(psutil.NoSuchProcess):
            if pid == server.process.pid or is_kernel(psutil.Process(pid)):
                psutil.Process(pid).kill()
    server.process.wait()
    return took


def studio(pages: Path, home: Path, ahead: int = 0, host: str = "localhost", base: str = "/", most: int = 30):
    """The studio for a folder of notebooks."""
    command = [sys.executable, "-c", SERVE, str(pages), str(home), str(ahead), host, base, str(most)]
    return running(command, r"The studio: (http\S+)", home)


def lab(home: Path, *options: str):
    """JupyterLab for a course in `home`, as `gdm lab` starts it."""
    command = [sys.executable, "-m", "gdm_core.course.cli", "lab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += [f"--IdentityProvider.token={TOKEN}", *options]
    return running(command, r"(http://localhost:\d+/)lab", home)
