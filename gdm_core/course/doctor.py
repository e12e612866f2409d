"""What this machine has, what is missing, and what to do about it, in words."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from packaging.requirements import Requirement

from gdm_core.course.chapters import chapters, root
from gdm_core.files import data_home, model_home

FREE_GB = 2.0
KEY = ("torch", "numpy", "matplotlib", "plotly", "anywidget", "jupyterlab", "voila")
# The first has no windows, and computes half as much.
BROWSERS = "chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable chrome".split()
GET_CHROMIUM = "apt install chromium, brew install --cask chromium, or set GDM_CHROMIUM to the path of one"


@dataclass
class Finding:
    """One thing looked at: fine (True), missing (False), or good to know (None)."""

    ok: bool | None
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "·"}[self.ok]
        return f"{mark} {self.what}" + (f"\n    try {self.remedy}" if self.remedy else "")


def findings() -> Iterator[Finding]:
    """Everything the course needs or can use, looked at in order."""
    for look in (_python, _packages, _device, _threads, _data, _models, _disk, _chromium, _chapters):
        yield from look()


def chromium() -> str | None:
    """Path of a Chromium or Chrome, for the tests that drive one: `$GDM_CHROMIUM`, else the first on the path."""
    named = os.environ.get("GDM_CHROMIUM")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    where = f"Python {version} in {sys.prefix}, {platform.system()} {platform.machine()}"
    fine = sys.version_info >= (3, 11)
    yield Finding(fine, where, "" if fine else "Python 3.11 or newer, then make setup")


def _packages() -> Iterator[Finding]:
    """The packages of `pyproject.toml`, and whether they are the versions that the course is tested with."""
    try:
        required = [Requirement(line) for line in importlib.metadata.requires("gdm-core") or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Finding(False, "gdm_core is not installed in this Python", "make setup")
        return
    tested = _tested()
    missing, old, other = [], [], []
    for need in (r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})):
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(need.name)
            continue
        if not need.specifier.contains(version, prereleases=True):
            old.append(f"{need.name} {version} (needed {need.specifier})")
        elif need.name in tested and tested[need.name] != version.split("+")[0]:
            other.append(f"{need.name} {version} (tested {tested[need.name]})")
    yield Finding(True, ", ".join(f"{name} {importlib.metadata.version(name)}" for name in KEY if name not in missing))
    if missing:
        yield Finding(False, "not installed: " + ", ".join(missing), "make setup")
    if old:
        yield Finding(False, "of a version the course cannot use: " + ", ".join(old), "make setup")
    if other:
        yield Finding(None, "not the versions the course is tested with: " + ", ".join(other))


def _device() -> Iterator[Finding]:
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(i)
            memory = f"{card.total_memory / 2**30:.0f} GB"
            yield Finding(True, f'graphics card {card.name}, {memory}: DEVICE = "cuda:{i}"')
    elif torch.backends.mps.is_available():
        yield Finding(True, 'Apple graphics: DEVICE = "mps"')
    else:
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU build"
        yield Finding(None, f"no graphics card that torch ({build}) can use: the fast profile runs on the CPU")


def _threads() -> Iterator[Finding]:
    cores, threads = cpus(), torch.get_num_threads()
    said = f"{cores} processor cores, torch computes on {threads} thread{'s' * (threads != 1)}"
    crowded = threads > cores
    yield Finding(None, said, "OMP_NUM_THREADS=1: more threads than cores wait for each other" if crowded else "")


def _data() -> Iterator[Finding]:
    home = data_home()
    source = "$GDM_DATA" if os.environ.get("GDM_DATA") else "the default; set GDM_DATA to move it"
    yield Finding(True, "toy, digits, strokes and scenes are made or bundled: no files needed")
    if not home.is_dir():
        if not _writable(home):
            yield Finding(False, f"no data folder {home}, and none can be made", "GDM_DATA=/a/folder/of/yours")
        else:
            yield Finding(None, f"data folder {home} ({source}) does not exist yet; mnist and fashion are loaded there")
        return
    for name in ("mnist", "fashion"):
        size, count = _size(home / name)
        have = f"{count} files, {size / 1e6:.1f} MB" if count else "not there yet: loaded at first use, with a network"
        yield Finding(True if count else None, f"{name} in {home / name}: {have}")
    if not _writable(home):
        yield Finding(None, f"data folder {home} is read-only: new data sets cannot be stored there")


def _models() -> Iterator[Finding]:
    size, count = _size(model_home())
    if count:
        yield Finding(None, f"{count} trained models in {model_home()}, {size / 1e6:.1f} MB; delete them to train anew")


def _disk() -> Iterator[Finding]:
    place = _existing(data_home())
    free = shutil.disk_usage(place).free / 1e9
    fine = free >= FREE_GB
    yield Finding(fine, f"{free:.1f} GB free at {place}", "" if fine else f"making room: {FREE_GB:.0f} GB are needed")


def _chromium() -> Iterator[Finding]:
    found = chromium()
    if found:
        yield Finding(True, f"browser for the tests: {found}")
    else:
        yield Finding(None, "no Chromium: the browser tests are skipped, all else works", GET_CHROMIUM)


def _chapters() -> Iterator[Finding]:
    try:
        listed = chapters(home=root())
    except ValueError as error:
        yield Finding(None, str(error))
        return
    unbuilt = [c.number for c in listed if not c.notebook.is_file()]
    yield Finding(True if listed else None, f"{len(listed)} chapters in {root() / 'lectures'}")
    if unbuilt:
        yield Finding(False, f"chapters without a notebook: {', '.join(unbuilt)}", f"gdm build {' '.join(unbuilt)}")


def cpus() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tested() -> dict[str, str]:
    """The pins of `constraints.txt` that hold for this Python."""
    try:
        lines = (root() / "constraints.txt").read_text(encoding="utf-8").splitlines()
    except (ValueError, OSError):
        return {}
    pins = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {p.name: next(iter(p.specifier)).version for p in pins if p.marker is None or p.marker.evaluate()}


def _size(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files under `folder`."""
    files = [file.stat().st_size for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    return sum(files), len(files)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _writable(path: Path) -> bool:
    return os.access(_existing(path), os.W_OK)
