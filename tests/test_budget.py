"""The time that each part of the suite takes, and may take."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import budget
import pytest


@dataclass
class Report:
    nodeid: str
    cpu: float
    when: str = "call"
    duration: float = 1.0
    keywords: dict = field(default_factory=dict)


@pytest.mark.parametrize(
    "nodeid, keywords, part",
    [
        ("tests/test_mutants.py::test_fault_is_noticed[vae:a]", {}, "faults"),
        ("tests/test_mutants.py::test_judgement[1]", {}, "faults"),
        ("tests/test_notebooks.py::test_replay_prints_the_committed_outputs[01]", {"slow": 1}, "replays"),
        ("tests/test_page.py::test_drag", {"browser": 1}, "browser"),
        ("gdm_core/validate.py::gdm_core.validate.bad", {}, "tests"),
    ],
)
def test_parts(nodeid, keywords, part):
    assert budget.part(nodeid, keywords) == part


def test_a_part_past_its_share_is_named_and_no_other():
    share = budget.SHARES["tests"] * 600 * 2  # seconds, of two cores in ten minutes
    half = [Report("tests/test_a.py::test_a", share / 2, when) for when in ("setup", "call")]
    table = budget.summary(half, 60.0, 5)
    assert table[1].split() == ["tests", "1", f"{share:.0f}", "s", f"{share:.0f}", "s", "2", "s"]
    assert table[-1] == "1.0 min in all, of 10 on 2 quiet cores"
    late = budget.summary([*half, Report("tests/test_b.py::test_b", 1.0)], 60.0, 5)[-1]
    assert late.startswith("tests took more")
    assert not any("took more" in line for line in budget.summary([*half, Report("t", 1.0)], 60.0, 6))
    assert "of 20 on" in budget.summary(half, 60.0, 15)[-1]


def test_computing_is_counted_once():
    budget.computed()
    sum(range(4_000_000))
    assert budget.computed() > 0.01 > budget.computed()


@pytest.mark.parametrize("i", range(8))
def test_tests_of_a_group_share_a_worker(i):
    seen = Path(os.environ["GDM_TEST_MODELS"], "workers-of-a-group")
    with seen.open("a") as file:
        file.write(f"{os.getpid()}\n")
    assert len(set(seen.read_text().split())) == 1
