"""Which files a file needs, and which faults need not be planted again."""

import pytest
from mutants.imports import Imports
from mutants.plant import Mutant, collect, faulty
from mutants.stamps import Stamps

FILES = {
    "constraints.txt": "torch==2.13",
    "house/__init__.py": "",
    "house/door.py": "import os\nfrom house.wood import oak",
    "house/lock.py": "def key():\n    from house import iron",
    "house/wood.py": "",
    "house/iron.py": "",
    "house/garden/__init__.py": "from importlib import import_module\ndef grow(n): import_module(f'house.garden.{n}')",
    "house/garden/rose.py": "",
    "house/page/__init__.py": "",
    "house/page/show.py": "",
    "house/page/js/show.js": "",
    "tests/conftest.py": "",
    "tests/tools.py": "import house.lock",
    "tests/test_door.py": "import tools\nfrom house.door import knock",
    "tests/test_page.py": "from house import page\nfrom house.page import show",
}


@pytest.fixture
def home(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def needs(home, file, **options):
    return {str(p.relative_to(home)) for p in Imports(home).needs(home / file, **options)} - {file}


@pytest.mark.parametrize(
    "file, found",
    [
        ("house/wood.py", "house/__init__.py"),
        ("house/door.py", "house/__init__.py house/wood.py"),
        ("house/lock.py", "house/__init__.py house/iron.py"),
        ("house/garden/__init__.py", "house/__init__.py house/garden/rose.py"),
        ("house/page/show.py", "house/__init__.py house/page/__init__.py house/page/js/show.js"),
        ("tests/tools.py", "house/__init__.py house/iron.py house/lock.py"),
        (
            "tests/test_door.py",
            "house/__init__.py house/door.py house/iron.py house/lock.py house/wood.py "
            "tests/conftest.py tests/tools.py",
        ),
    ],
)
def test_what_a_file_needs(home, file, found):
    assert needs(home, file) == set(found.split())


def test_what_its_import_needs_at_once(home):
    assert "house/iron.py" not in needs(home, "house/lock.py", lazily=False)
    assert "house/wood.py" in needs(home, "house/door.py", lazily=False)


def test_names_of_modules(home):
    name = Imports(home).name
    assert name(home / "house/garden/rose.py") == "house.garden.rose" and name(home / "house/__init__.py") == "house"


FAULT = Mutant("ajar", "house/door.py", "oak", "pine", "tests/test_door.py::test_a tests/test_door.py::test_b")


@pytest.mark.parametrize(
    "changed, again",
    [
        ("house/door.py", True),  # the faulty file
        ("house/wood.py", True),  # what it needs
        ("tests/test_door.py", True),
        ("tests/tools.py", True),
        ("house/iron.py", True),  # what a tool of the test imports late
        ("tests/conftest.py", True),
        ("constraints.txt", True),
        ("house/garden/rose.py", False),
        ("tests/test_page.py", False),
    ],
)
def test_a_fault_is_planted_again_when_what_it_stands_on_has_changed(home, changed, again):
    assert not Stamps(home).noticed(FAULT)
    Stamps(home).keep(FAULT)
    assert Stamps(home).noticed(FAULT)
    before = (home / changed).read_text()
    (home / changed).write_text(f"{before}\n# another text")
    assert Stamps(home).noticed(FAULT) is not again
    (home / changed).write_text(before)
    assert Stamps(home).noticed(FAULT)  # as on the way back from another branch


def test_another_fault_in_the_same_place_was_never_noticed(home):
    Stamps(home).keep(FAULT)
    assert not Stamps(home).noticed(Mutant("ajar", "house/door.py", "oak", "fir", FAULT.tests))
    assert not Stamps(home).noticed(Mutant("ajar", "house/door.py", "oak", "pine", "tests/test_door.py::test_a"))


def test_a_script_belongs_to_its_package(home):
    fault = Mutant("blank", "house/page/js/show.js", "x", "y", "tests/test_page.py")
    Stamps(home).keep(fault)
    (home / "house/page/js/show.js").write_text("let x = 1")
    assert not Stamps(home).noticed(fault)


def test_where_nothing_can_be_written_faults_are_planted_again(home):
    (home / "build").write_text("a file in the way")
    Stamps(home).keep(FAULT)
    assert not Stamps(home).noticed(FAULT)


def test_every_fault_still_finds_its_place():
    """Told by the quick tests: an edit of a file may leave a fault without the text that it replaces."""
    lost = {}
    for area, mutants in collect().items():
        for mutant in mutants:
            try:
                faulty(mutant)
            except ValueError as error:
                lost[f"{area}:{mutant.name}"] = str(error)
    assert not lost
