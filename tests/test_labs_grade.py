"""A class is graded: good, wrong and hostile notebooks, each in a row of its own, whatever the others do."""

import csv
import json

import nbformat
import pytest

from gdm_core.course import cli
from gdm_core.course.chapters import chapters
from gdm_core.course.labs import grade as grading
from gdm_core.course.labs import student

LAB = chapters("labs")[0]
RIGHT = {"log_joint", "e_step", "m_step", "em", "choose"}
COPIED = """\
def em(x, theta, e_step, m_step, iterations):
    gamma, log_p = e_step(x, theta)
    the_history = [log_p.sum()]
    for turn in range(iterations - 1):
        theta = m_step(x, gamma)
        gamma, log_p = e_step(x, theta)
        the_history.append(log_p.sum())
    return m_step(x, gamma), the_history"""
HOSTILE = {  # code put before everything else
    "patches-checks": "from gdm_core.checks import exercise as e\n"
    "e.Exercise.verdict = lambda self, *_: e.Verdict(self.name, 'right', 'of course')",
    "patches-torch": "import torch\ntorch.Tensor.all = lambda self, *a, **k: torch.tensor(True)",
    "forks": "import os, shutil\nshutil.rmtree(os.getcwd())\nos.fork()",  # its folder is gone
    "floods": "import sys, types\nsys.modules['gdm_core.checks.lab01'] = types.ModuleType('mine')\n"  # screen and disk
    "for _ in range(10):\n    print('x' * 10**7)\nopen('big', 'wb').write(bytes(2 * 10**8))",
}
INSTEAD = {  # in place of an answer
    "wrong": {
        "log_joint": "def log_joint(*_):\n    __import__('time').sleep(1000)",
        "e_step": "def e_step(log_joint):\n    return log_joint.softmax(0), log_joint.logsumexp(1)",
        "m_step": "import os\ndef m_step(*_):\n    os._exit(0)",
        "em": COPIED,
    },
    "copied": {  # and two that were not begun
        "log_joint": "def log_joint(*_):\n    raise NotImplementedError()",
        "m_step": "def m_step(*_):\n    raise NotImplementedError()",
        "em": COPIED.replace("[log_p.sum()]", "[log_p.sum()]  # my own work"),
        "e_step": "def e_step(j):\n    try:\n        raise 1\n    except BaseException:\n        pass",
        "choose": None,  # the cell was deleted
    },
}


def solved(before="", **instead):
    nb = student.source(LAB)
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.metadata.get("exercise") in instead and "SOLUTION" in cell.source:
            cell.source = instead[cell.metadata.exercise] or ""
    if before:
        nb.cells.insert(0, nbformat.v4.new_code_cell(before))
    return nb


def hand_in(folder):
    """Nine notebooks; each that is run takes some seconds for its start alone."""
    notebooks = {name: solved(before) for name, before in HOSTILE.items()}
    notebooks |= {name: solved(**instead) for name, instead in INSTEAD.items()}
    twice = solved()
    opening, rest = twice.cells[:2], twice.cells[2:]
    again = [nbformat.from_dict({**cell, "id": f"again-{i}"}) for i, cell in enumerate(rest[::-1])]
    twice.cells = opening + again + rest  # duplicated, and the first time from the last to the first
    notebooks["twice"] = twice
    notebooks["other"] = nbformat.v4.new_notebook()
    for name, nb in notebooks.items():
        nbformat.write(nb, folder / f"{name}.ipynb")
    (folder / "no-json.ipynb").write_text("{")


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder, out = tmp_path_factory.mktemp("class"), tmp_path_factory.mktemp("out")
    hand_in(folder)
    (out / "words.csv").write_text("student,exercise,points,comment\ntwice,kinds,3,no experiment\n")
    code = cli.main(["labs", "grade", str(folder), "--out", str(out), "--seconds", "12", "--jobs", "2",
                     "--override", str(out / "words.csv")])  # fmt: skip
    with open(out / "grades-01.csv", encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert code == 0
    return folder, out, rows


def right(row):
    return {name for name in RIGHT if row[name] == "right"}


@pytest.mark.slow
@pytest.mark.xdist_group("labs-grade")
def test_everyone_has_a_row(graded):
    _, out, rows = graded
    assert float(rows["twice"]["points"]) == 26 and right(rows["twice"]) == RIGHT
    for name in ("forks", "floods"):
        assert right(rows[name]) == RIGHT, rows[name]
    assert right(rows["patches-checks"]) == set() and right(rows["patches-torch"]) <= {"choose"}, rows["patches-torch"]
    assert {rows["copied"][name] for name in ("log_joint", "m_step", "choose")} == {"not written"}
    assert rows["wrong"]["log_joint"] == "out of time" and rows["wrong"]["m_step"] == "error"
    assert rows["wrong"]["e_step"] == rows["copied"]["e_step"] == rows["wrong"]["em"] == "wrong"
    earned = {name: float(rows["wrong"][f"{name} points"]) for name in RIGHT}
    assert earned == {"log_joint": 0, "e_step": 0.71, "m_step": 0, "em": 1, "choose": 4}
    assert float(rows["wrong"]["points"]) == 5.71
    trouble = (out / "grades-none.csv").read_text()
    assert "no-json" in trouble and "needed a notebook" in trouble and "needed the notebook of a lab" in trouble


@pytest.mark.slow
@pytest.mark.xdist_group("labs-grade")
def test_feedback_mistakes_and_equal_answers(graded):
    _, out, _ = graded
    page = (out / "feedback" / "wrong.html").read_text(encoding="utf-8")
    assert "you normalized over the examples · right so far: form<td>0.71 of 5" in page
    assert "require(" not in page and "logsumexp" not in page
    assert "no experiment" in (out / "feedback" / "twice.html").read_text(encoding="utf-8")
    assert "01,em,the history has sums: log-likelihood per example is a mean over examples,2" in (
        out / "mistakes.csv"
    ).read_text(encoding="utf-8")
    assert (out / "equal.csv").read_text() == "lab,exercise,students\n01,em,copied wrong\n"


@pytest.mark.slow
@pytest.mark.xdist_group("labs-grade")
def test_a_run_that_broke_off_is_taken_up_again(graded, monkeypatch):
    folder, out, _ = graded
    (out / "results" / "twice.json").unlink()
    asked = []
    monkeypatch.setattr(grading.checking, "check", lambda path, **_: asked.append(path.stem) or [])
    grading.grade(folder, out, home=LAB.source.parents[2], jobs=1, seconds=12.0)
    assert asked == ["twice"]
    kept = json.loads((out / "results" / "wrong.json").read_text(encoding="utf-8"))
    assert kept["row"]["student"] == "wrong" and kept["about"][2] == list(grading.SEEDS)


def test_what_cannot_be_graded_is_said_in_words(tmp_path):
    with pytest.raises(ValueError, match="needed notebooks to grade, got none in"):
        grading.grade(tmp_path, tmp_path / "out", home=tmp_path)
    (tmp_path / "a.ipynb").write_text("{")
    (tmp_path / "words.csv").write_text("name,points\na,3\n")
    with pytest.raises(ValueError, match="needed a CSV file with the columns student,exercise,points,comment"):
        grading.grade(tmp_path, tmp_path / "out", home=tmp_path, override=tmp_path / "words.csv")


def test_no_cell_of_a_table_is_a_formula():
    assert grading._table(["a"], [["=1+1"], [-1], ["-x"]]) == b"a\n'=1+1\n-1\n'-x\n"


def test_right_answers_are_not_counted_as_equal_where_they_are_ours(tmp_path):
    names = {}
    for name in ("one", "two"):
        nbformat.write(solved(), tmp_path / f"{name}.ipynb")
        names[tmp_path / f"{name}.ipynb"] = name
    assert grading._equal(names, LAB.source.parents[2]) == []
