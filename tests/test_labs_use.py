"""A student's answers in place of ours: which are taken, what runs on them, and that nothing is mixed up."""

import importlib
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from gdm_core import explorers, kept, latent, yours
from gdm_core.checks.exercise import Verdict
from gdm_core.course import cli, kernels
from gdm_core.course.chapters import chapters
from gdm_core.course.labs import student, trials
from gdm_core.course.labs import use as using
from gdm_core.course.labs.use import code_of
from gdm_core.explorers import style_vaes

LABS = {f"lab{lab.number}": lab for lab in chapters("labs", Path(__file__).parents[1])}
SLERP = "def slerp(a, b, t):\n    return a + 0 * t[:, None] * b\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GDM_YOURS", str(tmp_path / "yours"))
    yours.forget()
    yield tmp_path / "yours"
    yours.forget()


def put(home, exercise, code):
    home.mkdir(exist_ok=True)
    (home / f"{exercise}.py").write_text(code, encoding="utf-8")
    yours.forget()
    return home / f"{exercise}.py"


def test_an_answer_is_asked_in_place_of_ours_and_says_so_once(home, capsys):
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    ours = latent.interpolate(a, b, 3, spherical=True)
    assert capsys.readouterr().out == "" and ours[1, 1] > 0.7
    put(home, "lab05.slerp", SLERP)
    for _ in range(2):
        assert torch.equal(latent.interpolate(a, b, 3, spherical=True), a.expand(3, 2))
    assert capsys.readouterr().out == (
        "Yours: latent.interpolate runs on your slerp of lab05; gdm labs use --none takes it out.\n"
    )
    assert latent.interpolate(a, b, 3)[1, 1] == 0.5, "the straight walk is no exercise"
    assert cli.main(["labs", "use", "--none"]) == 0 and yours.files() == {}
    yours.forget()
    assert torch.equal(latent.interpolate(a, b, 3, spherical=True), ours)


def test_an_error_says_whose_code_it_was(home):
    put(home, "lab05.without", "def without(v, others):\n    return v.nothing_of_the_kind\n")
    with pytest.raises(AttributeError) as error:
        latent.remove(torch.ones(3), torch.tensor([1.0, 0, 0]))
    assert error.value.__notes__ == [
        "Here latent.remove runs on your own lab05.without; gdm labs use --none takes it out."
    ]


def test_kept_models_are_not_mixed_with_ours(home):
    place = lambda recipe: kept.place(recipe, 0, {})
    ours, of_others = place(style_vaes.plain_vae), place(paints_nothing)
    put(home, "lab04.kl", "def kl(mean, log_std):\n    return mean.sum(1)\n")
    theirs = place(style_vaes.plain_vae)
    assert theirs != ours and place(paints_nothing) == of_others
    assert theirs.name.rpartition("-")[0] != ours.name.rpartition("-")[0], "or saving one would delete the other"
    put(home, "lab04.kl", "def kl(mean, log_std):\n    return log_std.sum(1)\n")
    assert place(style_vaes.plain_vae) not in (ours, theirs)
    put(home, "lab04.kl", "").unlink()
    assert place(style_vaes.plain_vae) == ours


def paints_nothing(device="cpu"):
    return torch.nn.Linear(1, 1), iter(())


def test_an_explorer_says_what_it_runs_on(home):
    plain = explorers.mixtures().caption
    put(home, "lab01.m_step", "def m_step(x, gamma):\n    raise NotImplementedError\n")
    put(home, "lab05.slerp", SLERP)
    stage = explorers.mixtures()
    assert stage.spec["caption"] == f"{plain} Runs on your m_step; gdm labs use --none takes it out."


def test_builds_and_checks_start_without(home):
    put(home, "lab05.slerp", SLERP)
    with kernels.clean() as env:
        assert not Path(env["GDM_YOURS"]).exists()


def test_an_answer_is_cut_out_with_what_it_reads_alone():
    cells = [
        "%matplotlib inline\nimport math, os\nimport torch as t\n!ls\nt.manual_seed(0)\nN = 3\nunused = open('none')",
        "def half(x):\n    return x / TWO",
        "TWO = 2\ndef mine(x: t.Tensor):\n    return half(x) * N + math.pi\nmine(t.ones(1))",
        "def broken(:",
        "def later(x):\n    return mine(x)",
    ]
    code = code_of(new_notebook(cells=[new_code_cell(c) for c in cells]), "mine")
    for told in ("import math, os", "import torch as t", "N = 3", "def half", "TWO = 2", "def mine"):
        assert told in code
    for left in ("unused", "seed", "later", "get_ipython", "mine(t.ones"):
        assert left not in code
    names = {}
    exec(code, names)
    assert abs(names["mine"](2.0) - 6.14159) < 1e-4
    assert code_of(new_notebook(), "mine") == ""


@pytest.mark.parametrize("exercise", trials.TRIALS)
def test_a_solution_can_stand_in_for_ours(exercise, home):
    lab, _, name = exercise.partition(".")
    path = put(home, exercise, code_of(student.source(LABS[lab]), name))
    assert trials.difference(path) == ""
    assert yours.PLACES[exercise] and hasattr(importlib.import_module(f"gdm_core.checks.{lab}"), name)


def test_every_place_is_tried():
    assert set(yours.PLACES) == set(trials.TRIALS)


OTHERS = {  # that the checks accept, or may, and that would harm a lecture
    "numpy": ("lab04.kl", "import numpy as np\ndef kl(m, s):\n    return np.sum(m, 1)", "ours it raised TypeError"),
    "no-gradients": ("lab04.free_bits", "def free_bits(kl, floor):\n    return kl.detach().mean(0).clamp(floor).sum()",
                     "no gradients flow"),
    "float64": ("lab04.kl", "def kl(m, s):\n    return (0.5 * (m ** 2 + (2 * s).exp() - 1) - s).double().sum(1)",
                "needed torch.float32 (4,) for inputs in torch.float32, got torch.float64 (4,)"),
    "a-float": ("lab04.free_bits", "def free_bits(kl, floor):\n    return kl.mean(0).clamp(min=floor).sum().item()",
                "got float"),
    "wrong": ("lab05.slerp", SLERP, "it says something else than ours"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_what_would_harm_a_lecture_stays_out(case, home):
    exercise, code, reason = OTHERS[case]
    assert reason in trials.difference(put(home, exercise, code))


def test_what_the_checks_call_wrong_stays_out(home, monkeypatch):
    said = {"slerp": Verdict("slerp", "right", ""), "without": Verdict("without", "wrong", "no")}
    monkeypatch.setattr(using, "_checked", lambda *_: said)
    monkeypatch.setattr(using, "_tried", lambda _: {})
    rows = {name: (place, why) for name, place, why in using.use(LABS["lab05"].notebook)}
    assert rows["slerp"] == ("latent.interpolate", "") and rows["without"] == ("", "wrong: no")
    assert list(yours.files()) == ["lab05.slerp"]


@pytest.mark.slow
def test_the_command_takes_what_is_right_and_says_why_the_rest_stays_ours(home, tmp_path, capsys):
    nb = student.source(LABS["lab05"])
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.metadata.get("exercise") == "without" and "SOLUTION" in cell.source:
            cell.source = "def without(v, others):\n    return v"
    nbformat.write(nb, tmp_path / "mine.ipynb")
    put(home, "lab05.without", "# of an earlier day")
    put(home, "lab02.posterior", "# of another lab")
    assert cli.main(["labs", "use", str(tmp_path / "mine.ipynb")]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  · board    stays ours: no function of the library has this form",
        "  ✓ slerp    latent.interpolate",
        "  · without  stays ours: wrong: nothing was taken away",
        "  · join     stays ours: no function of the library has this form",
        "In use: lab02.posterior, lab05.slerp. An open kernel keeps what it began with.",
        "`gdm labs use --none` makes all ours again.",
    ]
    assert list(yours.files()) == ["lab02.posterior", "lab05.slerp"]
