"""Imports point one way, and importing changes nothing."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from mutants.imports import Imports

ROOT = Path(__file__).parents[1] / "gdm_core"

# Who may know whom.  A module that stands in no layer is a tool: it knows the foundation and other tools, no more.
LAYERS = {
    "foundation": {"validate", "files", "protocols", "colors", "devices", "nats"},
    "data": {"data"},
    "models": {"models"},
    "training": {"train", "checkpoint", "average", "turns", "movers", "undo", "kept"},
    "measures": {"two_sample", "metrics", "disentanglement"},
    "pictures": {"plotting", "widgets"},
    "explorers": {"explorers"},
    "checks": {"checks"},
    "course": {"course"},
}
KNOWS = {
    "foundation": set(),
    "tools": {"foundation"},
    "data": {"foundation"},
    "models": {"foundation", "tools"},
    "training": {"foundation", "tools"},
    "measures": {"foundation", "tools", "training"},
    "pictures": {"foundation"},
    "explorers": {"foundation", "tools", "data", "models", "training", "measures", "pictures"},
    "checks": {"foundation", "tools", "data", "models", "training", "measures"},
    "course": {*LAYERS, "tools"},
}
SHOW = {
    "matplotlib",
    "plotly",
    "PIL",
    "anywidget",
    "ipywidgets",
    "IPython",
    "voila",
    "jupyterlab",
    "nbformat",
    "papermill",
}
MAY_SHOW = {"pictures", "explorers", "course"}
FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def place(name):
    """gdm_core.data.toy -> data"""
    return name.split(".")[1]


def layer(module):
    return next((name for name, modules in LAYERS.items() if module in modules), "tools")


def imports(tree):
    """All names that a file imports, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports say where from: no leading dot"
            whole = node.module == "gdm_core"
            yield from (f"gdm_core.{alias.name}" for alias in node.names) if whole else [node.module]


def modules(tree):
    """First-level modules of the course that a file imports."""
    return {place(name) for name in imports(tree) if name.startswith("gdm_core.")}


def home(file):
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def complaints(source, at):
    """What is wrong with the imports of `source`, were it a file of the first-level module `at`."""
    tree, own = ast.parse(source), layer(at)
    up = {m for m in modules(tree) if m != at and layer(m) not in KNOWS[own] | {own}}
    shows = {name.split(".")[0] for name in imports(tree)} & SHOW if own not in MAY_SHOW else set()
    return sorted(up | shows)


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(file):
    found = complaints(file.read_text(encoding="utf-8"), home(file))
    own = layer(home(file))
    assert not found, (
        f"{own} may know {sorted(KNOWS[own])}, not {found}; move the code or pass the thing as an argument"
    )


def dotted(file):
    """gdm_core/widgets/stage.py -> gdm_core.widgets.stage; a package goes by its own name."""
    return ".".join(["gdm_core", *file.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


def known(tree, files):
    """The files of the course that a file imports, by their dotted names, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            while name and name not in files:
                name = name.rpartition(".")[0]
            if name:
                yield name


def test_no_file_imports_in_a_circle_not_even_inside_functions():
    files = {dotted(file): file for file in FILES}
    graph = {n: set(known(ast.parse(f.read_text(encoding="utf-8")), files)) - {n} for n, f in files.items()}
    assert graph["gdm_core.widgets.stage"] >= {"gdm_core.widgets.still", "gdm_core.validate"}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_commands_that_compute_nothing_start_without_torch():
    needs = Imports(ROOT.parent).needs
    course = {ROOT / "course" / f"{name}.py" for name in ("cli", "lint", "notebooks", "start", "replay")}
    files = {f for at in course for f in needs(at, lazily=False) if f.suffix == ".py"}
    assert ROOT / "validate.py" in files
    at_once = {
        f: [n for n in ast.parse(f.read_bytes()).body if isinstance(n, ast.Import | ast.ImportFrom)] for f in files
    }
    loaded = {(f.name, name.split(".")[0]) for f, nodes in at_once.items() for name in imports(ast.Module(nodes, []))}
    assert not {pair for pair in loaded if pair[1] in {"torch", "scipy", "sklearn", "matplotlib"}}


@pytest.mark.parametrize(
    "at, source, wrong",
    [
        ("models", "from gdm_core import train", ["train"]),
        ("models", "def f():\n    import gdm_core.data.toy", ["data"]),
        ("models", "from gdm_core.networks import mlp\nimport torch", []),
        ("models", "import matplotlib.pyplot as plt", ["matplotlib"]),
        ("train", "from gdm_core.models.gmm import GMM", ["models"]),
        ("widgets", "from gdm_core import models, colors", ["models"]),
        ("some_new_module", "from gdm_core.models import gmm", ["models"]),
        ("some_new_module", "from gdm_core import validate, networks", []),
        ("explorers", "from gdm_core import models, widgets, data, train", []),
    ],
)
def test_the_rules_see_what_they_must(at, source, wrong):
    assert complaints(source, at) == wrong


PROBE = """
import importlib, json, os, pkgutil, random, sys
import matplotlib, numpy, sklearn, torch
def state():
    return {"seed of torch": torch.get_rng_state().tolist(), "dtype": str(torch.get_default_dtype()),
            "threads": torch.get_num_threads(), "precision": torch.get_float32_matmul_precision(),
            "gradients": torch.is_grad_enabled(), "argument checks": torch.distributions.Distribution._validate_args,
            "CUDA": torch.cuda.is_initialized(), "seed of numpy": str(numpy.random.get_state()),
            "seed of Python": str(random.getstate()), "environment": dict(os.environ), "path": list(sys.path),
            "matplotlib": str(dict(matplotlib.rcParams)), "folder": os.getcwd(),
            "barred": [name for name, module in sys.modules.items() if module is None]}
before = state()
import gdm_core
names = [m.name for m in pkgutil.walk_packages(gdm_core.__path__, "gdm_core.") if "__main__" not in m.name]
for name in names:
    importlib.import_module(name)
after = state()
with open(sys.argv[1], "w") as f:
    json.dump({"names": names, "changed": [k for k in before if before[k] != after[k]]}, f)
"""


@pytest.mark.slow
def test_importing_prints_nothing_changes_nothing_writes_nothing(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    told = tmp_path / "told.json"
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "MPLBACKEND": "agg", "MPLCONFIGDIR": str(tmp_path / "mpl")}
    run = subprocess.run([sys.executable, "-c", PROBE, told], cwd=home, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "" and run.stderr == ""
    found = json.loads(told.read_text())
    assert len(found["names"]) > 10 and found["changed"] == []
    assert not [p for p in home.rglob("*") if p.is_file()]
