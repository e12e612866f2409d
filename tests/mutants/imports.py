"""Which files of the course a file needs: those that it imports, and those that these import in turn.

Read from the sources, nothing is run.  An f-string such as f"gdm_core.models.{name}" is taken to import the whole
package, and each module to need what lies in its package and is no module: scripts, style sheets, templates.
"""

import ast
import re
from functools import cache
from pathlib import Path

PACKAGE = re.compile(r"(\w+(?:\.\w+)+)\.")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Imports:
    """The imports between the files below `root`; tests may import their helpers by bare names."""

    def __init__(self, root: Path):
        self.root = root
        # A file is read once in the life of this object.
        self.needs, self.direct, self._around = cache(self.needs), cache(self.direct), cache(self._around)

    def needs(self, file: Path, lazily: bool = True) -> set[Path]:
        """`file` and all that it needs; without `lazily` only what its import imports at once."""
        found, todo = set(), [file]
        while todo:
            if (at := todo.pop()) not in found:
                found.add(at)
                todo += self.direct(at, lazily)
        return found

    def direct(self, file: Path, lazily: bool = True) -> set[Path]:
        """What the text of `file` itself names, what lies around it, and what pytest loads before a test."""
        if file.suffix != ".py" or not file.is_file():
            return set()
        names = {name for node in _nodes(ast.parse(file.read_bytes()), lazily) for name in _names(node)}
        found = {f for name in names for f in self._files(name)}
        found |= {p / "__init__.py" for p in file.parents if p != self.root and (p / "__init__.py").is_file()}
        if not lazily:
            return found
        if file.name.startswith("test_") and (shared := file.with_name("conftest.py")).is_file():
            found.add(shared)
        return found | self._around(file.parent)

    def _around(self, folder: Path) -> set[Path]:
        """The files of other kinds in the folder of a package, and below it where that is no package."""
        if not (folder / "__init__.py").is_file():
            return set()
        found, todo = set(), [folder]
        while todo:
            for path in todo.pop().iterdir():
                if path.is_file() and path.suffix not in (".py", ".pyc"):
                    found.add(path)
                elif path.is_dir() and not (path / "__init__.py").is_file():
                    todo.append(path)
        return found

    def name(self, file: Path) -> str:
        """gdm_core/data/toy.py -> gdm_core.data.toy; tests/walk.py -> walk"""
        base = next(base for base in (self.root / "tests", self.root) if base in file.parents)
        return ".".join(file.relative_to(base).with_suffix("").parts).removesuffix(".__init__")

    def _files(self, name: str):
        """The module `name`, or the one that defines its last part, and the packages around it."""
        if name.endswith(".*"):
            folder = self.root.joinpath(*name.split(".")[:-1])
            yield from folder.rglob("*.py")
            name = name[:-2]
        for base in (self.root, self.root / "tests"):
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                at = base.joinpath(*parts[:depth])
                for file in (at.with_suffix(".py"), at / "__init__.py"):
                    if file.is_file():
                        yield file


def _nodes(tree: ast.AST, lazily: bool):
    """All nodes, or those that run when the module is imported."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo += [n for n in ast.iter_child_nodes(node) if lazily or not isinstance(n, FUNCTIONS)]


def _names(node: ast.AST):
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if match := PACKAGE.fullmatch(node.value):
            yield f"{match[1]}.*"
