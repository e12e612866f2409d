"""Every planted fault must be noticed; and the planter itself must not call a kill what is none."""

import os
from collections import Counter

import pytest
from conftest import OUTCOMES
from mutants.plant import ROOT, Mutant, Planter, collect, judge
from mutants.stamps import Stamps

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needed os.fork to plant faults, got Windows; try WSL")

FAULTS = [(f"{area}:{mutant.name}", mutant) for area, mutants in collect().items() for mutant in mutants]
HOW_MANY = Counter(mutant.file for _, mutant in FAULTS)


def of_one_file(fault: tuple[str, Mutant]) -> tuple:
    """Faults of one file share what was imported, those of pages a browser; many faults first, few fill up the end."""
    file = fault[1].file
    return file.endswith(".py"), -HOW_MANY[file], file


CASES = [
    pytest.param(mutant, id=name, marks=pytest.mark.xdist_group(f"faults-{mutant.file}"))
    for name, mutant in sorted(FAULTS, key=of_one_file)
]


@pytest.fixture(scope="module")
def planter(request):
    with Planter(outcomes=request.config.stash.get(OUTCOMES, None)) as planter:
        yield planter


@pytest.fixture(scope="module")
def stamps():
    return Stamps(ROOT)


@pytest.mark.parametrize("mutant", CASES)
def test_fault_is_noticed(request, planter, stamps, mutant):
    if not request.config.getoption("all_faults") and stamps.noticed(mutant):
        pytest.skip("unchanged since it was last noticed; --all-faults plants it all the same")
    verdict = planter.run(mutant, [m for _, m in FAULTS if m.file == mutant.file])
    if verdict.outcome == "skipped":
        pytest.skip(verdict.detail)
    assert verdict.outcome == "killed", f"{mutant}\n{verdict.detail}"
    stamps.keep(mutant)


ANSWER = {
    "code": 1,
    "reports": {"t.py::test_a": "passed", "t.py::test_b": "failed"},
    "error": "AssertionError",
    "loaded": True,
    "import_error": None,
    "timed_out": False,
    "tail": "",
}


@pytest.mark.parametrize(
    "changes, outcome",
    [
        ({}, "killed"),
        ({"error": "ValueError"}, "killed"),  # such as Diverged, or a shape that no longer fits
        ({"code": 0, "reports": {"t.py::test_a": "passed"}}, "survived"),
        ({"code": 0, "loaded": False}, "broken"),
        ({"loaded": False}, "broken"),
        ({"error": "NameError"}, "broken"),
        ({"error": "UnboundLocalError"}, "broken"),
        ({"import_error": "KeyError: 1"}, "broken"),
        ({"code": 2}, "broken"),
        ({"code": 3}, "broken"),
        ({"code": 4, "reports": {}}, "broken"),
        ({"code": 5, "reports": {}}, "broken"),
        ({"code": None, "reports": {}}, "broken"),  # the child was killed by a signal
        ({"timed_out": True, "code": None}, "broken"),
    ],
)
def test_judgement(changes, outcome):
    assert judge(Mutant("m", "f.py", "a", "b", "t.py"), ANSWER | changes).outcome == outcome


TWO = """
from pathlib import Path
SCRIPT = Path(__file__).with_name("two.js")
def add(x, y):
    return x + y
def loop(n):
    while n > 0:
        n = n - 1
    return n
"""
TESTS = """
import pytest
from two import two
def test_add(): assert two.add(1, 2) == 3
def test_zero(): assert two.add(0, 0) == 0
def test_loop(): assert two.loop(3) == 0
def test_script(): assert two.SCRIPT.read_text() == "let x = 1"
def test_red(): assert two.add(1, 1) == 3
def test_absent(): pytest.skip("no such machine")
def test_elsewhere(): assert True
@pytest.fixture
def three(): return two.add(1, 2)
@pytest.mark.parametrize("n", [3, 4])
def test_fixture(three, n): assert three * n == 3 * n
"""


PAGE = """
import functools
from pathlib import Path
HERE = Path(__file__).parent
@functools.cache
def script():
    return (HERE / "two.js").read_text() + "; " + "".join(p.read_text() for p in HERE.glob("three.js"))
"""
PAGE_TESTS = """
import os
from pathlib import Path
from two import page, two
def test_script():
    Path("child").write_text(str(os.getpid()))
    while "= 0" in page.script():
        pass
    assert "2" not in page.script()
def test_add(): assert two.add(1, 2) == 3
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A package of one module and its tests, and a planter for it."""
    root = tmp_path_factory.mktemp("tiny")
    (root / "two").mkdir()
    (root / "two" / "__init__.py").touch()
    (root / "two" / "two.py").write_text(TWO)
    (root / "two" / "two.js").write_text("let x = 1")
    (root / "test_two.py").write_text(TESTS)
    (root / "test_alone.py").write_text("def test_alone(): assert True\n")
    with Planter(root, seconds=30.0, shared=()) as planter:
        yield planter


def plant(planter, old, new, tests, file="two/two.py", **more):
    ids = " ".join(t if ".py" in t else f"test_two.py::{t}" for t in tests.split())
    return planter.run(Mutant("m", file, old, new, ids, **more))


@pytest.mark.parametrize(
    "new, tests, outcome",
    [
        ("x - y", "test_add", "killed"),
        ("x - y", "test_zero test_add", "killed"),
        ("x - y", "test_fixture", "killed"),
        ("x - y", "test_two.py::test_fixture[4]", "killed"),
        ("x + y", "test_add", "survived"),  # changes nothing
        ("y + x", "test_add test_zero", "survived"),
        ("x - y", "test_zero", "survived"),
        ("x +* y", "test_add", "broken"),  # does not compile
        ("x + y\nimport no_such_module", "test_add", "broken"),  # does not import
        ("x + why", "test_add", "broken"),  # does not run
        ("x - y", "test_nothing", "broken"),
        ("x - y", "test_red", "broken"),  # fails without the fault as well
        ("x - y", "test_alone.py", "broken"),  # never loads the file
        ("x - y", "", "broken"),
        ("x - y", "test_absent", "skipped"),
    ],
)
def test_verdict(tiny, new, tests, outcome):
    assert plant(tiny, "x + y", new, tests).outcome == outcome


def test_what_must_be_replaced_occurs_once(tiny):
    assert "got it 0 times" in plant(tiny, "x * y", "x - y", "test_add").detail
    verdict = plant(tiny, "return", "return -", "test_add")
    assert verdict.outcome == "broken" and "got it 2 times" in verdict.detail
    assert plant(tiny, "x", "y", "test_add", file="two/three.py").outcome == "broken"


def test_script_read_by_its_path(tiny):
    assert plant(tiny, "x = 1", "x = 2", "test_script", file="two/two.js").outcome == "killed"
    assert plant(tiny, "x = 1", "x = 1", "test_script", file="two/two.js").outcome == "survived"


def test_module_that_reads_the_faulty_file_when_it_is_imported(tiny):
    """Its import is not seen in the source: the fault must reach it all the same."""
    (tiny.root / "two" / "late.py").write_text("VALUE = getattr(__import__('two', fromlist=['two']), 'two').add(1, 2)")
    (tiny.root / "test_late.py").write_text("from two import late\ndef test_late(): assert late.VALUE == 3\n")
    for _ in range(2):
        assert plant(tiny, "x + y", "x - y", "test_late.py::test_late").outcome == "killed"
        assert plant(tiny, "x + y", "y + x", "test_late.py::test_late").outcome == "survived"


def test_endless_loop_kills_only_when_announced(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "seconds", 2.0)
    assert plant(tiny, "n = n - 1", "n = n + 1", "test_loop").outcome == "broken"
    assert plant(tiny, "n = n - 1", "n = n + 1", "test_loop", hang=1.0).outcome == "killed"


def test_wrong_id_of_a_neighbor_breaks_only_the_neighbor(tiny):
    good = Mutant("good", "two/two.py", "x + y", "x - y", "test_two.py::test_loop test_two.py::test_add")
    wrong = Mutant("wrong", "two/two.py", "x + y", "x - y", "test_two.py::test_gone")
    assert tiny.run(good, [good, wrong]).outcome == "killed"
    assert tiny.run(wrong, [good, wrong]).outcome == "broken"


def test_what_tests_came_to_in_this_run_is_not_asked_again(tiny, tmp_path):
    said = tmp_path / "outcomes"
    lines = ["test_red failed", "test_red passed", "test_add failed", "test_absent skipped", "test_fixture[3] passed"]
    said.write_text("".join(f"test_two.py::{line}\n".replace(" ", "\t") for line in lines))
    with Planter(tiny.root, seconds=30.0, shared=(), outcomes=said) as planter:
        assert plant(planter, "x + y", "x - y", "test_red").outcome == "killed"  # it is red without the fault as well
        assert plant(planter, "x + y", "x - y", "test_add").outcome == "broken"
        assert plant(planter, "x + y", "x - y", "test_absent").outcome == "skipped"
        assert plant(planter, "x + y", "x - y", "test_fixture").outcome == "killed"
        assert plant(planter, "x + y", "x - y", "test_zero").outcome == "survived"  # which nobody has run yet


def test_faults_of_pages_share_a_child_and_nothing_else(tiny):
    (tiny.root / "two" / "page.py").write_text(PAGE)
    (tiny.root / "test_page.py").write_text(PAGE_TESTS)
    files = {"two/two.js": "let x = 1", "two/three.js": "let y = 1"}
    (tiny.root / "two" / "three.js").write_text(files["two/three.js"])
    children = set()
    for file in (*files, *files):
        for new, outcome in [("2", "killed"), ("1", "survived")]:
            told = tiny.root / "child"
            assert plant(tiny, "= 1", f"= {new}", "test_page.py::test_script", file=file).outcome == outcome
            children.add(told.read_text())
    assert len(children) == 1
    assert plant(tiny, "x + y", "x - y", "test_page.py::test_add").outcome == "killed"


def test_a_page_that_hangs_takes_its_child_with_it(tiny, monkeypatch):
    (tiny.root / "two" / "page.py").write_text(PAGE)
    (tiny.root / "test_page.py").write_text(PAGE_TESTS)
    monkeypatch.setattr(tiny, "seconds", 3.0)
    assert plant(tiny, "= 1", "= 0", "test_page.py::test_script", file="two/two.js").outcome == "broken"
    assert plant(tiny, "= 1", "= 0", "test_page.py::test_script", file="two/two.js", hang=1.0).outcome == "killed"
    assert plant(tiny, "= 1", "= 1", "test_page.py::test_script", file="two/two.js").outcome == "survived"


def test_a_fault_leaves_nothing_behind(tiny):
    plant(tiny, "x + y", "x - y", "test_add")
    assert plant(tiny, "x + y", "x + y", "test_add").outcome == "survived"
    assert (tiny.root / "two" / "two.py").read_text() == TWO
