"""What all tests share: one thread, seeds, no user settings; the order and the grouping of a parallel run."""

import locale
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import defaultdict

# Before torch is imported: it reads them once.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "Agg", "GDM_QUIET": "1"}
os.environ["GDM_DEVICE"] = "cpu"  # explorers would take a graphics card where there is one

# A script's background commands and some runners start with Ctrl-C ignored, and children inherit that; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
import torch  # noqa: E402

from gdm_core.course.doctor import GET_CHROMIUM, chromium  # noqa: E402
from gdm_core.files import stand_in_home  # noqa: E402

collect_ignore_glob = ["benchmarks/*", "mutants/*"]
# Longest first, so that no worker is left with one of them at the end.
PARTS = {"notebooks": "test_notebooks.py", "mutants": "test_mutants.py", "browser": "test_browser", "tests": "tests/"}


def pytest_configure(config) -> None:
    if locale.getencoding().lower() != "utf-8" and not sys.flags.utf8_mode:
        pytest.exit(f"needed UTF-8, got {locale.getencoding()}; try gdm test, or PYTHONUTF8=1", 2)
    stand_in_home()
    config.addinivalue_line("markers", "xdist_group(name): tests that share a worker")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # Models that explorers train are trained once a run, and never taken from an earlier one.
        config.stash[MODELS] = os.environ["GDM_MODELS"] = tempfile.mkdtemp(prefix="gdm-test-models-")
    torch.set_num_threads(1)


def pytest_unconfigure(config) -> None:
    if MODELS in config.stash:
        shutil.rmtree(config.stash[MODELS], ignore_errors=True)


MODELS = pytest.StashKey[str]()


def pytest_collection_modifyitems(config, items) -> None:
    order = list(PARTS) if config.getoption("dist", "no") != "no" else []
    items.sort(key=lambda item: order.index(part(item.nodeid)) if part(item.nodeid) in order else len(order))
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(re.sub(r"[@\[\]]", "", item.nodeid.split("::")[0])))
        if item.get_closest_marker("browser") and chromium() is None:
            item.add_marker(pytest.mark.skip(reason=f"needed Chromium, got none; try {GET_CHROMIUM}"))


def part(nodeid: str) -> str:
    """Which part of the suite a test belongs to."""
    return next((name for name, piece in PARTS.items() if piece in nodeid), "doctests")


def pytest_terminal_summary(terminalreporter) -> None:
    """How long each part took, added up over the workers."""
    seconds, counts = defaultdict(float), defaultdict(int)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                seconds[part(report.nodeid)] += report.duration
                counts[part(report.nodeid)] += report.when == "call"
    if len(seconds) > 1:
        terminalreporter.section("seconds of each part, added up over the workers")
        for name in sorted(seconds, key=seconds.get, reverse=True):
            terminalreporter.write_line(f"{name:<10} {seconds[name]:7.1f} s  {counts[name]:5d} tests")


@pytest.fixture(autouse=True)
def _same_start():
    """Every test starts from seed 0 and float32, alone or in company."""
    torch.manual_seed(0)
    yield
    assert torch.get_default_dtype() == torch.float32, "a test left another default dtype behind"


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium; the test is skipped, with the remedy, where there is none."""
    return chromium() or pytest.skip(f"needed Chromium, got none; try {GET_CHROMIUM}")
