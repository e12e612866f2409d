"""How long each part of the suite takes, and how long it may: said at the end of a run, so that it cannot creep.

Computing is counted, not waiting: it is nearly the same on a machine that does other things as well.
"""

import os
from collections import Counter

# Of two quiet cores: 10 minutes for five chapters, 20 for fifteen.
CORES, MINUTES, MINUTES_A_CHAPTER = 2, 5.0, 1.0
# Of fifteen chapters' 40 minutes of computing a replay may take 48 s; faults and tests share most of the rest.
SHARES = {"replays": 0.3, "browser": 0.17, "tests": 0.28, "faults": 0.25}
_last = 0.0


def part(nodeid: str, keywords) -> str:
    """Which part of the suite a test belongs to, by its name and its markers."""
    name = nodeid.partition("::")[2]
    if name.startswith("test_replay_prints"):
        return "replays"
    if nodeid.startswith("tests/test_mutants.py"):  # the last of them closes what all faults were planted in
        return "faults"
    return "browser" if "browser" in keywords else "tests"


def computed() -> float:
    """Seconds that this process, and those that it started and waited for, computed since the last call."""
    global _last
    now = sum(os.times()[:4])
    since, _last = now - _last, now
    return since


def summary(reports, wall: float, chapters: int) -> list[str]:
    """The lines of a table, and a warning for what took more than its share.

    Args:
        reports: of all tests; those of a run have `cpu`, seconds of computing.
        wall: seconds that the whole run took.
        chapters: how many the course has.
    """
    spent, busy, count = Counter(), Counter(), Counter()
    for report in reports:
        at = part(report.nodeid, report.keywords)
        spent[at] += getattr(report, "cpu", 0.0)
        busy[at] += report.duration
        count[at] += report.when == "call"
    minutes = MINUTES + MINUTES_A_CHAPTER * chapters
    lines = [f"{'part':<8} {'tests':>6} {'computing':>10} {'may take':>9} {'with waiting':>13}"]
    late = []
    for name, share in SHARES.items():
        most = share * minutes * 60 * CORES
        line = f"{name:<8} {count[name]:6d} {spent[name]:8.0f} s {most:7.0f} s {busy[name]:11.0f} s"
        lines += [line] if busy[name] else []
        if spent[name] > most:
            late.append(f"{name} took more than its share of the budget; what is slow? try --durations=30")
    lines.append(f"{wall / 60:.1f} min in all, of {minutes:.0f} on {CORES} quiet cores")
    return lines + late
