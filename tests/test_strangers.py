"""Faults drawn by a public tool: what is drawn, who is asked, what is kept.  The tool itself is stood in for."""

import shutil
from collections import Counter

import pytest
from mutants import strangers
from mutants.imports import Imports
from mutants.plant import Planter

FILES = {
    "shop/__init__.py": "",
    "shop/price.py": "def total(a, b):\n    return a + b\ndef label(x):\n    return f'{x}'\n",
    "shop/bill.py": "from shop.price import total\ndef bill(a, b):\n    return total(a, b)\n",
    "shop/tax.py": "RATE = 3\n",
    "tests/test_price.py": "from shop import price, tax\ndef test_red(): assert price.total(1, 1) == 3\n"
    "def test_tax(): assert tax.RATE == 3\ndef test_total(): assert price.total(2, 2) == 4\n",
    "tests/test_bill.py": "from shop.bill import bill\ndef test_bill(): assert bill(2, 3) == 5\n",
    "tests/test_elsewhere.py": "def test_it(): assert True\n",
}
PRICE = FILES["shop/price.py"]
DRAWN = [
    (2, "by near", PRICE.replace("a + b", "a - b")),
    (2, "by far", PRICE.replace("a + b", "a * b")),  # 2 * 2 is 4
    (4, "by nobody", PRICE.replace("{x}", "{x} ")),
    (2, "no name", PRICE.replace("a + b", "a + c")),
    (2, "no import", f"import no_such_module\n{PRICE}"),
]


@pytest.fixture(scope="module")
def planter(tmp_path_factory):
    with Planter(tmp_path_factory.mktemp("shop"), shared=()) as planter:
        yield planter


@pytest.fixture
def shop(planter, monkeypatch):
    """A package of three modules with its tests, where nothing was measured yet."""
    for folder in planter.root.iterdir():
        shutil.rmtree(folder)
    for name, text in FILES.items():
        (planter.root / name).parent.mkdir(parents=True, exist_ok=True)
        (planter.root / name).write_text(text)
    monkeypatch.setattr(strangers, "faults", lambda text, lines, rng: DRAWN[:lines])
    return planter.root


def measured(planter):
    found = strangers.Strangers(planter, 0).measure(planter.root / "shop/price.py", 5)
    return {operator: (result["outcome"], result["by"]) for _, operator, _, result in found}


def test_the_nearest_tests_are_asked_first(shop, planter):
    near = strangers.askable(shop / "shop/price.py", Imports(shop))
    assert {t.name: steps for t, steps in near.items()} == {"test_price.py": 1, "test_bill.py": 2}
    missing = "ModuleNotFoundError: No module named 'no_such_module'"
    assert measured(planter) == {
        "by near": ("killed", "tests/test_price.py::test_total"),
        "by far": ("killed", "tests/test_bill.py::test_bill"),
        "by nobody": ("survived", ""),
        "no name": ("killed", "tests/test_price.py::test_total"),
        "no import": ("broken", f"the faulty file does not import: {missing}"),
    }


def test_what_was_noticed_is_kept_and_what_survived_is_planted_again_when_tests_change(shop, planter, monkeypatch):
    first = measured(planter)
    planted = []
    plant = strangers.Strangers.plant
    monkeypatch.setattr(strangers.Strangers, "plant", lambda self, *a: planted.append(a) or plant(self, *a))
    assert measured(planter) == first and not planted
    with open(shop / "tests/test_bill.py", "a") as f:
        f.write("from shop.price import label\ndef test_label(): assert label(1) == '1'\n")
    assert measured(planter) == first | {"by nobody": ("killed", "tests/test_bill.py::test_label")}
    assert len(planted) == 1


def test_a_test_that_became_red_without_a_fault_kills_nothing(shop, planter):
    measured(planter)
    (shop / "shop/tax.py").write_text("RATE = 4")
    planter.ask(["tests/test_elsewhere.py"])  # no nursery lives on that knows the old rate
    again = strangers.Strangers(planter, 0)
    assert again.plant(shop / "shop/price.py", DRAWN[2][2]) == ("survived", "")
    assert again.plant(shop / "shop/price.py", DRAWN[0][2]) == ("killed", "tests/test_price.py::test_total")


def test_a_fault_that_does_not_import_within_a_test_kills_nothing(shop, planter):
    late = "def test_total():\n    from shop import price\n    assert price.total(2, 2) == 4\n"
    (shop / "tests/test_price.py").write_text(late)
    assert strangers.Strangers(planter, 0).plant(shop / "shop/price.py", DRAWN[4][2])[0] == "broken"


def test_report_counts_out_of_time_as_noticed_and_leaves_out_what_is_broken():
    counts = Counter({"killed": 2, "survived": 1, "out of time": 1, "broken": 6})
    assert "75%" in strangers._report({"a.py": counts}).splitlines()[-1]


def test_faults_of_the_real_tool(monkeypatch):
    import random

    monkeypatch.syspath_prepend(str(strangers.ROOT / strangers.COSMIC_RAY))
    pytest.importorskip("cosmic_ray", reason="needed cosmic-ray, an occasional tool; see mutants/strangers.py")
    text = "def f(x: int | None) -> int:\n    if x == 1:\n        return x + 2\n    return 0\n"
    found = strangers.faults(text, 9, random.Random(0))
    assert [line for line, _, _ in found] == [2, 3, 4]  # one fault a line, none in the type hint
    assert strangers.faults(text, 9, random.Random(0)) == found != strangers.faults(text, 9, random.Random(1))
    for line, _, changed in found:
        differing = [i for i, (a, b) in enumerate(zip(text.splitlines(), changed.splitlines()), 1) if a != b]
        assert differing == [line]


@pytest.mark.slow
def test_modules_are_named_by_path(shop):
    names = lambda *words: [f.name for f in strangers.modules(list(words), shop)]
    assert names("shop/price.py") == ["price.py"] and names("shop") == ["__init__.py", "bill.py", "price.py", "tax.py"]
    with pytest.raises(ValueError, match="needed modules of the course, got shop/none.py"):
        names("shop/none.py")
