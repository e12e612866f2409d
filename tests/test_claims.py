"""A claim holds or raises, prints one line, and prose cannot say a number that none printed."""

import math
from decimal import Decimal

import nbformat
import numpy as np
import pytest
import torch

from gdm_core.course.claims import ClaimFailed, claim, spell
from gdm_core.course.readouts import claimed, measured, unclaimed


@pytest.fixture(autouse=True)
def needed(monkeypatch):
    """What was needed is printed as well."""
    monkeypatch.setenv("GDM_NEEDED", "1")


def printed(capsys, *args, **kwargs):
    assert claim(*args, **kwargs) is None  # a cell may end in a claim and print nothing else
    return capsys.readouterr().out


def test_line(capsys):
    assert printed(capsys, "gap", 0.12345, below=0.2) == "✓ gap: 0.123 (needed ≤ 0.2)\n"
    assert printed(capsys, "gain: at least", 2.5, above=1, unit="nats") == "✓ gain: at least 2.5 nats (needed ≥ 1)\n"
    assert printed(capsys, "ends: at t = 1", 2.5, above=1) == "✓ ends: at t = 1: 2.5 (needed ≥ 1)\n"
    assert printed(capsys, "share", 12.345, near=12, within=0.5, unit="%") == "✓ share: 12.3% (needed 12 ± 0.5)\n"
    assert printed(capsys, "count", 1797, near=1797, within=0) == "✓ count: 1797 (needed = 1797)\n"
    assert printed(capsys, "x", 0.5, above=0, below=1) == "✓ x: 0.5 (needed ≥ 0 and ≤ 1)\n"
    assert printed(capsys, "x", 1.23456, above=0, digits=5) == "✓ x: 1.2346 (needed ≥ 0)\n"
    assert printed(capsys, "it agrees", True) == "✓ it agrees\n"


def test_a_reader_is_spared_what_was_needed(capsys, monkeypatch):
    monkeypatch.delenv("GDM_NEEDED")
    assert printed(capsys, "gain: at least", 2.5, above=1, unit="nats") == "✓ gain: at least 2.5 nats\n"
    with pytest.raises(ClaimFailed, match="needed ≥ 1, got 0"):
        claim("gain", 0, above=1)


@pytest.mark.parametrize(
    "number, criterion, shown",
    [
        (8.9e-16, {"near": 0, "within": 2e-3}, "0"),  # rounding errors: another machine has others
        (-1.8e-15, {"near": 0, "within": 2e-3}, "0"),
        (0.0004567, {"near": 0, "within": 2e-3}, "0.00046"),  # a hundredth of the criterion
        (0.123456, {"near": 0.1, "within": 0.5}, "0.123"),
        (2.8354e-7, {"near": 0, "within": 1e-6}, "0"),
        (2.8354321, {"near": 2.8354, "within": 1e-4}, "2.8354"),  # three would look false
        (1797, {"near": 1800, "within": 1000.0}, "1797"),
        (3e-16, {"below": 1e-8}, "≤ 1e-11"),
        (-3e-16, {"below": 1e-8}, "≤ 1e-11"),
        (0.0, {"below": 1e-8}, "≤ 1e-11"),
        (3e-10, {"below": 1e-8}, "≤ 1e-09"),
        (1e-9, {"below": 1e-8}, "≤ 1e-09"),
        (2e-10, {"below": 3e-10}, "≤ 3e-10"),
        (3e-6, {"below": 1e-5}, "≤ 1e-05"),
        (3e-16, {"below": 1e-8, "above": 0}, "3e-16"),  # then its size is what is claimed
        (2e-5, {"below": 1}, "2e-05"),
        (-5.0, {"below": 1e-8}, "-5"),
        (-5.0, {"below": -1}, "-5"),
        (0.0, {"below": 0}, "0"),
        (1.23e-9, {"above": 0}, "1.23e-09"),
        (2e-16, {"above": -1e-12}, "0"),
        (-2e-13, {"above": -1e-12}, "0"),
        (2e-3, {"above": -1e-12}, "0.002"),
        (2.0, {"above": -5}, "2"),
    ],
)
def test_rounding_errors_are_left_out(number, criterion, shown, capsys):
    assert printed(capsys, "x", number, **criterion).startswith(f"✓ x: {shown} (needed")


@pytest.mark.parametrize(
    "number, criterion, line",
    [
        (0.5, {"below": 0.5733123456}, "0.5 (needed ≤ 0.573)"),  # a measured bound: three digits
        (0.5, {"below": 0.573312}, "0.5 (needed ≤ 0.573312)"),  # somebody wrote this one
        (0.1, {"near": 0, "within": 0.78667912}, "0.1 (needed 0 ± 0.787)"),
        (2.301, {"near": math.log(10), "within": 0.02}, "2.3 (needed 2.303 ± 0.02)"),
        (-60.0637, {"below": -60.04361234}, "-60.1 (needed ≤ -60)"),
        (60.04361, {"below": 60.04371234}, "60 (needed ≤ 60)"),
        (0.99641234, {"below": 0.99841234}, "0.996 (needed ≤ 0.998)"),
        (0.50041234, {"above": 0.50031234, "below": 0.7}, "0.5 (needed ≥ 0.5 and ≤ 0.7)"),
        (0.9996, {"below": 0.99991234}, "1 (needed ≤ 1)"),
        (0.9994, {"below": 0.9995}, "0.999 (needed ≤ 0.9995)"),
        (0.99961, {"below": 0.9998}, "0.9996 (needed ≤ 0.9998)"),  # 1 would look false
    ],
)
def test_what_is_needed_is_said_in_few_digits_and_never_seems_contradicted(number, criterion, line, capsys):
    assert printed(capsys, "x", number, **criterion) == f"✓ x: {line}\n"


@pytest.mark.parametrize("number", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5, requires_grad=True)])
def test_kinds_of_numbers(number, capsys):
    assert printed(capsys, "half", number, near=0.5, within=1e-9).startswith("✓ half: 0.5 (needed")


@pytest.mark.parametrize("truth", [True, np.bool_(True), torch.tensor(True)])
def test_kinds_of_truth(truth, capsys):
    assert printed(capsys, "so it is", truth) == "✓ so it is\n"


@pytest.mark.parametrize("below, above", [(1.0, None), (None, 1.0), (1.0, 1.0)])
def test_bounds_may_be_touched(below, above, capsys):
    assert printed(capsys, "touches", 1.0, below=below, above=above).startswith("✓ touches: 1 (needed")


@pytest.mark.parametrize(
    "number, criterion, said",
    [
        (1.01, {"below": 1}, "needed ≤ 1, got 1.01"),
        (0.99, {"above": 1}, "needed ≥ 1, got 0.99"),
        (0.5, {"near": 0.3, "within": 0.1}, "needed 0.3 ± 0.1, got 0.5"),
        (0.1, {"near": 0.3, "within": 0.1}, "needed 0.3 ± 0.1, got 0.1"),
        (-0.5, {"near": 0.5, "within": 0.1}, "needed 0.5 ± 0.1, got -0.5"),  # another sign is another number
        (0.5, {"near": -0.5, "within": 0.1}, "needed -0.5 ± 0.1, got 0.5"),
        (-2.0, {"below": 3, "above": 1}, "got -2"),
        (1.0000001, {"below": 1}, "got 1.0000001"),  # as many digits as it takes to see it
        (2, {"above": 0, "below": 1}, "needed ≥ 0 and ≤ 1, got 2"),
        (float("nan"), {"below": 1}, "needed a finite number, got nan"),
        (-math.inf, {"below": 1}, "needed a finite number, got -inf"),
        (torch.tensor(float("nan")), {"near": 0, "within": 1}, "finite"),
        (0.5, {}, "needed a criterion for 0.5, got none"),
        (False, {}, "needed True, got False"),
        (torch.tensor(False), {}, "needed True"),
    ],
)
def test_false_claims_raise_and_print_nothing(number, criterion, said, capsys):
    with pytest.raises(ClaimFailed, match="^the text: ") as failure:
        claim("the text", number, **criterion)
    assert said in str(failure.value)
    assert isinstance(failure.value, AssertionError)
    assert failure.value._render_traceback_() == [f"✗ {failure.value}"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "args, options",
    [
        (("x", torch.zeros(3)), {"below": 1}),
        (("x", np.zeros((1, 1))), {"below": 1}),
        (("x", "0.5"), {"below": 1}),
        (("x", 1j), {"below": 1}),
        (("x", None), {}),
        (("", 0.5), {"below": 1}),
        (("two\nlines", 0.5), {"below": 1}),
        (("x", 0.5), {"near": 0.5}),
        (("x", 0.5), {"within": 0.5}),
        (("x", 0.5), {"near": 0.5, "within": -0.1}),
        (("x", 0.5), {"below": float("nan")}),
        (("x", 0.5), {"above": -math.inf}),
        (("x", True), {"below": 1}),
        (("x", 0.5), {"below": 1, "digits": 0}),
    ],
)
def test_senseless_claims_are_refused_in_words(args, options, capsys):
    with pytest.raises(ValueError, match="needed .*, got .*; try"):
        claim(*args, **options)
    assert capsys.readouterr().out == ""


def test_spelling():
    cases = {0.0: "0", 1e-4: "0.0001", 9.999e-5: "0.0001", 2.5e-7: "2.5e-07", 123456.0: "123000", 1e6: "1e+06"}
    assert {number: spell(number) for number in cases} == cases
    assert spell(123456) == "123456" and spell(-1.005, 2) == "-1"
    rng = np.random.default_rng(0)
    for number in rng.normal(size=200) * 10.0 ** rng.integers(-9, 9, 200):
        assert float(spell(number, 4)) == pytest.approx(number, rel=5.001e-4)


PROSE = {
    "gains 0.31 nats": ["0.31"],
    "gains −0.31 and +1.5 nats": ["0.31", "1.5"],
    "from 2.6-2.8 or 2.6–2.8": ["2.6", "2.8"],
    "12% and 7 % and $3\\%$": ["12%", "7 %", "3\\%"],
    "the 1,797 digits, 37 steps, 3 colors": ["1,797", "37"],
    "1.2e-09, 3 × 10⁻⁹, $4.1 \\times 10^{-3}$": ["1.2e-09", "3 × 10^{-9}", "4.1 \\times 10^{-3}"],
    "with $k = 25$ but $\\log p = -2.84$ and $x_{12}$": ["2.84"],
    "**0.5** and _0.7_ and (0.9).": ["0.5", "0.7", "0.9"],
    "eq. 9.3, equation (12.42), chapter 12, pages 431-439": [],
    "eqs. 9.23, 9.28 and 12.4; 15 steps": ["15"],
    "## 3.12 Of 10 digits\n\nTime: 55 minutes to read, 20 more to play.": ["10"],
    "It is 0.3.\n\n**References.** A. Writer, *Book*, eq. 3; sections 2.5, 11 pages.\n\n0.7": ["0.3", "0.7"],
    "Dempster, Laird and Rubin (1977); (Bishop, 2006, eq. 9.3)": [],
    "8x8 and 28×28 and 64 × 64 × 3 pixels": [],
    "`lr=0.001` and [chapter](12_x.ipynb) and <https://a.org/1.5>": [],
    "2-D, the 12th, v3.1.4, N(0, 1)": [],
}


@pytest.mark.parametrize("prose", PROSE)
def test_numbers_that_prose_must_have_from_a_run(prose):
    assert sorted(measured(prose)) == sorted(PROSE[prose])


def notebook(printed: str, prose: str, source: str = "..."):
    code = nbformat.v4.new_code_cell(source)
    code.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)]
    return nbformat.v4.new_notebook(cells=[code, nbformat.v4.new_markdown_cell(prose)])


LINES = "loss 9.9\n✓ gap: 0.123 nats\n✓ tiny: 1.2e-09\n"


def test_prose_against_claims():
    assert claimed(notebook(LINES, "").cells) == {Decimal(n) for n in ("0.123", "1.2e-09")}
    assert unclaimed(notebook(LINES, "0.123, 0.1230, $1.2 \\cdot 10^{-9}$, −0.123")) == []
    assert unclaimed(notebook(LINES, "0.124")) == [(1, "0.124", Decimal("0.123"))]
    assert unclaimed(notebook(LINES, "0.12")) == [(1, "0.12", Decimal("0.123"))]  # the prose rounds as the claim does
    assert [n for _, n, _ in unclaimed(notebook(LINES, "9.9"))] == ["9.9"]  # printed, but nothing vouches for it
    assert unclaimed(notebook("", "0.5")) == [(1, "0.5", None)]


def test_a_claim_of_a_later_section_vouches_for_nothing():
    before, after = notebook("", "## 1.1 A\n\nIt is 0.123."), notebook(LINES, "It is 0.123.")
    both = nbformat.v4.new_notebook(cells=before.cells + after.cells)
    assert unclaimed(both) == []  # predicted, then printed, within a section
    after.cells.insert(0, nbformat.v4.new_markdown_cell("This ends one.\n\n## 1.2 B"))
    both = nbformat.v4.new_notebook(cells=before.cells + after.cells)
    assert [(index, written) for index, written, _ in unclaimed(both)] == [(1, "0.123")]


def test_prose_may_say_what_the_code_sets_a_source_measured_and_where_to_look():
    source = "%matplotlib inline\nsteps, rate = 1_500, -0.05  # not 37\nflag = True"
    assert unclaimed(notebook(LINES, "1,500 steps at 0.05", source)) == []
    assert [n for _, n, _ in unclaimed(notebook(LINES, "37 steps", source))] == ["37"]
    prose = "They trained 12,000 models (Locatello et al., 2019). Here 45 do."
    assert [n for _, n, _ in unclaimed(notebook(LINES, prose))] == ["45"]
    assert [n for _, n, _ in unclaimed(notebook(LINES, "- a book of 2006, 700 pages\n- 45 do"))] == ["45"]
    assert unclaimed(notebook(LINES, "as in 2.7"), {"2.7"}) == []
    assert [n for _, n, _ in unclaimed(notebook(LINES, "as in 2.7"), {"2.8"})] == ["2.7"]
