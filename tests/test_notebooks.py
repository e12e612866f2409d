"""The committed notebooks: fit to be shown, and still what their code prints."""

import os
import subprocess

import machines
import pytest

from gdm_core.course import kernels, replay, start
from gdm_core.course.chapters import chapters
from gdm_core.course.lint import lint

LECTURES, LABS = chapters("lectures"), chapters("labs")


def by_name(listed):
    return [pytest.param(c, id="lab-" * c.is_lab + c.name) for c in listed]


@pytest.mark.parametrize("chapter", by_name(LECTURES + LABS))
def test_lint(chapter):
    complaints = lint(chapter)
    assert not complaints, "\n".join(complaints)


# Each notebook alone on a worker: none waits for another.  Each on a machine of its turn, most not on this one.
REPLAYS = [
    pytest.param(c, m, id=c.name, marks=[pytest.mark.slow, pytest.mark.xdist_group(f"replay-{c.name}")])
    for c, m in zip(LECTURES, machines.turns(c.source for c in LECTURES))
]


@pytest.mark.parametrize("chapter, machine", REPLAYS)
def test_replay_prints_the_committed_outputs(chapter, machine):
    assert chapter.notebook.is_file(), f"needed {chapter.notebook.name}, got none; try gdm build {chapter.number}"
    models = os.environ["GDM_MODELS"]  # those that this run of the tests has trained
    with kernels.clean(GDM_MODELS=models, **machines.MACHINES[machine]) as env:
        done = subprocess.run(replay.command(chapter.notebook), env=env, capture_output=True, text=True)
    played = f"played: {machine} {machines.MACHINES[machine]}\n"
    assert done.returncode == 0, played + done.stdout[-6000:] + done.stderr[-2000:]


def test_no_notebook_without_a_source():
    known = {c.notebook for c in LECTURES + LABS}
    folders = {c.notebook.parent for c in LECTURES + LABS}
    stray = {p for folder in folders for p in folder.glob("*.ipynb")} - known
    assert {p.name for p in stray} <= {start.NAME}, "needed a source for each notebook; try lectures/src/NN_name.py"


def test_start_page_links_what_there_is(tmp_path):
    if not LECTURES:
        pytest.skip("no chapters yet")
    home = LECTURES[0].notebook.parent.parent
    (tmp_path / "lectures").mkdir()
    for kind in ("lectures", "labs"):
        if (home / kind / "src").is_dir():
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / "src").symlink_to(home / kind / "src")
    start.write_page(tmp_path)
    fresh = (tmp_path / "lectures" / start.NAME).read_bytes()
    committed = home / "lectures" / start.NAME
    assert committed.is_file() and committed.read_bytes() == fresh, "needed a fresh start page; try gdm build"
