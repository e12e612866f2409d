"""The prepared check of a graphics card: `make gpu`, on a machine with a CUDA build of torch, within eight minutes.

    python tests/gpu.py [--device cuda] [--minutes 8] [--jobs 8] [--chapters 03 05 14b] [--out FILE]

Says what is missing, runs what can be run: the CUDA tests, each explorer's frame time and training speed on the CPU and
on the card side by side, the full profile of chapters.  Explorers are built, and their models trained, several at once;
then each is timed while nothing else runs.  Chapters run several at once.  Every part is a process with a time limit,
and the file is written after each of them.  This file itself needs Python alone: a bare machine may have nothing
besides torch.
"""

import argparse
import csv
import functools
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {  # modules, by part
    "tests": ("torch", "pytest", "numpy", "scipy", "sklearn", "safetensors"),
    "explorers": ("torch", "numpy", "scipy", "sklearn", "PIL", "anywidget", "tqdm", "safetensors", "matplotlib"),
    "chapters": (
        "torch",
        "papermill",
        "jupytext",
        "nbclient",
        "ipykernel",
        "anywidget",
        "plotly",
        "matplotlib",
        "psutil",
    ),
}
SECONDS = {"tests": 100, "explorer": 60}  # at the most; chapters get what is left
FRAMES, STEPS = 15, 100


def main(arguments: list[str] | None = None) -> int:
    """0 if every part ran and passed, 1 if one did not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda", help="cpu is a dry run on a machine without a card")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--chapters", nargs="*", default=["03", "05", "14b"], metavar="NN")
    parser.add_argument("--explorers", nargs="*", metavar="NAME", help="all unless named")
    parser.add_argument("--profile", default="full")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="processes at once")
    parser.add_argument("--out", type=Path, default=ROOT / "lectures" / "results" / "gpu.json")
    for inside in ("--build", "--time"):  # an explorer, in this very process
        parser.add_argument(inside, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if name := chosen.build or chosen.time:
        print(json.dumps((built if chosen.build else timed)(name, chosen.device)))
        return 0
    end = time.monotonic() + 60 * chosen.minutes
    left = lambda: max(1.0, end - time.monotonic())
    found = {"machine": machine(chosen.device)}
    if trouble := found["machine"].get("missing"):
        print(f"needed {trouble[0]}, got none; try {trouble[1]}", file=sys.stderr)
        return 1
    keep(found, chosen.out)

    def part(name: str, run) -> None:
        absent = [module for module in NEEDED[name] if importlib.util.find_spec(module) is None]
        began = time.monotonic()
        if absent:
            found[name] = {"skipped": f"not installed: {', '.join(absent)}; try make setup where there is a network"}
        else:
            run()
            found[name]["seconds"] = round(time.monotonic() - began, 1)
        keep(found, chosen.out)

    def each_explorer() -> None:
        from gdm_core.explorers import EXPLORERS

        names = chosen.explorers or list(EXPLORERS)
        command = lambda what, name: [__file__, what, name, "--device", chosen.device]
        limit = lambda: min(SECONDS["explorer"], left())
        said = lambda what, name: answer(command(what, name), limit(), lambda out: json.loads(out.splitlines()[-1]))
        with ThreadPoolExecutor(chosen.jobs) as pool:
            found["explorers"] = dict(zip(names, pool.map(functools.partial(said, "--build"), names)))
        keep(found, chosen.out)
        for name in names:
            found["explorers"][name] |= said("--time", name)
            keep(found, chosen.out)

    part("tests", lambda: found.update(tests=cuda_tests(min(SECONDS["tests"], left()))))
    part("explorers", each_explorer)
    part("chapters", lambda: found.update(chapters=chapters(chosen, left())))
    print(f"wrote {chosen.out}")
    return int("error" in json.dumps(found) or "failed" in json.dumps(found))


def machine(device: str) -> dict:
    """What everything was measured on; `missing` names what is needed and what to do."""
    if importlib.util.find_spec("torch") is None:
        return {"missing": ("torch", "pip install torch")}
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        return {"missing": (f"a graphics card (torch is built for {build})", "--device cpu for a dry run")}
    card = torch.cuda.get_device_properties(device) if device != "cpu" else None
    told = {
        "card": f"{card.name}, {card.total_memory / 2**30:.0f} GB" if card else "none: a dry run",
        "device": device,
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "date": time.strftime("%Y-%m-%d"),
    }
    versions = {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
    for name in ("numpy", "scipy", "scikit-learn", "anywidget"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return told | {"versions": versions}


def answer(command: list[str], seconds: float, read) -> dict:
    """What a Python process says, or why it said nothing."""
    here = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GDM_QUIET": "1", "MPLBACKEND": "Agg"}
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
    print(" ".join(map(str, command[-6:])), "...", flush=True)
    try:
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env=os.environ | here | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        return read(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"not done within {seconds:.0f} s"}
    except (ValueError, IndexError, OSError, TypeError):
        return {"error": (done.stderr or done.stdout).strip()[-300:]}


def cuda_tests(seconds: float) -> dict:
    """Counts of the tests with "cuda" in their name, and which of them failed."""
    files = [
        path for path in sorted((ROOT / "tests").glob("test_*.py")) if "cuda.is_available" in path.read_text("utf-8")
    ]

    def counts(said: str) -> dict:
        found = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", said)}
        names = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.M)
        return found | ({"names": names} if names else {})

    told = answer(["-m", "pytest", "-k", "cuda", "-p", "no:cacheprovider", "-o", "addopts=", *files], seconds, counts)
    return told or {"error": "pytest counted nothing"}


def built(name: str, device: str) -> dict:
    """Seconds until an explorer is there for the first time; its models are trained and kept."""
    from gdm_core.explorers import EXPLORERS

    began = time.perf_counter()
    EXPLORERS[name].function(device=device)
    return {"built_s": round(time.perf_counter() - began, 1)}


def timed(name: str, device: str) -> dict:
    """On `device` and on the CPU: the slowest control with its median milliseconds a frame, training steps a second."""
    from gdm_core.explorers import EXPLORERS

    told = {}
    for place in dict.fromkeys((device, "cpu")):
        stage, told[place] = EXPLORERS[name].function(device=place), {}
        moving = [c for c in stage.controls.values() if c.kind in ("pad", "slider", "timeline", "tiles")]
        if moving:
            milliseconds = {c.name: 1e3 * statistics.median(frames(stage, c)) for c in moving}
            told[place]["slowest"] = max(milliseconds, key=milliseconds.get)
            told[place]["frame_ms"] = round(max(milliseconds.values()), 1)
        if stage.trainer is not None:
            stage.trainer.step(10).wait(20)  # what is slow once
            began = time.perf_counter()
            stage.trainer.step(STEPS).wait(20)
            told[place]["steps_per_s"] = round(STEPS / (time.perf_counter() - began), 1)
            stage.trainer.stop()
    return told


def frames(stage, control):
    """Seconds of each frame while `control` moves; the first ones, slow once, are left out."""
    for i in range(-3, FRAMES):
        share = (i % FRAMES) / FRAMES
        if control.kind == "pad":
            value = [low + share * (high - low) for low, high in zip(control.extent[::2], control.extent[1::2])]
        elif control.kind == "slider":
            value = control.low + share * (control.high - control.low)
        else:
            value = i % 2
        began = time.perf_counter()
        stage.frame({control.name: value}).encode()
        if i >= 0:
            yield time.perf_counter() - began


def chapters(chosen, seconds: float) -> dict:
    """Status and seconds of each chapter's full profile on the device, as the table of `gdm run` tells."""
    end = time.monotonic() + seconds

    def run(name: str) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            command = ["-m", "gdm_core.course.cli", "run", name, "--profile", chosen.profile]
            command += ["--device", chosen.device, "--out", folder]
            return answer(command, max(1.0, end - time.monotonic()), lambda _: rows(Path(folder) / "table.csv"))

    with ThreadPoolExecutor(chosen.jobs) as pool:
        return dict(zip(chosen.chapters, pool.map(run, chosen.chapters)))


def rows(table: Path) -> dict:
    with table.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return {key: row[key] for key in ("status", "seconds", "memory", "gpu", "error") if row[key]}


def keep(found: dict, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}")
    unfinished.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(out)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    sys.exit(main())
