"""From an answer of any kind to one line."""

import random

import numpy as np
import pytest
import torch

from gdm_core.checks.answers import Answer, received
from gdm_core.checks.compare import equal, parts, same, tensor
from gdm_core.checks.exercise import Exercise, Wrong


@Exercise
def double(answer, numbers):
    x = torch.rand(3, generator=numbers, dtype=torch.float64)
    equal(tensor(answer(x), (3,), "(N,)"), 2 * x, {"that is the square": x**2}, "the result")


def helper():
    raise NotImplementedError()


def unwritten(x):
    raise NotImplementedError()


def broken(x):
    return x + undefined_name  # noqa: F821


def leaves(x):
    raise SystemExit(3)


KINDS = {
    "right": (lambda x: 2 * x, "right", "the checks found no mistake"),
    "named": (lambda x: x**2, "wrong", "that is the square"),
    "unnamed": (lambda x: 3 * x, "wrong", "needed the result["),
    "nothing": (lambda x: None, "wrong", "is there a return?"),
    "shape": (lambda x: 2 * x[:, None], "wrong", "needed the result of shape (N,) = (3,), got (3, 1)"),
    "text": (lambda x: "2x", "wrong", "needed a tensor (N,) for the result, got str"),
    "nan": (lambda x: x / 0 - x / 0, "wrong", "the result has NaN"),
    "unwritten": (unwritten, "not written", "not written yet"),
    "unwritten-part": (lambda x: helper(), "not written", "it needs helper, which is not written yet"),
    "absent": (None, "not written", "not written yet"),
    "value": (3.0, "wrong", "needed a function, got float"),
    "broken": (broken, "error", "name 'undefined_name' is not defined in the line `return x +"),
    "leaves": (leaves, "error", "your code raised SystemExit: 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
def test_kinds_of_verdicts(case, capsys):
    answer, kind, said = KINDS[case]
    verdict = double.verdict(answer)
    assert verdict.kind == kind and said in verdict.said and "\n" not in str(verdict)
    double(answer)
    assert capsys.readouterr().out == f"{verdict}\n"


@Exercise.worth(first=1, second_one=3)
def halves(answer, numbers):
    for x in (torch.ones(2), torch.zeros(2)):
        answer.part("first")
        equal(tensor(answer(x)[0], (2,), "(N,)"), x / 2, {}, "a half")
        answer.part("second one")
        equal(tensor(answer(x)[1], (2,), "(N,)"), x / 2, {}, "the other half")


@pytest.mark.parametrize("answer, right, credit", [
    (lambda x: (x / 2, x / 2), "", 1.0),
    (lambda x: (x / 2, x), "first", 0.25),
    (lambda x: (x, x / 2), "", 0.0),
    (lambda x: (x / 2 + (x == 0), x / 2), "second one", 0.75),
    (lambda x: x.nothing, "", 0.0),
    (lambda x: (x / 2, x / 2) if x.any() else x.nothing, "second one", 0.75),
])  # fmt: skip
def test_the_part_that_a_mistake_is_in_does_not_count(answer, right, credit):
    verdict = halves.verdict(answer)
    assert verdict.credit == credit and str(verdict).endswith(f" · right so far: {right}" if right else verdict.said)


def test_a_picture_follows_a_right_answer_alone():
    drawn = []
    double(lambda x: 2 * np.asarray(x), show=lambda f: drawn.append(f(torch.ones(2))))
    double(lambda x: x, show=lambda f: drawn.append("wrong"))
    assert len(drawn) == 1 and torch.equal(drawn[0], torch.full((2,), 2.0, dtype=torch.float64))


def test_a_picture_that_fails_says_so_in_one_line(capsys):
    double(lambda x: 2 * x, show=lambda f: helper())
    assert (
        capsys.readouterr().out.splitlines()[1]
        == "  no picture: NotImplementedError in the line `raise NotImplementedError()`"
    )


def test_a_fault_of_the_check_is_not_blamed_on_the_student():
    @Exercise
    def faulty(answer, numbers):
        answer(1)
        return 1 / 0

    assert faulty.verdict(lambda x: x).said.startswith("the check itself raised ZeroDivisionError")


def test_random_numbers_of_the_notebook_go_on_as_if_nothing_was():
    @Exercise
    def draws(answer, numbers):
        seen.append((answer(), torch.rand(1, generator=numbers).item()))

    def three():
        return torch.rand(1).item(), np.random.rand(), random.random()

    seen = []
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    draws.verdict(three), draws.verdict(three), draws.verdict(three, 1)
    after = three()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    assert seen[0] == seen[1] and after == three()
    assert seen[0][0] != seen[2][0] and seen[0][1] != seen[2][1]


def numpy_alone(x):
    return np.linalg.norm(x.astype(float), axis=1).copy()


def single_precision(x):
    return (x @ torch.ones(2, 1))[:, 0]


def functions(x, f):
    return np.asarray(f(x))


@pytest.mark.parametrize("answer, truth", [
    (numpy_alone, torch.tensor([5.0, 0.0])),
    (single_precision, torch.tensor([7.0, 0.0])),
    (lambda x: x.sum(1).requires_grad_(), torch.tensor([7.0, 0.0])),
    (lambda x: [row.sum() for row in x], torch.tensor([7.0, 0.0])),
])  # fmt: skip
def test_answers_of_any_design_give_float64(answer, truth):
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    got = tensor(Answer(answer)(x), (2,), "(N,)")
    assert got.dtype == torch.float64 and torch.equal(got, truth.double()) and x[0, 0] == 3


def test_answers_get_copies_and_functions_in_their_own_form():
    x = torch.ones(2, dtype=torch.float64)
    assert Answer(lambda y: y.zero_())(x).sum() == 0 and x.sum() == 2
    seen = []
    took = Answer(lambda y, f: f(y.astype(np.float32)).astype(int))(x, lambda y: (seen.append(y), 3 * y)[1])
    assert isinstance(seen[0], torch.Tensor) and took.tolist() == [3, 3]
    assert received((np.float32(2), [np.arange(2)], "k"))[0] == 2.0


def test_comparisons():
    assert same(torch.tensor([1.0, 1000.0]).double(), torch.tensor([1.00001, 1000.05]))
    assert not same(torch.tensor([1.0]), torch.tensor([1.001])) and not same(torch.ones(2), torch.ones(1))
    assert not same(torch.tensor([float("nan")]), torch.tensor([float("nan")]))
    with pytest.raises(Wrong, match=r"needed 2 things, \(a, b\), got 3 of them"):
        parts((1, 2, 3), "a", "b")
    with pytest.raises(Wrong, match="turned around"):
        tensor(torch.ones(2, 3), (3, 2), "(N, K)")
    with pytest.raises(Wrong, match=r"needed p\[1, 0\] = 2, got 5 here"):
        equal(torch.tensor([[1.0], [5.0]]), torch.tensor([[1.0], [2.0]]), {"never": None}, "p", "here")
