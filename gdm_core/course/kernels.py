"""A kernel that is the same every time: its environment, and the guard against one that hangs at its start."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jupyter_client.utils import ensure_async

SPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
START_SECONDS = 60
DATA = ("GDM_DATA", "GDM_MIRRORS")  # where data sets lie; what is in them is checked


class KernelHung(RuntimeError):
    """The kernel started and never answered, which ipykernel does about once in 330 starts."""


def settings() -> dict[str, str]:
    """Environment variables that take the machine out of a notebook's output.

    One thread, since two sum in another order; UTF-8 whatever the locale; a fixed name for cells in warnings; no
    progress bars; matplotlib inline and plotly as data, whatever the user's defaults.
    """
    return {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MKL_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "GDM_QUIET": "1",
        "IPYKERNEL_CELL_NAME": "<cell>",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PLOTLY_RENDERER": "plotly_mimetype",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextmanager
def clean(**extra: str) -> Iterator[dict[str, str]]:
    """A whole environment for a kernel that owes nothing to this user: no start-up files, no matplotlib style, no
    models that an explorer trained before, no answers to labs in place of ours, nothing that changes what the course
    does but the place of its data.

    Args:
        extra: variables that win over all others, such as OMP_NUM_THREADS="2" or GDM_EXPORT="1".
    """
    with tempfile.TemporaryDirectory(prefix="gdm-kernel-") as folder:
        own = {"IPYTHONDIR": folder, "MATPLOTLIBRC": _no_style(folder)}
        own |= {f"GDM_{name.upper()}": os.path.join(folder, name) for name in ("models", "yours")}
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
        machine = {k: v for k, v in os.environ.items() if not k.startswith("GDM_") or k in DATA}
        yield {**machine, **settings(), **own, "PATH": path, **extra}


def probe(client, then: Callable[[int | None], None] | None = None) -> Callable:
    """A hook for nbclient's `on_notebook_start`: the kernel must answer once before it is given a cell.

    Args:
        client: a NotebookClient.
        then: called with the kernel's process id.
    """

    async def hook(notebook) -> None:
        try:
            await ensure_async(client.kc.execute("pass", silent=True, reply=True, timeout=START_SECONDS))
        except TimeoutError:
            await ensure_async(client.km.shutdown_kernel(now=True))
            raise KernelHung(f"needed a kernel that answers within {START_SECONDS} s, got none; try again") from None
        if then is not None:
            then(getattr(client.km.provisioner, "pid", None))

    return hook


def twice(attempt: Callable):
    """Call `attempt()`, and once more if its kernel hung."""
    try:
        return attempt()
    except RuntimeError as error:
        if not isinstance(error, KernelHung) and "Kernel didn't respond" not in str(error):
            raise
        return attempt()


def _no_style(folder: str) -> str:
    path = os.path.join(folder, "matplotlibrc")
    open(path, "w").close()
    return path
