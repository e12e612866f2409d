"""What all tests share: one thread, seeds, no user settings; the order and the grouping of a parallel run."""

import functools
import json
import locale
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

# Before torch is imported: it reads them once.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "Agg", "GDM_QUIET": "1"}
os.environ["GDM_DEVICE"] = "cpu"  # explorers would take a graphics card where there is one

# A script's background commands and some runners start with Ctrl-C ignored, and children inherit that; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from gdm_core.course import start_fast  # noqa: E402

start_fast()

import budget  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from gdm_core.course.chapters import chapters  # noqa: E402
from gdm_core.course.doctor import GET_CHROMIUM, chromium  # noqa: E402
from gdm_core.files import atomic_write, stand_in_home  # noqa: E402

collect_ignore_glob = ["benchmarks/*", "mutants/*", "to_come_explorers/*"]


def pytest_addoption(parser) -> None:
    told = "plant the faults as well that nothing has touched since they were last noticed (always done with CI=true)"
    parser.addoption("--quick", action="store_true", help="no faults, no replays, no browser, nothing slow")
    parser.addoption("--all-faults", action="store_true", default=bool(os.environ.get("CI")), help=told)


def pytest_configure(config) -> None:
    if locale.getencoding().lower() != "utf-8" and not sys.flags.utf8_mode:
        pytest.exit(f"needed UTF-8, got {locale.getencoding()}; try gdm test, or PYTHONUTF8=1", 2)
    stand_in_home()
    config.addinivalue_line("markers", "xdist_group(name): tests that share a worker")
    config.stash[STARTED] = time.monotonic()
    # Models that explorers train are trained once a run, whichever of its processes needs one first, and never taken
    # from an earlier run.
    if "GDM_TEST_MODELS" not in os.environ:
        config.stash[MODELS] = os.environ["GDM_TEST_MODELS"] = tempfile.mkdtemp(prefix="gdm-test-models-")
        config.stash[OUTCOMES] = Path(config.stash[MODELS], "outcomes")
    elif hasattr(config, "workerinput"):
        config.stash[OUTCOMES] = Path(config.workerinput["outcomes"])
    os.environ["GDM_MODELS"] = os.environ["GDM_TEST_MODELS"]
    os.environ["GDM_YOURS"] = os.path.join(os.environ["GDM_MODELS"], "yours")  # nobody's answers but ours
    torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["outcomes"] = str(node.config.stash[OUTCOMES])


def pytest_unconfigure(config) -> None:
    if MODELS in config.stash:
        shutil.rmtree(config.stash[MODELS], ignore_errors=True)


MODELS, STARTED = pytest.StashKey[str](), pytest.StashKey[float]()
# A line a test that ended, from all processes of this run: what passed need not pass once more before a fault.
OUTCOMES = pytest.StashKey[Path]()


def pytest_collection_modifyitems(config, items) -> None:
    if config.getoption("quick"):
        left_out = [item for item in items if not _quick(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _quick(item)]
    if hasattr(config, "workerinput"):  # one of several
        # The longest first, so that no worker is left with one of them at the end; faults when their tests have passed.
        order = list(budget.SHARES)
        items.sort(key=lambda item: order.index(budget.part(item.nodeid, item.keywords)))
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(re.sub(r"[@\[\]]", "", item.nodeid.split("::")[0])))
        if item.get_closest_marker("browser") and chromium() is None:
            item.add_marker(pytest.mark.skip(reason=f"needed Chromium, got none; try {GET_CHROMIUM}"))
        elif item.get_closest_marker("browser") and config.pluginmanager.hasplugin("rerunfailures"):
            # Browser, server and kernel share the machine with the rest: once more, and the summary says which.
            item.add_marker(pytest.mark.flaky(reruns=1))
    if hasattr(config, "workerinput"):
        groups = {item.nodeid: item.get_closest_marker("xdist_group").args[0] for item in items}
        atomic_write(config.stash[OUTCOMES].with_name("groups"), json.dumps(groups).encode())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests of a group share a worker, and what it has set up for them.

    xdist 3.8 writes the groups where pytest 9.2 does not look, and each test would be a group of its own.
    """
    from xdist.scheduler import LoadGroupScheduling

    class Grouped(LoadGroupScheduling):
        @functools.cached_property
        def groups(self) -> dict[str, str]:  # of all tests, as the workers have told by the time that this is asked
            return json.loads(config.stash[OUTCOMES].with_name("groups").read_bytes())

        def _split_scope(self, nodeid: str) -> str:
            return self.groups.get(nodeid) or super()._split_scope(nodeid)

    return Grouped(config, log) if config.getoption("dist") == "loadgroup" else None


def _quick(item) -> bool:
    return budget.part(item.nodeid, item.keywords) == "tests" and "slow" not in item.keywords


def pytest_collection_finish() -> None:
    budget.computed()  # the time of collecting belongs to no test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    report.cpu = budget.computed()
    if OUTCOMES in item.config.stash and (report.when == "call" or report.outcome != "passed"):
        with item.config.stash[OUTCOMES].open("a") as outcomes:
            outcomes.write(f"{report.nodeid}\t{report.outcome}\n")
    return report


def pytest_terminal_summary(terminalreporter, config) -> None:
    reports = [
        r for kind in terminalreporter.stats.values() for r in kind if hasattr(r, "duration") and hasattr(r, "when")
    ]
    if len({r.nodeid.split("::")[0] for r in reports}) > 3:
        terminalreporter.section("time by part")
        wall, whole = time.monotonic() - config.stash[STARTED], {c.whole for c in chapters()}
        for line in budget.summary(reports, wall, len(whole)):
            terminalreporter.write_line(line)


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
