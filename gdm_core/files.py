"""Files appear whole or not at all, and the course keeps what it makes in one place."""

import os
import stat
import tempfile
from pathlib import Path

from gdm_core.validate import bad


def atomic_write(path: str | os.PathLike, payload: bytes) -> Path:
    """Write `payload` beside `path`, then rename: whoever reads sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(payload)
            f.flush()
            os.fsync(f.fileno())  # or a power cut may keep the new name and lose what it names
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def stand_in_home() -> Path | None:
    """Give this process and its children another home folder where the user's cannot be written.

    Jupyter, IPython and matplotlib all write there; without one they fail, or warn into a notebook.

    Returns:
        The folder that stands in, the same each time for the same user; None where none is needed.

    Raises:
        ValueError: that folder belongs to somebody else.
    """
    home = Path.home()
    if os.name != "posix" or (home.is_dir() and os.access(home, os.W_OK)):
        return None
    other = Path(tempfile.gettempdir()) / f"gdm-home-{os.getuid()}"
    other.mkdir(mode=0o700, exist_ok=True)
    about = other.lstat()
    if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode):
        raise bad("a home folder that can be written", home, "HOME=/a/folder/of/yours")
    os.environ["HOME"] = str(other)
    return other


def put_first(variable: str, folder: str | os.PathLike) -> None:
    """Name a folder before those that an environment variable, such as PYTHONPATH, names already."""
    os.environ[variable] = os.pathsep.join(filter(None, [str(folder), os.environ.get(variable)]))


def data_home() -> Path:
    """Where data sets live: `$GDM_DATA`, else `~/.cache/gdm/data`."""
    return Path(os.environ.get("GDM_DATA") or "~/.cache/gdm/data").expanduser()


def model_home() -> Path:
    """Where explorers keep the models they trained: `$GDM_MODELS`, else `~/.cache/gdm/models`."""
    return Path(os.environ.get("GDM_MODELS") or "~/.cache/gdm/models").expanduser()


def yours_home() -> Path:
    """Where `gdm labs use` keeps answers that replace ours: `$GDM_YOURS`, else `~/.cache/gdm/yours`."""
    return Path(os.environ.get("GDM_YOURS") or "~/.cache/gdm/yours").expanduser()
