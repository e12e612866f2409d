"""What plays another machine must really compute otherwise, or a replay there proves nothing."""

import subprocess
import sys

import machines
import numpy as np
import pytest

from gdm_core.course import kernels

SUMS = """
import numpy as np, sys, torch
from torch.nn.functional import conv2d
x = torch.rand(300, 400, generator=torch.Generator().manual_seed(0))
square = x[:, :300].double()
results = x @ x.T, x.log1p(), x.softmax(1), conv2d(x[None, None], x[:3, :3].reshape(1, 1, 3, 3)), x.repeat(2, 1).mean()
results += torch.linalg.svdvals(x), torch.linalg.solve(square, square[0]), square.numpy() @ square.numpy()
np.savez(sys.argv[1], *results)
"""


def results(folder, name: str) -> list[np.ndarray]:
    with kernels.clean(**machines.MACHINES[name]) as env:
        path = folder / f"{name}.npz"
        subprocess.run([sys.executable, "-c", SUMS, str(path)], env=env, check=True)
    with np.load(path) as found:
        return [found[key] for key in found]


@pytest.mark.slow
def test_each_machine_computes_a_little_otherwise(tmp_path):
    own, *others = machines.playable()
    here = results(tmp_path, own)
    assert len(others) >= 1 and own == "this one"
    for name in others:
        there = results(tmp_path, name)
        changed = [i for i, (a, b) in enumerate(zip(here, there)) if (a != b).any()]
        assert len(changed) >= 2, f"{name} changes only {changed}"
        for a, b in zip(here, there):
            np.testing.assert_allclose(a, b, rtol=1e-3)


def test_chapters_take_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(machines, "playable", lambda: ["a", "b", *machines.BY_HAND, "c"])
    sources = [tmp_path / name for name in "12345"]
    for path in sources:
        path.write_text("x = 1")
    turns, seen = machines.turns(sources), set()
    assert turns == machines.turns(sources) and all(len({*turns[i : i + 3]}) == 3 for i in range(3))
    for number in range(30):
        sources[2].write_text(f"x = {number}")
        seen.add(machines.turns(sources)[0])
    assert seen == {"a", "b", "c"}


@pytest.mark.parametrize(
    "processor, best, names",
    [
        ("x86_64", "AVX512", ["this one", "scalar", "AVX2", "two threads", "no AVX"]),
        ("AMD64", "AVX2", ["this one", "scalar", "two threads", "no AVX"]),
        ("x86_64", "DEFAULT", ["this one", "two threads"]),
        ("arm64", "DEFAULT", ["this one", "two threads"]),
    ],
)
def test_no_machine_is_played_that_has_more(monkeypatch, processor, best, names):
    monkeypatch.setattr(machines.platform, "machine", lambda: processor)
    monkeypatch.setattr(machines.torch.backends.cpu, "get_cpu_capability", lambda: best)
    assert machines.playable() == names
