"""The checks of the labs are themselves checked: each wrong answer gets its own hint, each right one is accepted."""

import importlib
import pkgutil
from collections import Counter

import answers
import pytest
import torch

from gdm_core import checks
from gdm_core.checks import lab03
from gdm_core.checks.answers import Answer
from gdm_core.checks.exercise import SEEDS, Wrong, exercises

LABS = sorted(m.name for m in pkgutil.iter_modules(checks.__path__) if m.name.startswith("lab"))
GIVEN = [(lab, answer) for lab in LABS for answer in answers.of(lab)]


def exercise(lab, name):
    return exercises(importlib.import_module(f"gdm_core.checks.{lab}"))[name]


def by_name(right):
    return [pytest.param(lab, a, id=f"{lab}-{a.exercise}-{a.__name__}") for lab, a in GIVEN if (a.hint == "") == right]


@pytest.mark.parametrize("lab, answer", by_name(right=False))
def test_a_wrong_answer_is_refused_with_its_own_hint(lab, answer):
    for seed in (0, 1, 20):
        verdict = exercise(lab, answer.exercise).verdict(answer, seed)
        assert verdict.kind == "wrong" and answer.hint in verdict.said and "\n" not in str(verdict), verdict
        assert verdict.credit < 0.81, verdict


@pytest.mark.parametrize("lab, answer", by_name(right=True))
def test_a_right_answer_is_accepted(lab, answer):
    for seed in (1, 2, *SEEDS):  # a grader asks with no others
        verdict = exercise(lab, answer.exercise).verdict(answer, seed)
        assert verdict.kind == "right" and verdict.credit == 1, verdict


EARNED = {  # exercise -> for how many of its points its wrong answers are good
    "lab01-log_joint": {0, 1 / 5, 4 / 5},
    "lab01-e_step": {0, 1 / 7, 3 / 7, 5 / 7},
    "lab01-m_step": {0, 1 / 6, 3 / 6},
    "lab03-draw": {1 / 6, 3 / 6},
    "lab05-join": {0, 3 / 5},
}


@pytest.mark.parametrize("name", EARNED)
def test_what_is_right_before_the_first_mistake_counts(name):
    lab, _, which = name.partition("-")
    check = exercise(lab, which)
    verdicts = [check.verdict(a) for at, a in GIVEN if (at, a.exercise) == (lab, which) and a.hint]
    assert {round(v.credit, 6) for v in verdicts} == {round(share, 6) for share in EARNED[name]}


def test_right_draws_are_refused_as_often_as_is_said(monkeypatch):
    """Within 2.5 errors in place of 5: 12 moments, each outside with probability 0.0124, are 14 % of right answers."""
    monkeypatch.setattr(lab03, "ERRORS", 2.5)
    generator, mean, std, refused = torch.Generator().manual_seed(0), torch.zeros(3), torch.tensor([0.5, 1.0, 2.0]), 0
    for _ in range(400):
        try:
            lab03._moments(std * torch.randn(lab03.DRAWS, 3, generator=generator), mean, std)
        except Wrong:
            refused += 1
    assert 0.09 < refused / 400 < 0.2, refused


@pytest.mark.parametrize("lab", LABS)
def test_a_check_comes_to_all_of_its_parts(lab):
    answers_of = {a.exercise: a for at, a in GIVEN if at == lab and not a.hint}
    for name, check in exercises(importlib.import_module(f"gdm_core.checks.{lab}")).items():
        asked = Answer(answers_of[name])
        check.look(asked, torch.Generator().manual_seed(0))
        assert set(asked.parts) == set(check.weights), name


@pytest.mark.parametrize("lab", LABS)
def test_every_exercise_has_six_mistakes_and_three_designs(lab):
    for name in exercises(importlib.import_module(f"gdm_core.checks.{lab}")):
        mine = [a for at, a in GIVEN if (at, a.exercise) == (lab, name)]
        hints = Counter(a.hint for a in mine if a.hint)
        assert len(hints) >= 6 and len(mine) - hints.total() >= 3, name
