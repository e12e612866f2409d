"""`environment.yml` for conda, Binder and repo2docker, written from `pyproject.toml` and `constraints.txt`.

micromamba reads no `-r` or `-c` in the pip section, so the pins stand there literally; a test keeps the three in step.
"""

import re
from pathlib import Path

from packaging.requirements import Requirement

PYTHON = "3.11"
PLATFORMS = [
    {
        "python_version": PYTHON,
        "python_full_version": f"{PYTHON}.9",
        "sys_platform": platform,
        "platform_system": system,
        "os_name": "nt" if platform == "win32" else "posix",
    }
    for platform, system in (("linux", "Linux"), ("darwin", "Darwin"), ("win32", "Windows"))
]
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
# What only torch's CUDA wheel needs: gigabytes that a conda or Binder image without a GPU does without.
CUDA_ONLY = re.compile(r"nvidia-|cuda-|triton$")
TEACHERS_ONLY = re.compile(r"(nbgrader|alembic|mako|notebook|rapidfuzz|sqlalchemy)$")  # what the extra `nbgrader` needs

HEAD = f"""\
# conda, micromamba, Binder and repo2docker: conda env create -f environment.yml && conda activate gdm
# Written by `gdm environment` from pyproject.toml and constraints.txt: edit those.
# For an NVIDIA card leave out the --extra-index-url line.
name: gdm
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python={PYTHON}
  - pip
  - pip:
      - --extra-index-url {CPU_WHEELS}
      - -e .[test]
"""


def pins(constraints: str) -> list[str]:
    """The pins of a constraints file for this Python; a marker stays where platforms differ.

    >>> pins("anyio==4.16.0\\n    # via httpx\\ntomli==2.2 ; python_full_version < '3.11'\\nnvidia-nccl==2.1\\n")
    ['anyio==4.16.0']
    """
    lines = [line.strip() for line in constraints.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    kept = []
    for pin in map(Requirement, lines):
        there = [pin.marker is None or pin.marker.evaluate(platform) for platform in PLATFORMS]
        if any(there) and not CUDA_ONLY.match(pin.name) and not TEACHERS_ONLY.match(pin.name):
            pin.marker = None if all(there) else pin.marker
            kept.append(str(pin))
    return kept


def text(home: Path) -> str:
    """The whole `environment.yml` for the course in `home`."""
    listed = pins((home / "constraints.txt").read_text(encoding="utf-8"))
    return HEAD + "".join(f"      - '{pin}'\n" if ";" in pin else f"      - {pin}\n" for pin in listed)
