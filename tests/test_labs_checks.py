"""The checks of the labs are themselves checked: each wrong answer gets its own hint, each right one is accepted."""

import importlib
import pkgutil
from collections import Counter

import answers
import pytest

from gdm_core import checks
from gdm_core.checks.exercise import exercises

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


@pytest.mark.parametrize("lab, answer", by_name(right=True))
def test_a_right_answer_is_accepted(lab, answer):
    for seed in range(5):
        verdict = exercise(lab, answer.exercise).verdict(answer, seed)
        assert verdict.kind == "right", verdict


@pytest.mark.parametrize("lab", LABS)
def test_every_exercise_has_six_mistakes_and_three_designs(lab):
    for name in exercises(importlib.import_module(f"gdm_core.checks.{lab}")):
        mine = [a for at, a in GIVEN if (at, a.exercise) == (lab, name)]
        hints = Counter(a.hint for a in mine if a.hint)
        assert len(hints) >= 6 and len(mine) - hints.total() >= 3, name
