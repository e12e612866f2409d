"""The check of a graphics card, without one: what it asks for, what it does when something is missing or slow."""

import json
import sys

import gpu
import pytest

from gdm_core.explorers import EXPLORERS


@pytest.fixture
def told(monkeypatch):
    """Commands in place of processes; each is answered with nothing."""
    commands = []
    monkeypatch.setattr(gpu, "answer", lambda command, seconds, read: commands.append((command, seconds)) or {"ok": 1})
    return commands


def test_a_dry_run_goes_through_all_parts_and_keeps_what_each_says(told, tmp_path):
    out = tmp_path / "results" / "gpu.json"
    assert (
        gpu.main(["--device", "cpu", "--minutes", "1", "--jobs", "1", "--out", str(out), "--chapters", "03", "10"]) == 0
    )
    found = json.loads(out.read_text())
    assert found["machine"]["card"] == "none: a dry run" and found["machine"]["versions"]["torch"]
    assert list(found) == ["machine", "tests", "explorers", "chapters"]
    assert found["explorers"].keys() == {*EXPLORERS, "seconds"}
    assert {"03", "10"} <= found["chapters"].keys()
    tests, *_, last = told
    assert "cuda" in tests[0] and any(str(part).endswith("test_contracts.py") for part in tests[0])
    assert last[0][-8:-2] == ["run", "10", "--profile", "full", "--device", "cpu"]
    assert all(0 < seconds <= 60 for _, seconds in told)


def test_a_failed_part_is_in_the_exit_code_and_a_missing_package_is_named(told, tmp_path, monkeypatch):
    out = tmp_path / "gpu.json"
    there = gpu.importlib.util.find_spec
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None if name == "papermill" else there(name))
    assert gpu.main(["--device", "cpu", "--explorers", "scenes", "--out", str(out)]) == 0
    assert "not installed: papermill; try" in json.loads(out.read_text())["chapters"]["skipped"]
    monkeypatch.setattr(gpu, "answer", lambda *_: {"failed": 2})
    assert gpu.main(["--device", "cpu", "--explorers", "scenes", "--out", str(out)]) == 1


def test_without_a_card_it_says_so_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    out = tmp_path / "gpu.json"
    assert gpu.main(["--out", str(out)]) == 1 and not out.exists()
    assert "needed a graphics card" in capsys.readouterr().err
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert gpu.main(["--out", str(out)]) == 1 and "needed torch, got none; try pip" in capsys.readouterr().err


def test_a_part_that_takes_too_long_or_breaks_is_an_error_and_the_rest_goes_on():
    read = lambda said: json.loads(said.splitlines()[-1])
    assert gpu.answer(["-c", "import time; time.sleep(60)"], 0.5, read) == {"error": "not done within 0 s"}
    assert "division by zero" in gpu.answer(["-c", "1 / 0"], 60, read)["error"]
    assert gpu.answer(["-c", "print('words'); print('{}')"], 60, read) == {}


def test_the_tests_that_fail_on_a_card_are_named(monkeypatch):
    said = "FAILED tests/test_a.py::test_b[c] - AssertionError: 1\n=== 1 failed, 12 passed, 3 skipped in 2.00s ==="
    monkeypatch.setattr(gpu, "answer", lambda command, seconds, read: read(said))
    expected = {"failed": 1, "passed": 12, "skipped": 3, "names": ["tests/test_a.py::test_b[c]"]}
    assert gpu.cuda_tests(1.0) == expected


def test_an_explorer_is_timed_on_both_devices():
    assert sys.modules["gpu"].ROOT.joinpath("gdm_core").is_dir()
    measured = gpu.timed("scenes", "cpu")["cpu"]
    assert 0 < measured["frame_ms"] < 10_000 and measured["slowest"] in (
        "floor",
        "wall",
        "object",
        "scale",
        "orientation",
    )
    assert gpu.built("scenes", "cpu")["built_s"] >= 0
