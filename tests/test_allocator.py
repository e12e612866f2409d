"""Freed memory stays with the process: pages are counted, in the main thread and in one that trains."""

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from gdm_core import allocator

glibc = pytest.mark.skipif(not allocator.keep_freed_memory(), reason="needed glibc, got another allocator")
OFTEN = 50  # three blocks of 2,560 pages each time, or a few blocks once


def pages() -> int:
    """Taken anew from the system, in this thread, by steps that free what they took."""
    import resource

    count = lambda: resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for i in range(5 + OFTEN):
        if i == 5:
            before = count()
        x = torch.ones(5 * 2**19)  # 10 MB: in a long run there may be holes for less
        y = x + 1
        z = 2 * y
        del x, y, z
    return count() - before


def everywhere() -> list[int]:
    with ThreadPoolExecutor(1) as pool:
        return [pages(), pool.submit(pages).result()]


@pytest.mark.slow
@glibc
def test_a_step_takes_the_memory_of_the_last_one():
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(allocator.TRIM, 2**17), mallopt(allocator.MMAP, 2**17)  # as a program begins
    try:
        assert max(everywhere()) > 1000 * OFTEN
    finally:
        allocator.keep_freed_memory()
    assert max(everywhere()) < 1000 * OFTEN


@pytest.mark.slow
@glibc
def test_who_imports_the_course_has_it():
    code = "import gdm_core, test_allocator as t; assert max(t.everywhere()) < 1000 * t.OFTEN"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)


def test_another_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert allocator.keep_freed_memory() is False
