"""Freed memory stays with the process: pages are counted, in the main thread and in one that trains."""

import subprocess
import sys

import pytest

from gdm_core import allocator

COUNT = """
import resource, sys, threading
import torch
if "keep" in sys.argv:
    import gdm_core
torch.set_num_threads(1)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work(times):
    for _ in range(times):
        x = torch.ones(3 * 2**18)  # 3 MB
        y = x + 1
        z = 2 * y
        del x, y, z

def counted():
    work(5)
    before = faults()
    work(100)
    print(faults() - before)

counted()
thread = threading.Thread(target=counted)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not allocator.keep_freed_memory(), reason="needed glibc, got another allocator")
def test_a_step_takes_the_memory_of_the_last_one():
    counts = lambda *words: subprocess.run(
        [sys.executable, "-c", COUNT, *words], capture_output=True, text=True, check=True
    )
    here, thread = map(int, counts("keep").stdout.split())
    assert here < 1000 and thread < 10_000
    assert sum(map(int, counts().stdout.split())) > 50_000  # what it is good for


def test_another_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert allocator.keep_freed_memory() is False
