"""Other machines, played by this one: the instruction sets and thread counts of those who will run the course.

torch, oneDNN, MKL and OpenBLAS choose their kernels by processor, and another kernel sums in another order.  On an
Intel processor with AVX-512 and AMX last digits changed under

    ATEN_CPU_CAPABILITY     default: softmax, sigmoid, log1p, powers, normal draws; avx2: softmax
    MKL_ENABLE_INSTRUCTIONS matrix products, exp, tanh, decompositions
    ONEDNN_MAX_CPU_ISA      SSE41: convolutions, gelu; AVX2: nothing that was looked at
    OPENBLAS_CORETYPE       numpy's matrix products and solutions
    two threads             means, distances, solutions, decompositions

A kernel that the processor does not have ends the process: only less than what is there may be played.  What a chapter
claims there, with another seed, say:

    python tests/machines.py "no AVX" gdm run 03 --seed 1
"""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

MACHINES = {
    "this one": {},
    "scalar": {"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Nehalem"},
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "two threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "no AVX": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}
BY_HAND = {"no AVX"}  # networks train at a third of their speed, and "scalar" already rounds otherwise


def playable() -> list[str]:
    """The machines that this one can play, itself among them."""
    best = torch.backends.cpu.get_cpu_capability() if platform.machine() in ("x86_64", "AMD64") else ""
    less = best in ("AVX2", "AVX512")
    can = {"scalar": less, "no AVX": less, "AVX2": best == "AVX512"}
    return [name for name in MACHINES if can.get(name, True)]


def turns(sources: Iterable[Path]) -> list[str]:
    """A machine for each source: neighbors, which are chapters of a kind, get different ones, and each change of a
    source moves all of them on."""
    texts = [path.read_bytes() for path in sources]
    names = [name for name in playable() if name not in BY_HAND]
    first = int(hashlib.sha256(b"".join(texts)).hexdigest(), 16)
    return [names[(first + i) % len(names)] for i in range(len(texts))]


if __name__ == "__main__":
    name, *command = sys.argv[1:]
    sys.exit(subprocess.call(command, env={**os.environ, **MACHINES[name]}))
