"""Labs: what students get, what a notebook is told on the command line, and what lint asks of a lab."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import nbformat
import pytest

from gdm_core.checks.exercise import Verdict
from gdm_core.course import cli
from gdm_core.course.chapters import Chapter, chapters
from gdm_core.course.labs import commands, student
from gdm_core.course.labs.build import for_students
from gdm_core.course.labs.check import check, table
from gdm_core.course.labs.key import write_key
from gdm_core.course.lint import lint

ROOT = Path(__file__).parents[1]
LABS = chapters("labs", ROOT)
BY_NAME = [pytest.param(lab, id=lab.name) for lab in LABS]
FUNCTION = """\
def double(x):
    ### BEGIN SOLUTION
    secret_factor = 2
    return secret_factor * x
    ### END SOLUTION"""


def run_all(nb):
    """What the checks print when all cells are run here, in order; a cell that raises fails the test."""
    said, names = {}, {}
    for cell in nb.cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(cell.source, cell.source[:40], "exec"), names)
            if student.is_check(cell):
                said[cell.metadata.exercise] = out.getvalue()
    return said


def test_solutions_are_cut_out_at_their_indent():
    two = f"{FUNCTION}\n\n{FUNCTION.replace('double', 'triple')}"
    gap = "    # Your code here\n    raise NotImplementedError()"
    parts = student.SOLUTION.sub(student.GAP, two).split("\n\n")
    assert parts == [f"def {name}(x):\n{gap}" for name in ("double", "triple")]


@pytest.mark.parametrize("lab", BY_NAME)
def test_an_untouched_notebook_runs_to_its_end_and_hears_that_nothing_is_written(lab):
    nb = nbformat.read(lab.notebook, 4)
    assert run_all(nb) == {
        name: f"· {name}: not written yet\n" for name, about in student.exercises(nb).items() if about["checked"]
    }


@pytest.mark.slow
@pytest.mark.parametrize("lab", BY_NAME)
def test_the_solutions_are_right_and_draw_their_pictures(lab):
    said = run_all(student.source(lab))
    assert said and all(line == f"✓ {name}: the checks found no mistake\n" for name, line in said.items()), said


@pytest.mark.parametrize("lab", BY_NAME)
def test_nothing_of_the_solutions_is_left(lab):
    source, text = student.source(lab), lab.notebook.read_text(encoding="utf-8")
    secrets = list(student.secrets(source))
    assert secrets and not [line for line in secrets if json.dumps(line)[1:-1] in text]
    nb = nbformat.read(lab.notebook, 4)
    assert not [cell for cell in nb.cells if cell.get("outputs") or cell.get("execution_count")]


def solved(tmp_path, **answers):
    """Lab 01 as a student who is right left it, but with other code for some exercises."""
    nb = student.source(LABS[0])
    for cell in nb.cells:
        name = cell.metadata.get("exercise")
        if cell.cell_type == "code" and student.SOLUTION.search(cell.source) and name in answers:
            cell.source = answers[name]
    path = tmp_path / "mine.ipynb"
    nbformat.write(nb, path)
    return path


@pytest.mark.slow
def test_a_loop_and_a_dead_process_cost_their_exercise_alone(tmp_path):
    path = solved(
        tmp_path,
        log_joint="def log_joint(x, weights, means, stds):\n    while True:\n        __import__('time').sleep(1)",
        e_step="def e_step(log_joint):\n    return log_joint.softmax(0), log_joint.logsumexp(1)",
        m_step="import os\ndef m_step(x, gamma):\n    os._exit(0)",
        em="import time\ntime.sleep(1000)",
        kinds="",
    )
    verdicts = {v.exercise: v for v in check(path, seconds=8)}
    kinds = {name: v.kind for name, v in verdicts.items()}
    assert kinds == {"log_joint": "out of time", "e_step": "wrong", "m_step": "error", "em": "out of time",
                     "choose": "right", "kinds": "to read"}, verdicts  # fmt: skip
    assert verdicts["m_step"].said == "it ended Python" and "in cell" in verdicts["em"].said
    assert "you normalized over the examples" in verdicts["e_step"].said


def test_next_opens_the_first_lab_with_something_left(monkeypatch, capsys):
    left = {"01_mixtures": Verdict("e_step", "wrong", "no"), "02_ppca": Verdict("posterior", "not written", "")}
    monkeypatch.setattr(commands.checking, "check", lambda path: [left.get(path.stem, Verdict("a", "right", "fine"))])
    opened = []
    assert commands.main(["next"], lambda options: opened.append(options) or 0) == 0
    assert opened == [["--LabApp.default_url=/lab/tree/labs/01_mixtures.ipynb"]]
    assert capsys.readouterr().out == "01_mixtures: left to do: e_step\n"
    left.clear()
    assert commands.main(["next"], opened.append) == 0 and len(opened) == 1
    assert capsys.readouterr().out.endswith("Nothing is left to do in the labs that there are.\n")


@pytest.mark.slow
def test_the_command_prints_a_row_an_exercise(tmp_path, capsys):
    path = solved(
        tmp_path,
        log_joint="def log_joint(x, weights, means, stds):\n    return x.no_such_thing",
        e_step="def e_step(log_joint:\n    return 1",
        m_step="%time x = 1\nprint('noise' * 10000)\ndef m_step(x, gamma):\n    raise NotImplementedError()",
        choose="raise SystemExit",
    )
    assert cli.main(["labs", "check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path) and len(lines) == 7
    rows = [line.split(maxsplit=2) for line in lines[1:]]
    assert [row[:2] for row in rows] == [["!", "log_joint"], ["!", "e_step"], ["·", "m_step"], ["✓", "em"],
                                         ["!", "choose"], ["?", "kinds"]]  # fmt: skip
    assert "AttributeError" in lines[1] and "`return x.no_such_thing`" in lines[1] and "SyntaxError" in lines[2]
    assert "its cell raised SystemExit" in lines[5]


def test_what_is_no_lab_is_refused_in_words(tmp_path, capsys):
    (tmp_path / "text.ipynb").write_text("not json")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "other.ipynb")
    needs = {"text": "needed a notebook, got text.ipynb, which is none", "gone": "needed a notebook, got no file",
             "other": "needed the notebook of a lab, got other.ipynb"}  # fmt: skip
    for name, needed in needs.items():
        assert cli.main(["labs", "check", str(tmp_path / f"{name}.ipynb")]) == 2
        assert needed in capsys.readouterr().err


@pytest.mark.slow
def test_the_key_has_solutions_and_hints():
    """And it is what `make test` leaves behind for a teacher: a table of exercises, wrong answers and hints."""
    text = write_key(ROOT).read_text(encoding="utf-8")
    assert "counts = gamma.sum(0)" in text and "Rubric" in text
    assert "<td>softmax of columns<td>✗ e_step: γ must sum to one over the components of an example" in text


def test_the_key_says_how_often_a_hint_was_given(copied, tmp_path):
    hint = "the weights are missing: log π_k belongs to the sum"
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    grades = tmp_path / "build" / "grades" / "mistakes.csv"
    grades.parent.mkdir(parents=True)
    grades.write_text(f"lab,exercise,hint,count\n01,log_joint,{hint},7\n02,log_joint,{hint},5\n", encoding="utf-8")
    text = write_key(tmp_path).read_text(encoding="utf-8")
    assert f"<td>prior forgotten<td>✗ log_joint: {hint} · right so far: form<td>7" in text and "<td>5" not in text


@pytest.fixture
def copied(tmp_path):
    """Lab 01 in a course of its own, where it can be spoiled."""
    (tmp_path / "labs" / "src").mkdir(parents=True)
    (tmp_path / "lectures").mkdir()
    (tmp_path / "lectures" / "01_mixtures.ipynb").touch()
    lab = Chapter(Path(shutil.copy(LABS[0].source, tmp_path / "labs" / "src")))
    shutil.copy(LABS[0].notebook, lab.notebook)
    return lab


FAULTS = {
    "hints": ("<details><summary>Hint 2: the density", "<details><summary>Help: the density", "needed 2 hints"),
    "equation": ("$$", "$", "needed the equation"),
    "signature": (") -> Tensor:", "):", "needed a typed signature"),
    "minutes": ("Time: 80 minutes", "Time: 70 minutes", "needed Time: 80 minutes"),
    "too-long": ('"minutes": 20', '"minutes": 40', "needed exercises of at most 90 minutes"),
    "difficulty": ('"difficulty": 1', '"difficulty": 7', "needed difficulty from 1 to 5"),
    "markers": ("    ### BEGIN SOLUTION\n    square", "    square", "needed no solution in"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_lint_sees_a_fault_in_the_source(copied, fault):
    before, after, needed = FAULTS[fault]
    assert lint(copied) == []
    text = copied.source.read_text(encoding="utf-8")
    assert before in text
    copied.source.write_text(text.replace(before, after), encoding="utf-8")
    nbformat.write(for_students(copied, student.folded(nbformat.read(copied.notebook, 4))), copied.notebook)
    found = lint(Chapter(copied.source))  # which reads it anew
    assert [c for c in found if needed in c], found


def test_lint_sees_what_was_changed_after_the_build(copied):
    nb = nbformat.read(copied.notebook, 4)
    nb.cells[3].source += "\n# mine"
    nbformat.write(nb, copied.notebook)
    assert [c for c in lint(copied) if "needed the notebook of the source as it is" in c]
    pictures = {k: v for k, v in student.folded(nb).items() if k != "em"}
    nbformat.write(for_students(copied, pictures), copied.notebook)
    assert lint(copied) == [
        "exercise em: needed the picture that a right answer makes, got none; try show=... in its check"
    ]


def test_a_table_is_one_line_an_exercise():
    rows = table([Verdict("e", "right", "good"), Verdict("long", "wrong", "bad")]).splitlines()
    assert rows == ["  ✓ e     right        good", "  ✗ long  wrong        bad"]
