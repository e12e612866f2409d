"""Files appear whole or not at all, and the course keeps what it makes in one place."""

import os
import tempfile
from pathlib import Path


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


def data_home() -> Path:
    """Where data sets live: `$GDM_DATA`, else `~/.cache/gdm/data`."""
    return Path(os.environ.get("GDM_DATA") or "~/.cache/gdm/data").expanduser()


def model_home() -> Path:
    """Where explorers keep the models they trained: `$GDM_MODELS`, else `~/.cache/gdm/models`."""
    return Path(os.environ.get("GDM_MODELS") or "~/.cache/gdm/models").expanduser()
