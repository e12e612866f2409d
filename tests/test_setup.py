"""Set-up: what is installed is what is declared, once; and the code keeps its style."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from gdm_core.course import environment

ROOT = Path(__file__).parents[1]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needed make, got none; try apt install make")


def pinned() -> dict[str, str]:
    """Name -> version of the constraints, read without the code under test; several versions differ by Python."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {Requirement(line).name for line in lines}


def test_every_declared_package_is_pinned_within_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in [*project["dependencies"], *(line for e in project["optional-dependencies"].values() for line in e)]:
        need = Requirement(line)
        assert need.name in pinned(), f"{need.name} has no pin: write constraints.txt anew"
        assert all(need.specifier.contains(version) for version in pinned()[need.name]), line


def test_constraints_are_for_everybody():
    """No build of one machine, no file, no address."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.strip().startswith("#")]
    assert not [line for line in lines if re.search(r"\+cpu|\+cu\d| @ |://|^-", line)]


# environment.yml


@pytest.fixture(scope="module")
def env() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_environment_is_written_anew():
    assert (ROOT / "environment.yml").read_text() == environment.text(ROOT), "try gdm environment"


def test_environment_as_conda_binder_and_repo2docker_read_it(env):
    assert list(env) == ["name", "channels", "dependencies"]
    assert env["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = env["dependencies"]
    assert python == "python=3.11" and pip == "pip" and list(section) == ["pip"]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.11"
    options = [line for line in section["pip"] if line.startswith("-")]
    # repo2docker copies the whole repository first when it sees a local `-e`; micromamba reads no -r and no -c here.
    assert options == ["--extra-index-url https://download.pytorch.org/whl/cpu", "-e .[test]"]
    assert all(isinstance(line, str) for line in section["pip"])


def test_environment_pins_what_the_constraints_pin(env):
    pins = [Requirement(line) for line in env["dependencies"][2]["pip"] if not line.startswith("-")]
    names = [pin.name for pin in pins]
    assert len(names) == len(set(names)), "two pins of one package"
    for pin in pins:
        assert str(pin.specifier).removeprefix("==") in pinned()[pin.name]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(line).name for line in [*project["dependencies"], *project["optional-dependencies"]["test"]]}
    assert wanted <= set(names) and wanted <= declared()
    extra = {"nbgrader", "alembic", "mako", "notebook", "rapidfuzz", "sqlalchemy"}
    for name in set(pinned()) - set(names) - extra:  # torch's CUDA wheel alone needs these, or another Python does
        lines = re.findall(rf"^{re.escape(name)}==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
        assert re.match(r"nvidia-|cuda-|triton$", name) or not any(map(here, lines)), name


def here(line: str) -> bool:
    """Whether Python 3.11 installs this line on Linux, macOS or Windows."""
    marker = Requirement(line).marker
    python = {"python_version": "3.11", "python_full_version": "3.11.9"}
    return marker is None or any(
        marker.evaluate({**python, "sys_platform": platform}) for platform in ("linux", "darwin", "win32")
    )


def test_pins_follow_the_markers():
    text = """
# a comment
always==1.0
    # via something
old==1.0 ; python_full_version < '3.11'
new==2.0 ; python_full_version >= '3.11'
mac==1.0 ; sys_platform == 'darwin'
nvidia-thing==1.0 ; sys_platform == 'linux'
triton==3.0
tritonic==1.0
"""
    assert environment.pins(text) == ["always==1.0", "new==2.0", 'mac==1.0; sys_platform == "darwin"', "tritonic==1.0"]


# make

PYTHON = """#!/bin/sh
# Stands for any Python: notes how it was called; `-m venv DIR` puts a copy of itself there.
echo "$@" >> "$LOG"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$0" "$3/bin/gdm" ;;
    *"import sys; sys.exit"*) exit "${OLD:-0}" ;;
    *"pip --version"*) test -e "$(dirname "$0")/gdm" ;;
    *"pip install"*) exit "${OFFLINE:-0}" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A fresh clone, in a folder with a space in its name, with a Python that only notes; `make(...)` gives the
    finished process and the notes."""
    home = tmp_path / "the course"
    home.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, home)
    tool = tmp_path / "tools" / "python3"
    tool.parent.mkdir()
    tool.write_text(PYTHON)
    tool.chmod(0o755)
    log = tmp_path / "log"

    def make(*arguments, **more):
        log.write_text("")
        inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "VENV", "PYTHON")}
        environment = {**inherited, "LOG": str(log), "PYTHON": str(tool), **more}
        command = ["make", *arguments]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
        return done, [line for line in log.read_text().splitlines() if "import sys" not in line]

    return make, home


INSTALL = "-m pip install --quiet --disable-pip-version-check -c constraints.txt -e .[test]"


@needs_make
@pytest.mark.parametrize("target, command", [("lab", "lab"), ("test", "test"), ("app", "app"), ("doctor", "doctor")])
def test_first_time_installs_second_time_does_not(clone, target, command):
    make, _ = clone
    done, calls = make(target)
    assert done.returncode == 0, done.stderr
    assert calls[-2:] == [INSTALL, command] and "-m venv .venv" in calls
    assert "Setting up .venv" in done.stdout
    done, calls = make(target, OFFLINE="1")  # no network any more
    assert done.returncode == 0 and calls == [command] and "Setting up" not in done.stdout


@needs_make
def test_touched_files_install_nothing_changed_ones_do(clone):
    make, folder = clone
    make("setup")
    os.utime(folder / "pyproject.toml", (2e9, 2e9))  # as after a checkout to another branch and back
    done, calls = make("setup", OFFLINE="1")
    assert done.returncode == 0 and calls == []
    with open(folder / "constraints.txt", "a") as f:
        f.write("more==1.0\n")
    os.utime(folder / "constraints.txt", (2.1e9, 2.1e9))
    assert INSTALL in make("setup")[1]


@needs_make
def test_broken_installation_is_taken_up_again(clone):
    make, folder = clone
    done, calls = make("test", OFFLINE="1")
    assert done.returncode != 0 and "try again with a network" in done.stdout
    assert "test" not in calls and not (folder / ".venv" / ".ready").exists()
    done, calls = make("test")
    assert done.returncode == 0 and "-m venv .venv" not in calls and calls[-2:] == [INSTALL, "test"]


@needs_make
def test_old_python_is_refused_in_words(clone):
    make, folder = clone
    done, _ = make("setup", OLD="1")
    assert done.returncode != 0 and "needed Python 3.11 or newer" in done.stdout
    assert not (folder / ".venv").exists()


@needs_make
def test_make_alone_lists_the_commands(clone):
    done, calls = clone[0]()
    assert done.returncode == 0 and calls == []
    listed = re.findall(r"^(\w+) ", done.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(listed) == set(phony) - {"install"}


# Continuous integration

FAKE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$LOG"\nexit ${EXIT:-0}\n'


SHELL = ["apt-get -qq update", "apt-get -qq install -y --no-install-recommends chromium-headless-shell"]


@pytest.mark.parametrize("there, apt, calls", [
    ("chromium-headless-shell", 0, []),
    ("chromium", 0, SHELL),
    ("chromium", 1, SHELL[:1]),
    ("chromium", None, []),
    (None, 0, SHELL),
    (None, 1, 2 * SHELL[:1]),
    (None, None, []),
])  # fmt: skip
def test_ci_gets_chromium_if_it_can_and_tests_in_any_case(tmp_path, there, apt, calls):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "basename", "sh", "env"):
        (tools / name).symlink_to(shutil.which(name))
    names = ["make", *([there] if there else []), *(["apt-get"] if apt is not None else [])]
    for name in names:
        (tools / name).write_text(FAKE.replace("${EXIT:-0}", str(apt if name == "apt-get" else 0)))
    (tools / "id").write_text("#!/bin/sh\necho 0\n")
    for tool in tools.iterdir():
        if not tool.is_symlink():
            tool.chmod(0o755)
    log = tmp_path / "log"
    environment = {"PATH": str(tools), "LOG": str(log)}
    done = subprocess.run([str(ROOT / ".ci" / "run")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == [*calls, "make test"]
    assert ("will be skipped" in done.stdout) == (there is None and apt != 0)


def test_license():
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License") and "The gdm authors" in text and "WITHOUT WARRANTY" in text


# Style


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=lambda check: check[0])
def test_ruff(check):
    done = subprocess.run([sys.executable, "-m", "ruff", *check, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
