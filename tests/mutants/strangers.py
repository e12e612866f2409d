"""Plant faults that nobody of us thought of, and say which share the suite notices.

    pip install --target build/cosmic-ray cosmic-ray        (once; its packages stay apart from those of the course)
    gdm mutants --strangers N [module ...] [--seed S]

Of each module (a path such as gdm_core/models/vae.py or a folder; all of gdm_core by default) N lines are drawn, and in
each line one of the faults that cosmic-ray's operators make there: another operator, comparison, number or constant,
a condition turned round, an exception not caught, a loop left out.  The tests run until one fails, the fastest file
first: those whose file imports the module, then, without a browser or anything slow, those that import what imports
it.  A fault that does not import, or changes a type hint alone, says nothing of the tests and does not count.

Results are kept under build/strangers: the same command goes on where it was stopped, and plants what survived again
once the tests have changed.  Survivors are shown as differences.  Some of them change nothing that anybody could
notice; only a reader can tell.  Not part of the suite: a module takes minutes, most of them for what survives.
"""

import argparse
import difflib
import hashlib
import importlib.util
import itertools
import json
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from gdm_core.files import atomic_write
from gdm_core.validate import bad
from mutants.imports import Imports
from mutants.plant import ROOT, Mutant, Planter, judge

COSMIC_RAY = "build/cosmic-ray"
# Tests that run others, and those of the planter; a test of every notebook says little about one line.
NOT_ASKED = ("test_mutants.py", "test_notebooks.py", "test_benchmarks.py")
QUICK = "not browser and not slow"
MOST = 60.0  # seconds of computing for tests that import the module by way of another
# On real numbers these raise wherever they run: too easily noticed to say anything.
BITS = re.compile(r"BinaryOperator_.*_(Bit|[LR]Shift)")
OUTCOMES = ("killed", "survived", "out of time", "broken")


def faults(text: str, lines: int, rng: random.Random) -> list[tuple[int, str, str]]:
    """One fault in each of `lines` lines that were drawn from those where an operator finds something to do.

    Returns:
        (line, operator, faulty text), the lines in order.
    """
    from cosmic_ray.ast import Visitor, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider

    provider, places = OperatorProvider(), defaultdict(lambda: defaultdict(list))
    for name in provider:
        if provider[name].arguments() or BITS.search(name):
            continue  # the former work on variables named one by one
        operator, occurrence = provider[name](), 0

        class Look(Visitor):
            def visit(self, node, name=name, operator=operator):
                nonlocal occurrence
                for (line, _), _ in operator.mutation_positions(node):
                    # Operators of one kind (+ for -, + for * ...) share a chance among them.
                    kind = re.sub(r"_.*", "", name)
                    places[line][kind].append((name, occurrence))
                    occurrence += 1
                return node

        Look().walk(get_ast(text))
    chosen = []
    for line in rng.sample(sorted(places), len(places)):
        kinds = places[line]
        name, occurrence = rng.choice(kinds[rng.choice(sorted(kinds))])
        changed = mutate_code(text, provider[name](), occurrence)
        if changed is not None and _runs_otherwise(text, changed):
            chosen.append((line, name, changed))
        if len(chosen) == lines:
            break
    return sorted(chosen)


def _runs_otherwise(text: str, changed: str) -> bool:
    """Whether the two differ in more than type hints."""
    import ast

    def plain(source: str) -> str:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            for hint in ("annotation", "returns"):
                if getattr(node, hint, None) is not None:
                    setattr(node, hint, ast.Constant(None))
        return ast.dump(tree)

    try:
        return plain(text) != plain(changed)
    except SyntaxError:
        return False


def askable(file: Path, imports: Imports) -> dict[Path, int]:
    """Test file -> how many imports it stands from `file`: 1 or 2."""
    found = {}
    for test in sorted((imports.root / "tests").glob("test_*.py")):
        near = imports.direct(test)
        if test.name in NOT_ASKED:
            continue
        if file in near or test.stem == f"test_{file.stem}":
            found[test] = 1
        elif any(file in imports.direct(n) for n in near):
            found[test] = 2
    return found


class Strangers:
    """Faults of one seed in the modules of the course; what was found is kept in build/strangers."""

    def __init__(self, planter: Planter, seed: int):
        self.planter, self.seed, self.imports = planter, seed, Imports(planter.root)
        folder = planter.root / "build" / "strangers"
        self.results, self.healthy = Kept(folder / f"seed-{seed}.json"), Kept(folder / "tests.json")
        self.green, self.red = set(), set()  # tests, without a fault

    def tests(self, file: Path, near: int) -> tuple[list[str], list[str], float]:
        """Test files that stand `near` (1 or 2) imports from `file`, the fastest first.

        Returns:
            (their ids, options for pytest, the seconds that they take without a fault).
        """
        options = [] if near == 1 else ["-m", QUICK]
        found = []
        for test in (t for t, steps in askable(file, self.imports).items() if steps == near):
            key = _hash(test.read_text(encoding="utf-8"), *options)
            name = str(test.relative_to(self.planter.root))
            if key not in self.healthy:
                answer = self.planter.ask([name], options=options)
                failed = [n for n, outcome in answer["reports"].items() if outcome == "failed"]
                runs = answer["code"] in (0, 1) and "passed" in answer["reports"].values()
                seconds = {"cpu": answer["cpu"], "seconds": answer["seconds"]}
                self.healthy.keep(key, {"name": name, "runs": runs, "failed": failed, **seconds})
            found.append(self.healthy[key])
        found = sorted((f for f in found if f["runs"]), key=lambda f: f["cpu"])
        if near == 2:
            sums = itertools.accumulate(f["cpu"] for f in found)
            found = [f for f, total in zip(found, sums) if total < MOST]
        options += [f"--deselect={n}" for n in {*self.red, *(n for f in found for n in f["failed"])}]
        return [f["name"] for f in found], options, sum(f["seconds"] for f in found)

    def passes(self, test: str) -> bool:
        """Whether `test`, under which a fault was found, passes without it; the course may have changed since."""
        if test not in self.green | self.red:
            (self.green if self.planter.ask([test])["code"] == 0 else self.red).add(test)
        return test in self.green

    def measure(self, file: Path, lines: int):
        """Plant `lines` faults in `file`; yields (line, operator, faulty text, result)."""
        name = str(file.relative_to(self.planter.root))
        text = file.read_text(encoding="utf-8")
        chosen = faults(text, lines, random.Random(f"{self.seed} {name}"))
        versions = _hash(*(t.read_text(encoding="utf-8") for t in askable(file, self.imports)))
        for line, operator, changed in chosen:
            key = _hash(name, changed)
            known = self.results.get(key)
            if known is None or known["outcome"] == "survived" and known["tests"] != versions:
                outcome, by = self.plant(file, changed)
                self.results.keep(key, {"outcome": outcome, "by": by, "tests": versions})
            yield line, operator, changed, self.results[key]

    def plant(self, file: Path, changed: str) -> tuple[str, str]:
        """Outcome of a fault, and the test that failed."""
        verdict = "survived", "no test imports it"
        name = str(file.relative_to(self.planter.root))
        for near in (1, 2):
            ids, options, seconds = self.tests(file, near)
            if not ids:
                continue
            answer = self.planter.ask(ids, 60 + 4 * seconds, file=name, text=changed, options=options)
            failed = [n for n, outcome in answer["reports"].items() if outcome == "failed"]
            if answer["timed_out"]:
                return "out of time", ids[-1]
            if answer["code"] == 1 and failed and not answer["import_error"]:
                if self.passes(failed[0]):
                    return "killed", failed[0]  # whatever went wrong there, a name that is missing as well
                return self.plant(file, changed)
            found = judge(Mutant(name, name, "", "", " ".join(ids)), answer)
            if found.outcome != "survived" and answer["loaded"]:
                return found.outcome, found.detail.partition("\n")[0]
            verdict = "survived", ""
        return verdict


class Kept(dict):
    """A dict in a file, written whenever something is kept."""

    def __init__(self, file: Path):
        super().__init__(json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {})
        self.file = file

    def keep(self, key: str, value) -> None:
        self[key] = value
        atomic_write(self.file, json.dumps(self, indent=0).encode())


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def modules(names: list[str], root: Path) -> list[Path]:
    """The files that names stand for; without names all of gdm_core."""
    files = []
    for name in names or ["gdm_core"]:
        path = root / name
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not found or not all(p.is_file() for p in found):
            raise bad("modules of the course", name, "gdm_core/models/vae.py or gdm_core/models")
        files += found
    return list(dict.fromkeys(files))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="gdm mutants --strangers", description=__doc__.splitlines()[0])
    parser.add_argument("--strangers", type=int, metavar="N", required=True, help="lines of each module")
    parser.add_argument("--seed", type=int, default=0, help="which lines are drawn, and which faults in them")
    parser.add_argument("modules", nargs="*", help="paths; all of gdm_core by default")
    chosen = parser.parse_args(arguments)
    try:
        sys.path.append(str(ROOT / COSMIC_RAY))
        if importlib.util.find_spec("cosmic_ray") is None:
            raise bad(
                "cosmic-ray", "no such package", f"{sys.executable} -m pip install --target {COSMIC_RAY} cosmic-ray"
            )
        files = modules(chosen.modules, ROOT)
    except ValueError as error:
        print(f"gdm: {error}", file=sys.stderr)
        return 2
    table = {}
    with Planter() as planter:
        strangers = Strangers(planter, chosen.seed)
        try:
            for file in files:
                counts = Counter()
                for line, operator, changed, result in strangers.measure(file, chosen.strangers):
                    counts[result["outcome"]] += 1
                    at = f"{file.relative_to(ROOT)}:{line}"
                    print(f"{result['outcome']:<11} {at} {operator}  {result['by']}", flush=True)
                    if result["outcome"] == "survived":
                        print(_difference(file.read_text(encoding="utf-8"), changed), flush=True)
                if counts:
                    table[str(file.relative_to(ROOT))] = counts
        except KeyboardInterrupt:
            print("\nstopped; the same command goes on from here")
    print(_report(table))
    return 0


def _difference(text: str, changed: str) -> str:
    lines = difflib.unified_diff(text.splitlines(), changed.splitlines(), n=1, lineterm="")
    return "\n".join(f"    {line}" for line in list(lines)[2:])


def _report(table: dict[str, Counter]) -> str:
    """The share noticed by module: out of time counts as noticed, broken as not planted."""
    rows = [f"\n{'module':<44} noticed  " + "  ".join(OUTCOMES)]
    for name, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        planted = sum(counts.values()) - counts["broken"]
        share = f"{(planted - counts['survived']) / planted:7.0%}" if planted else "      -"
        rows.append(f"{name:<44} {share}  " + "  ".join(f"{counts[o]:>{len(o)}}" for o in OUTCOMES))
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
