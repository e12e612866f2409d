"""Labs as assignments of nbgrader: the metadata always, the whole way from source to grades where it is installed."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from gdm_core.checks import lab01
from gdm_core.checks.exercise import Refused
from gdm_core.course.chapters import chapters
from gdm_core.course.labs import student

LABS = chapters("labs", Path(__file__).parents[1])
INSTALL = "pip install -c constraints.txt -e '.[nbgrader]'"
TYPES = {"schema_version": int, "grade_id": str, "grade": bool, "solution": bool, "locked": bool, "task": bool}
CONFIG = r"""
c = get_config()
c.CourseDirectory.course_id = "gdm"
c.FileNameCollectorPlugin.named_regexp = r".*[/\\](?P<student_id>[^/\\_]+)_(?P<file_id>\w+)"
"""
WRONG = "def e_step(log_joint):\n    return log_joint.softmax(0), log_joint.logsumexp(1)"


@pytest.mark.parametrize("kind", ["source", "notebook"])
@pytest.mark.parametrize("lab", [pytest.param(lab, id=lab.name) for lab in LABS])
def test_cells_are_those_of_an_assignment(lab, kind):
    """What nbgrader's schema 3 and its validator ask of cells, by hand."""
    nb = student.source(lab) if kind == "source" else nbformat.read(lab.notebook, 4)
    listed = student.exercises(student.source(lab))
    paid, ids = [], []
    for cell in nb.cells:
        if (about := cell.metadata.get("nbgrader")) is None:
            assert not student.is_check(cell) and not student.SOLUTION.search(cell.source)
            continue
        assert {k: type(v) for k, v in about.items() if k != "points"} == TYPES and about["schema_version"] == 3
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", about["grade_id"]) and not about["task"]
        assert ("points" in about) == about["grade"], "points where there is a grade"
        assert cell.cell_type == "code" or about["grade"] == about["solution"], "words are both or none"
        ids.append(about["grade_id"])
        if about["grade"]:
            paid.append((cell.metadata.exercise, about["points"]))
    assert len(ids) == len(set(ids)) and paid == [(name, about["importance"]) for name, about in listed.items()]


def test_a_cell_raises_under_nbgrader_alone(monkeypatch, capsys):
    answer = lambda joint: (joint.softmax(0), joint.logsumexp(1))
    lab01.e_step(answer)
    assert capsys.readouterr().out.startswith("✗ e_step: ")
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(Refused, match="^✗ e_step: γ must sum to one") as refused:
        lab01.e_step(answer)
    assert refused.value._render_traceback_() == [str(refused.value)], "one line, and none of the check's"

    def noisy(joint):
        print("a warning", file=sys.stderr)
        return joint.softmax(1), joint.logsumexp(1)

    lab01.e_step(noisy, show=lambda f: 1 / 0)
    said = capsys.readouterr()
    assert said.out == "✓ e_step: the checks found no mistake\n" and said.err == ""


def test_hidden_numbers_are_asked_under_nbgrader(monkeypatch):
    seeds = []

    class Heard(type(lab01.e_step)):
        def verdict(self, answer, seed=0):
            seeds.append(seed)
            return super().verdict(answer, seed)

    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    Heard(lambda answer, numbers: None)(len)
    assert len(seeds) == 3 and seeds[0] == 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason=f"needed nbgrader, got none; try {INSTALL}")
def test_the_whole_way_through_nbgrader(tmp_path):
    """As README says it: generate_assignment, zip_collect, autograde; one right, one wrong, one untouched."""
    from nbgrader.api import Gradebook

    lab = LABS[0]
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    source = tmp_path / "source" / lab.name / lab.notebook.name
    source.parent.mkdir(parents=True)
    nbformat.write(student.source(lab), source)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # nbgrader calls alembic

    def nbgrader(command):
        line = [sys.executable, "-m", "nbgrader", command, lab.name]
        done = subprocess.run(line, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    nbgrader("generate_assignment")
    released = nbformat.read(tmp_path / "release" / lab.name / lab.notebook.name, 4)
    assert "SOLUTION" not in str(released) and not [line for line in student.secrets(nbformat.read(source, 4))
                                                    if line in "\n".join(c.source for c in released.cells)]  # fmt: skip
    solved = {c.metadata.nbgrader.grade_id: c.source for c in student.source(lab).cells if "nbgrader" in c.metadata}
    archive = tmp_path / "downloaded" / lab.name / "archive"
    archive.mkdir(parents=True)
    for who, answers in (("ada", solved), ("bob", {**solved, "e_step": WRONG}), ("eve", {})):
        nb = nbformat.from_dict(released)
        for cell in nb.cells:
            about = cell.metadata.get("nbgrader", {})
            if about.get("solution") and about["grade_id"] in answers:
                cell.source = answers[about["grade_id"]]
        nbformat.write(nb, archive / f"{who}_{lab.notebook.name}")
        released = nbformat.read(tmp_path / "release" / lab.name / lab.notebook.name, 4)
    nbgrader("zip_collect")
    nbgrader("autograde")
    graded = (tmp_path / "autograded" / "bob" / lab.name / lab.notebook.name).read_text(encoding="utf-8")
    assert "you normalized over the examples" in graded and "require(" not in graded
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        assert {s.student_id: s.score for s in book.assignment_submissions(lab.name)} == {
            "ada": 23,
            "bob": 18,
            "eve": 0,
        }
        grades = book.find_submission_notebook(lab.name.removesuffix(".ipynb"), lab.name, "ada").grades
        assert [g.name for g in grades if g.needs_manual_grade] == ["kinds"], "words are for a person"
