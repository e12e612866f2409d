"""Measure beside peers: `python -m tests.benchmarks [row ...]`; each file here is a row, all of them without a name."""

import importlib
import os
import sys
import traceback
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and numpy are imported: they read it once
os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ["OMP_NUM_THREADS"])
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GDM_QUIET", "1")

HERE = Path(__file__).parent


def rows(folder: Path = HERE) -> list[str]:
    return sorted(p.stem for p in folder.glob("[a-z]*.py"))


def main(names: list[str], folder: Path = HERE, package: str = __package__) -> int:
    """Run the rows; one that breaks is shown and does not stop the others.  Returns the exit code."""
    from gdm_core.validate import choice

    try:
        names = [choice("benchmark", name, rows(folder)) for name in names] or rows(folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    broken = []
    for name in names:
        print(f"{'' if name == names[0] else chr(10)}{name}", flush=True)
        try:
            importlib.import_module(f"{package}.{name}").main()
        except Exception:
            traceback.print_exc()
            broken.append(name)
    if broken:
        print(f"\nbroken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
