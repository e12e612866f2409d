"""Faults in what plants the faults: which files a file needs, which faults are planted again, strangers' faults."""

from mutants.plant import Mutant

IMPORTS, STAMPS, STRANGERS = (f"tests/mutants/{name}.py" for name in ("imports", "stamps", "strangers"))


def stamps(name: str) -> str:
    return f"tests/test_stamps.py::test_{name}"


NEEDS = stamps("what_a_file_needs")
AGAIN = stamps("a_fault_is_planted_again_when_what_it_stands_on_has_changed")
ASKED = "tests/test_strangers.py::test_the_nearest_tests_are_asked_first"

MUTANTS = [
    Mutant(
        "import-of-an-import-overlooked", IMPORTS, "todo += self.direct(at, lazily)", "found |= self.direct(at)", NEEDS
    ),
    Mutant("late-import-overlooked", IMPORTS, "if lazily or not isinstance(", "if not isinstance(", NEEDS),
    Mutant(
        "late-import-at-once",
        IMPORTS,
        "if lazily or not isinstance(",
        "if lazily or isinstance(",
        stamps("what_its_import_needs_at_once"),
    ),
    Mutant("package-taken-whole-overlooked", IMPORTS, "folder.rglob", "folder.glob('no') or str", NEEDS),
    Mutant("helpers-of-tests-overlooked", IMPORTS, '(self.root, self.root / "tests")', "(self.root,)", NEEDS),
    Mutant("conftest-overlooked", IMPORTS, "found.add(shared)", "pass", NEEDS),
    Mutant(
        "scripts-overlooked",
        IMPORTS,
        "found | self._around(file.parent)",
        "found",
        NEEDS,
    ),
    Mutant(
        "any-fault-of-these-tests",
        STAMPS,
        "_hash(repr(mutant), ",
        "_hash(",
        stamps("another_fault_in_the_same_place_was_never_noticed"),
    ),
    Mutant("tests-may-change", STAMPS, ', *(self.root / i.partition("::")[0] for i in mutant.ids)}', "}", AGAIN),
    Mutant("torch-may-change", STAMPS, ', self.root / "constraints.txt"}', "}", AGAIN),
    Mutant(
        "stamp-needs-a-folder",
        STAMPS,
        "except OSError:",
        "except ZeroDivisionError:",
        stamps("where_nothing_can_be_written_faults_are_planted_again"),
    ),
    Mutant("far-tests-not-asked", STRANGERS, "for near in (1, 2):", "for near in (1,):", ASKED),
    Mutant(
        "red-test-kills",
        STRANGERS,
        "if self.passes(failed[0]):",
        "if True:",
        "tests/test_strangers.py::test_a_test_that_became_red_without_a_fault_kills_nothing",
    ),
    Mutant(
        "missing-module-is-a-kill",
        STRANGERS,
        'and failed and not answer["import_error"]',
        "and failed",
        "tests/test_strangers.py::test_a_fault_that_does_not_import_within_a_test_kills_nothing",
    ),
    Mutant(
        "survivors-are-for-ever",
        STRANGERS,
        'and known["tests"] != versions',
        "and False",
        "tests/test_strangers.py::test_what_was_noticed_is_kept_and_what_survived_is_planted_again_when_tests_change",
    ),
    Mutant(
        "broken-counts-as-noticed",
        STRANGERS,
        'sum(counts.values()) - counts["broken"]',
        "sum(counts.values())",
        "tests/test_strangers.py::test_report_counts_out_of_time_as_noticed_and_leaves_out_what_is_broken",
    ),
]
