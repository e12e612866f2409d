"""Chapters run with other parameters: refused in words beforehand, or run and reported truthfully."""

import csv
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
import tiny_course
import torch

from gdm_core import devices
from gdm_core.course import cli, runner
from gdm_core.course.memory import Watch

FINE = """
# %%
kept = b"x" * 300_000_000
del kept
print("got", PROFILE, DATASET, DEVICE, SEED)
"""
FAILS = """
# %%
from gdm_core.course.claims import claim
claim("the gap", float(SEED), below=1)

# %%
print("never")
"""
DIES = """
# %%
import os
os._exit(9)
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Three chapters run by the command line: exit code and folder of the results."""
    home = tmp_path_factory.mktemp("course")
    tiny_course.make(home, _01_fine=FINE, _02_fails=FAILS, _03_dies=DIES, _04_apart=FINE)
    folder = home / "build" / "run"
    folder.mkdir(parents=True)
    (folder / "02_fails.ipynb").write_text("an older success")
    here = os.getcwd()
    os.chdir(home)
    try:
        code = cli.main(["run", "1", "02", "03_dies", "--dataset", "mnist", "--seed", "7", "--profile", "full"])
    finally:
        os.chdir(here)
    return code, folder


def rows(folder):
    with open(folder / "table.csv", newline="") as f:
        return {row["chapter"]: row for row in csv.DictReader(f)}


@pytest.mark.slow
def test_only_what_was_asked_for_is_run(done):
    code, folder = done
    assert code == 1
    assert sorted(os.listdir(folder)) == ["01_fine.ipynb", "02_fails.ipynb", "03_dies.ipynb", "table.csv", "table.txt"]
    assert {name: row["status"] for name, row in rows(folder).items()} == {
        "01_fine": "ok",
        "02_fails": "failed",
        "03_dies": "failed",
    }


@pytest.mark.slow
def test_parameters_reach_the_chapter(done):
    nb = nbformat.read(done[1] / "01_fine.ipynb", 4)
    assert nb.cells[-1].outputs[0].text == "got full mnist cpu 7\n"
    assert rows(done[1])["01_fine"]["DATASET"] == "mnist"


@pytest.mark.slow
def test_seconds_and_peak_memory(done):
    fine = rows(done[1])["01_fine"]
    assert 0.2 < float(fine["seconds"]) < 100
    assert 330 < float(fine["memory"]) < 900  # the 300 million bytes were given back before the end
    assert float(fine["gpu"]) == 0


@pytest.mark.slow
def test_failure_names_cell_and_error(done):
    row = rows(done[1])["02_fails"]
    assert row["error"] == "ClaimFailed: the gap: needed ≤ 1, got 7" and row["cell"] == "3"
    nb = nbformat.read(done[1] / "02_fails.ipynb", 4)
    assert "never" not in str([cell.get("outputs") for cell in nb.cells])
    assert any(o.output_type == "error" for cell in nb.cells for o in cell.get("outputs", ()))
    row = rows(done[1])["03_dies"]
    assert row["cell"] == "3" and "died" in row["error"].lower()
    assert "02_fails: In [3]: ClaimFailed: the gap" in (done[1] / "table.txt").read_text()


@pytest.fixture
def chapter(tmp_path):
    (chapter,) = tiny_course.make(tmp_path, _01_a="\n# %%\nx = 1\n")
    chapter.source.write_text(chapter.source.read_text().replace("SEED = 0", "SEED = 0\nRATE = 0.1"))
    return chapter


@pytest.mark.parametrize(
    "parameters, said",
    [
        ({"SED": 1}, r"a parameter of 01_a \(PROFILE, DATASET, DEVICE, SEED, RATE\), got 'SED'; try SEED"),
        ({"PROFILE": "fasst"}, "PROFILE of 01_a to be one of 'fast', 'full', got 'fasst'; try 'fast'"),
        ({"DATASET": "fashion"}, "DATASET of 01_a to be one of 'digits', 'mnist', got 'fashion'"),
        ({"SEED": "one"}, "SEED of 01_a as int, got 'one'; try SEED=0"),
        ({"SEED": 1.5}, "SEED of 01_a as int"),
        ({"SEED": True}, "SEED of 01_a as int, got True"),
        ({"SEED": -1}, "an integer SEED from 0 to 2147483647, got -1; try SEED=0"),
        ({"SEED": 2**31}, "an integer SEED from 0 to 2147483647, got 2147483648"),
        ({"RATE": True}, "RATE of 01_a as float, got True; try RATE=0.1"),
        ({"RATE": float("inf")}, "a finite RATE of 01_a, got inf; try RATE=0.1"),
        ({"DEVICE": 1}, "DEVICE of 01_a as str"),
    ],
)
def test_refused_before_anything_runs(chapter, tmp_path, parameters, said):
    with pytest.raises(ValueError, match=f"needed {said}"):
        runner.run([chapter], parameters, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_accepted(chapter):
    runner.check(chapter, {"PROFILE": "full", "DATASET": "digits", "DEVICE": "cuda:1", "SEED": 3, "RATE": 1})
    runner.check(chapter, {"SEED": runner.LAST_SEED, "RATE": 0.5})
    runner.check(chapter, {})


def test_choices_are_the_quoted_words_of_the_comment(chapter):
    text = chapter.source.read_text()
    chapter.source.write_text(text.replace('# "digits" or "mnist"', "# the class's set: 'strokes', or \"mnist\", say"))
    for name in ("digits", "strokes", "mnist"):
        runner.check(chapter, {"DATASET": name})
    with pytest.raises(ValueError, match="to be one of 'strokes', 'mnist', 'digits', got 'scenes'"):
        runner.check(chapter, {"DATASET": "scenes"})


def test_without_a_list_any_data_set_of_the_course_will_do(chapter):
    from gdm_core import data

    chapter.source.write_text(chapter.source.read_text().replace('  # "digits" or "mnist"', ""))
    for name in data.NAMES:
        runner.check(chapter, {"DATASET": name})
    with pytest.raises(ValueError, match="try 'mnist'"):
        runner.check(chapter, {"DATASET": "mnits"})


def test_devices(monkeypatch):
    assert runner.device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runner.device("auto") == "cpu"
    for name in ("cuda", "cuda:0", "gpu", "meta", ""):
        with pytest.raises(ValueError, match="needed a device"):
            runner.device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [runner.device(name) for name in ("auto", "cuda", "cuda:1")] == ["cuda", "cuda", "cuda:1"]
    with pytest.raises(ValueError, match="needed a device that torch can use here, got 'cuda:2'"):
        runner.device("cuda:2")


def test_what_is_small_takes_the_cpu_unless_a_card_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "existing", lambda name: "meta" if name.startswith("cuda") else name)
    monkeypatch.delenv("GDM_DEVICE")
    assert [devices.pick(small=small).type for small in (False, True)] == ["meta", "cpu"]
    assert devices.pick("cuda", small=True).type == "meta"
    monkeypatch.setenv("GDM_DEVICE", "cuda")
    assert devices.pick(small=True).type == "meta"


def test_what_needs_float64_passes_mps_by(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(devices, "existing", lambda name: "meta" if name == "mps" else name)
    monkeypatch.delenv("GDM_DEVICE")
    assert [devices.pick(double=double).type for double in (False, True)] == ["meta", "cpu"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["9"], "chapter to be one of '01'"),
        (["01_b"], "chapter to be one of '01_a', got '01_b'; try '01_a'"),
        (["--profile", "slow"], "PROFILE"),
        (["--set", "COLOR=red"], "got 'COLOR'"),
        (["--set", "COLOR"], "--set NAME=VALUE"),
        (["--device", "gpu"], "a device"),
        (["--set", "DEVICE=gpu"], "a device"),
        (["--seed", "-1"], "SEED"),
        (["--set", "SEED=-1"], "SEED"),
        (["--set", "RATE=True"], "RATE"),
        (["--set", "RATE=1e999"], "RATE"),
        (["--out", "pyproject.toml"], "a folder to write to"),
        (["--out", "pyproject.toml/run"], "a folder to write to"),
    ],
)
def test_command_refuses_with_exit_code_2(chapter, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gdm: needed ") and said in error and "; try " in error
    assert not (tmp_path / "build").exists()


def test_auto_is_a_device_before_it_reaches_a_chapter(chapter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    seen = []
    monkeypatch.setattr(runner, "run", lambda picked, parameters, folder: seen.append(parameters) or [])
    for arguments in (["--device", "auto"], ["--set", "DEVICE=auto"]):
        assert cli.main(["run", *arguments]) == 0
    assert seen == [{"DEVICE": "cpu"}] * 2


def test_table_is_aligned_and_names_failures():
    table = runner.table(
        [runner.Row("01_a", seconds=1.25, memory=300.4), runner.Row("02_longer", "failed", 100, 4000, 0, 3, "E: no")],
        {"SEED": 7},
    )
    assert table == (
        "Parameters: SEED=7\n\n"
        "chapter    status  seconds  peak MB  card MB\n"
        "01_a       ok          1.2      300        0\n"
        "02_longer  failed    100.0     4000        0\n\n"
        "02_longer: In [3]: E: no\n"
    )


@pytest.mark.slow
def test_watch_sees_the_peak_of_a_process_and_its_children():
    child = "x = bytearray(120_000_000); import time; time.sleep(0.4); del x; time.sleep(0.3)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with Watch() as watch:
        process = subprocess.Popen([sys.executable, "-c", parent])
        watch.start(process.pid)
        process.wait()
    assert 115 < watch.memory < 220


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needed signals as on Linux and macOS")
@pytest.mark.parametrize("command", [["run"], ["build"]])
def test_control_c_leaves_nothing_half_written(tmp_path, command):
    begun = tmp_path / "begun"
    body = f"\n# %%\nimport os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\n\n# %%\ntime.sleep(100)\n"
    (chapter,) = tiny_course.make(tmp_path, _01_a=body)
    run = subprocess.Popen(
        [sys.executable, "-m", "gdm_core.course.cli", *command],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not (begun.exists() and begun.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130 and "gdm: stopped" in error and "Traceback" not in error, error
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"begun", "pyproject.toml", "lectures/src/01_a.py"}
    assert not alive(int(begun.read_text()))
