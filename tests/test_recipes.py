"""The recipes of CONTRIBUTING.md, to the letter: their files written into a copy of the course, their commands run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gdm_core import colors

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
RECIPES = {title: text for title, text in PARTS.items() if "```sh" in text}


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path):
    """The course as one clones it, without its notebooks; what Python compiled of its files is still good."""
    leave = shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints", "*.egg-info")
    for name in ("gdm_core", "tests", "lectures", "labs", "pyproject.toml", "CONTRIBUTING.md"):
        there, here = tmp_path / name, ROOT / name
        shutil.copytree(here, there, ignore=leave) if here.is_dir() else shutil.copy(here, there)
    return tmp_path


def of(copy, plugins=False) -> dict[str, str]:
    """The environment of a command there, without pytest's plugins, which are slow to start, unless they are needed."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    ours = {key: value for key, value in os.environ.items() if key != "PYTEST_XDIST_WORKER"}
    quick = {} if plugins else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return {**ours, **quick, "PATH": path, "PYTHONPATH": str(copy)}


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_works_as_written(copy, title):
    files = []
    for code in blocks(RECIPES[title], "python"):
        first, _, body = code.partition("\n")
        files.append(new := copy / first.removeprefix("# "))
        assert new.parent.is_dir() and not new.exists(), f"needed a new file in a folder of the course, got {first}"
        new.write_text(body, encoding="utf-8")
    environment = of(copy, plugins=title == "A lecture")  # nbval is one
    for line in "".join(blocks(RECIPES[title], "sh")).splitlines():
        done = subprocess.run(line, shell=True, cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
    # The last command is pytest, which fails where it finds nothing.
    assert " passed" in done.stdout, done.stdout[-500:]
    ruff = subprocess.run(["ruff", "check", "-q", *files], cwd=copy, env=environment, capture_output=True, text=True)
    assert ruff.returncode == 0, ruff.stdout


def test_the_guide_names_what_there_is():
    """Every path in its prose exists."""
    prose = re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)
    own = {code.split("\n")[0].removeprefix("# ") for text in RECIPES.values() for code in blocks(text, "python")}
    for path in re.findall(r"`((?:gdm_core|tests|lectures|labs)/[\w/.]+)`", prose):
        assert path in own or "NN" in path or (ROOT / path).exists(), path
    assert set(RECIPES) == {"A model", "An explorer", "A lecture", "A lab"}


def test_the_guide_names_every_color():
    roles = {name for name, value in vars(colors).items() if name.isupper() and str(value).startswith("#")}
    assert set(re.findall(r"\| `([A-Z]+)`,", GUIDE)) == roles


@pytest.mark.slow
def test_stand_ins_and_explorers_of_them_are_taken_up_as_files_dropped_in(copy):
    """The models of `to_come` among the models, an explorer of each among the explorers: nothing else is told."""
    for file in (ROOT / "tests" / "to_come").glob("[a-z]*.py"):
        shutil.move(copy / "tests" / "to_come" / file.name, copy / "gdm_core" / "models" / file.name)
    names = [file.stem for file in (ROOT / "tests" / "to_come_explorers").glob("ch*.py")]
    for name in names:
        shutil.copy(ROOT / "tests" / "to_come_explorers" / f"{name}.py", copy / "gdm_core" / "explorers")
    words = " or ".join([*(name.split("_")[1] for name in names), "denoiser-plane"])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/test_explorers_contract.py",
        "tests/test_contracts.py",
        "-k",
        words,
    ]
    environment = of(copy)
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-4000:] + done.stderr[-1000:]
