"""The code that a function can reach by name: what must be the same for its results to be.

From the statement that defines the function one follows every name in it: to functions, classes and constants of its
own file, through imports to those of other files of the course, and so on.  Files are read, not run, so it makes no
difference how a name was wrapped, cached or bound.  Comments, docstrings and annotations are left out, and so are other
packages.
"""

import ast
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gdm_core.validate import bad

COURSE = __name__.partition(".")[0]
Names = dict[str, list[ast.stmt]]


def reachable(function: Callable) -> dict[str, str]:
    """Source of all definitions that `function` can reach, by "module.name", its own among them.

    Raises:
        ValueError: a function that was not defined in a file.
    """
    module, name = function.__module__, function.__qualname__.partition(".")[0]
    if name not in _definitions(module):
        raise bad("a function that is defined in a file", f"{name} of {module}", "moving it to a .py file")
    return _reachable(module, name)


@functools.cache
def _reachable(module: str, name: str) -> dict[str, str]:
    found, waiting = {}, [(module, name)]
    while waiting:
        place = waiting.pop()
        key = ".".join(place)
        if key not in found:
            statements = _definitions(place[0])[place[1]]
            found[key] = "\n".join(map(ast.unparse, statements))
            waiting += [there for s in statements for there in _used(s, place[0])]
    return found


@functools.cache
def _definitions(module: str) -> Names:
    """The statements at the top of a file that bind each of its names; none for what is not the course's."""
    file = _file(module)
    names: Names = {}
    for statement in _Bare().visit(ast.parse(file.read_text(encoding="utf-8"))).body if file else ():
        for name in bound(statement):
            names.setdefault(name, []).append(statement)
    return names


@functools.cache
def _file(module: str) -> Path | None:
    """Where a module of the course was read from, or one of no package (a test, a script); None for all others."""
    package, dot, _ = module.partition(".")
    if package != COURSE and (dot or package in sys.stdlib_module_names):
        return None
    try:
        spec = importlib.util.find_spec(module)
        place = Path(spec.origin)
    except (ModuleNotFoundError, ValueError, AttributeError, TypeError):  # a name inside of a module, or no file at all
        return None
    return place if place.suffix == ".py" and "site-packages" not in place.parts else None


def bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:  # `table[key] = value` is a part of what table is
                yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
        case ast.If() | ast.Try() | ast.With() | ast.For():
            for inner in ast.iter_child_nodes(statement):
                if isinstance(inner, ast.stmt):
                    yield from bound(inner)


def _used(statement: ast.stmt, module: str) -> Iterator[tuple[str, str]]:
    """Where the names in a statement are defined."""
    names = _definitions(module)
    inner: Names = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in bound(node):
                inner.setdefault(name, []).append(node)
    for chain in chains(statement):
        if there := _place(chain, names | inner, module):
            yield there


def _place(chain: list[str], names: Names, module: str) -> tuple[str, str] | None:
    """Module and name of what `a.b.c` is in a file whose names these are; None for what is not the course's."""
    for statement in names.get(chain[0], ()):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if (alias.asname or alias.name.partition(".")[0]) == chain[0]:
                    start = alias.name if alias.asname else chain[0]
                    return _inside(start, chain[1:])
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == chain[0]:
                    return _inside(statement.module or "", [alias.name, *chain[1:]])
        else:
            return module, chain[0]
    return None


def _inside(module: str, chain: list[str]) -> tuple[str, str] | None:
    """What `chain` is, seen from a module: of its submodules, or of its own names."""
    while chain and _file(f"{module}.{chain[0]}"):
        module, chain = f"{module}.{chain[0]}", chain[1:]
    return _place(chain, _definitions(module), module) if chain else None


def chains(node: ast.AST) -> Iterator[list[str]]:
    """Names as they are read: `a`, or `a.b.c` as ["a", "b", "c"]."""
    parts, inner = [], node
    while isinstance(inner, ast.Attribute):
        parts, inner = [inner.attr, *parts], inner.value
    if isinstance(inner, ast.Name):
        yield [inner.id, *parts]
    for child in ast.iter_child_nodes(inner if parts else node):
        yield from chains(child)


class _Bare(ast.NodeTransformer):
    """Without docstrings and annotations: neither changes what is computed."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.returns, node.body = None, _undocumented(node.body)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        node.body = _undocumented(node.body)
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    spoken = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return (body[1:] or [ast.Pass()]) if spoken else body
