"""Notebooks for a class: data of their own, the same wherever they are asked for, and again at the grader."""

import csv
from pathlib import Path

import nbformat
import pytest

from gdm_core.course import cli
from gdm_core.course.chapters import chapters
from gdm_core.course.labs import grade as grading
from gdm_core.course.labs import handout
from gdm_core.course.labs.check import check

HOME = Path(__file__).parents[1]
LABS = chapters("labs", HOME)


def test_seeds_follow_from_names_alone():
    assert handout.seed_of("ada") == 1282914734 and handout.seed_of("bob") != handout.seed_of("ada")
    assert len({handout.seed_of(f"student {i}") for i in range(500)}) == 500


def test_a_class_gets_notebooks_and_keeps_what_it_wrote(tmp_path, capsys):
    (tmp_path / "names.txt").write_text("ada\n\nbob b. \n", encoding="utf-8")
    command = ["labs", "hand", str(tmp_path / "names.txt"), "01", "03", "--out", str(tmp_path / "class")]
    assert cli.main(command) == 0 and capsys.readouterr().out.startswith("4 notebooks in")
    mine = tmp_path / "class" / "ada" / "01_mixtures.ipynb"
    nb, ours = nbformat.read(mine, 4), nbformat.read(LABS[0].notebook, 4)
    assert nb.metadata["gdm"] == {**ours.metadata["gdm"], "student": "ada"}
    changed = [(a.source, b.source) for a, b in zip(ours.cells, nb.cells) if a.source != b.source]
    rest = "of the digits below; in a class everyone has others"
    assert changed == [(f"SEED = 0  # {rest}", f"SEED = {handout.seed_of('ada')}  # {rest}")]
    mine.write_text("answers")
    assert cli.main(command) == 0 and mine.read_text() == "answers"
    (tmp_path / "names.txt").write_text("../other\n")
    assert cli.main(command) == 2 and "needed names of letters" in capsys.readouterr().err


@pytest.mark.parametrize("lab", [pytest.param(lab, id=lab.name) for lab in LABS])
def test_a_lab_that_asks_for_own_data_uses_them(lab):
    nb = nbformat.read(lab.notebook, 4)
    own, code = list(filter(handout.is_own, nb.cells)), [c.source for c in nb.cells if c.cell_type == "code"]
    assert len(own) == any("SEED" in source for source in code) and len(own) <= 1
    assert not own or (handout.SEED.search(own[0].source) and any("seed=SEED" in source for source in code))


PROBE = "def log_joint(x, weights, means, stds):\n    raise ValueError(f'SEED is {SEED}')"


def test_the_grader_asks_for_the_seed_of_whom_it_was_handed_to(tmp_path, monkeypatch):
    handout.hand_out(LABS[:1], ["ada"], tmp_path / "class")
    asked = []
    monkeypatch.setattr(grading.checking, "check", lambda path, **options: asked.append(options["own"]) or [])
    (row,) = grading.grade(tmp_path / "class", tmp_path / "out", home=HOME, jobs=1)
    assert asked == [row["seed"]] == [handout.seed_of("ada")] and "note" not in row


@pytest.mark.slow
def test_the_grader_sets_the_seed_again_and_says_whose_notebook_it_was(tmp_path):
    """One of ada's notebooks in bob's folder, whose SEED was changed by hand."""
    handout.hand_out(LABS[:1], ["ada"], tmp_path / "class")
    nb = nbformat.read(tmp_path / "class" / "ada" / "01_mixtures.ipynb", 4)
    nb.cells = [c for c in nb.cells if handout.is_own(c)]
    nb.cells[0].source = f"SEED = 5\n{PROBE}"
    (tmp_path / "in" / "bob").mkdir(parents=True)
    nbformat.write(nb, tmp_path / "in" / "bob" / "01_mixtures.ipynb")
    (row,) = grading.grade(tmp_path / "in", tmp_path / "out", home=HOME, jobs=1)
    assert row["seed"] == handout.seed_of("ada") and f"SEED is {row['seed']}" in row["verdicts"][0]["said"]
    with open(tmp_path / "out" / "grades-01.csv", encoding="utf-8", newline="") as file:
        (told,) = csv.DictReader(file)
    assert (told["seed"], told["trouble"]) == (str(row["seed"]), "handed out to ada")
    assert "SEED is 5" in check(tmp_path / "in" / "bob" / "01_mixtures.ipynb")[0].said, (
        "at home it is what the cell says"
    )
