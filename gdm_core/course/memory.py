"""How much memory a process took at its peak, even if it is dead by the time one asks; and how much is left."""

import contextlib
import re
import threading
from pathlib import Path

import psutil

LOOK = 0.25  # seconds: all processes of the machine are asked whose children they are, a tenth of a core at 0.05
CONTAINER = Path("/sys/fs/cgroup")  # where Linux tells a container its limits


class Watch:
    """Peak resident memory, in MB, of a process and its children, from `start` to the end of the context.

    `gpu` is for the one who knows: the process itself must be asked for it.
    """

    def __init__(self):
        self.memory, self.gpu = 0.0, 0.0
        self._stop, self._thread = threading.Event(), None

    def start(self, pid: int | None) -> None:
        self._stop_thread()
        if pid is not None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._look, args=(psutil.Process(pid),), daemon=True)
            self._thread.start()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_) -> None:
        self._stop_thread()

    def _stop_thread(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self, process: psutil.Process) -> None:
        while not self._stop.wait(LOOK):
            try:
                family = [process, *process.children(recursive=True)]
                now = sum(member.memory_info().rss for member in family) / 2**20
                self.memory = max(self.memory, now, _high_water(process.pid))
            except psutil.Error:  # it ended, or a child did between two calls
                if not process.is_running():
                    return


def free() -> float:
    """MB that may still be taken: of the machine, or of the container that we are in."""
    room = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError, TypeError):  # no such file, or "max": no limit
        used = re.search(r"^anon (\d+)", (CONTAINER / "memory.stat").read_text(), re.MULTILINE)
        room = min(room, int((CONTAINER / "memory.max").read_text()) - int(used[1]))
    return room / 2**20


def _high_water(pid: int) -> float:
    """The kernel's own record of the peak, in MB, where the system keeps one."""
    try:
        return int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024
    except (OSError, TypeError):
        return 0.0
