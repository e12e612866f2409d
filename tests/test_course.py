"""Chapters, the start page, the command line, and JupyterLab as `gdm lab` starts it."""

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
import urllib.request
from pathlib import Path

import nbformat
import pytest
import tiny_course

from gdm_core.course import cli, doctor, nodelay, start
from gdm_core.course.chapters import Chapter, chapters, choose, root
from gdm_core.course.notebooks import read_source

ROOT = Path(__file__).parents[1]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two chapters and a lab; the working directory."""
    tiny_course.make(tmp_path, _02_second="", _01_first="")
    tiny_course.make(tmp_path, kind="labs", _01_practice="")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_chapters_in_order(course):
    (course / "lectures" / "src" / "notes.py").touch()
    first, second = chapters()
    assert (first.name, first.number) == ("01_first", "01") and second.name == "02_second"
    assert first.notebook == course / "lectures" / "01_first.ipynb"
    assert [c.name for c in chapters("labs", course)] == ["01_practice"]


@pytest.mark.parametrize(
    "opening, title, question, minutes",
    [
        ("# # 3 · From here to there\n# **Question.** Where do we\n# go? And why? 40 minutes", "From here to there",
         "Where do we go?", 40),
        ("# # 03: Names\n#\n# Some text. Is it 0.5? *About 5 min.*", "Names", "Is it 0.5?", 5),
        ("# # 3D shapes\n#\n# ## Part?\n#\n# What is a shape?", "3D shapes", "What is a shape?", None),
        ("# # Two\n#\n# **It ends: a\n# wall. What now?** Or so?", "Two", "It ends: a wall. What now?", None),
        ("# # Plain\n#\n# No question.", "Plain", "", None),
        ("# # Two\n#\n# Why 2 minima in 3 min-max games?\n#\n# 25 min", "Two", "Why 2 minima in 3 min-max games?", 25),
        ("# Text alone", "03_x", "", None),
    ],
)  # fmt: skip
def test_opening(tmp_path, opening, title, question, minutes):
    source = tmp_path / "03_x.py"
    head, rest = "# ---\n# jupyter: no\n# ---\n\n# %% [markdown]", "# %%\n# Why not this? 99 minutes\n"
    source.write_text(f"{head}\n{opening}\n{rest}")
    chapter = Chapter(source)
    assert (chapter.title, chapter.question, chapter.minutes) == (title, question, minutes)


def test_two_parts(tmp_path):
    names = ("_04b_more", "_05_next", "_04_first")
    first, more, following = listed = tiny_course.make(tmp_path, **dict.fromkeys(names, "explorers.later()"))
    assert [(c.name, c.number, c.spoken, c.whole) for c in listed[:2]] == [
        ("04_first", "04", "4", 4),
        ("04b_more", "04b", "4b", 4),
    ]
    assert more.title == "Title of 4b" and following.spoken == "5"
    for number in ("4", "04"):
        assert choose([number], listed) == [first] and choose([f"{number}b"], listed) == [more]
    assert choose(["4b", "04_first"], listed) == [more, first]
    for asked, near in {"5b": "05", "4c": "04", "04_more": "04b_more"}.items():
        with pytest.raises(
            ValueError, match=f"needed chapter to be one of '04.*', '05.*', got '{asked}'; try '{near}'"
        ):
            choose([asked], listed)


def test_choose(course):
    first, second = listed = chapters()
    assert choose([], listed) == listed
    for name in ("1", "01", "01_first", "lectures/01_first.ipynb", "lectures/src/01_first.py"):
        assert choose([name], listed) == [first]
    assert choose(["2", "1", "02"], listed) == [second, first]
    for names, words in {("3", "0"): "'01', '02'", ("first", ""): "'01_first', '02_second'"}.items():
        for name in names:
            with pytest.raises(ValueError, match=f"needed chapter to be one of {words}, got '{name}'"):
                choose([name], listed * 2)  # lectures and labs have the same numbers
    with pytest.raises(ValueError, match="needed at least one chapter, got none"):
        choose(["1"], [])


def test_root_is_found_from_below_and_from_elsewhere(course, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(course / "lectures" / "src")
    assert root() == course
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert root() == ROOT  # the clone that the package was installed from


def test_start_page(course):
    assert start.write_page(course) and not start.write_page(course)
    nb = nbformat.read(course / "lectures" / start.NAME, 4)
    text = "\n".join(cell.source for cell in nb.cells)
    assert {cell.cell_type for cell in nb.cells} == {"markdown"}
    assert nb.metadata.jupytext == {"formats": "ipynb"}  # saved in JupyterLab, it writes no source
    links = re.findall(r"\]\(([^)]+\.ipynb)\)", text)
    assert links == ["01_first.ipynb", "02_second.ipynb", "../labs/01_practice.ipynb"]
    assert "| [1 · Title of 1](01_first.ipynb) | What is seen here? | 5 |" in text


# The command line


def test_every_command_says_what_it_does(capsys):
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    for name, function in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +\S", said, re.MULTILINE) and function.__doc__ in said


def test_a_command_leaves_out_what_is_slow_to_import(monkeypatch):
    monkeypatch.delitem(sys.modules, "rfc3987_syntax", raising=False)
    cli.main([])
    assert sys.modules["rfc3987_syntax"] is None
    monkeypatch.setitem(sys.modules, "rfc3987_syntax", sys)  # there already: it stays
    cli.main([])
    assert sys.modules["rfc3987_syntax"] is sys


def test_a_replay_leaves_it_out_as_well():
    seen = "import sys, gdm_core.course.replay; print('nbval' in sys.modules, sys.modules['rfc3987_syntax'])"
    assert subprocess.check_output([sys.executable, "-c", seen], text=True).split() == ["True", "None"]


def test_unknown_command_names_the_nearest(capsys):
    assert cli.main(["biuld"]) == 2
    assert "try 'build'" in capsys.readouterr().err


def test_faults_of_ours_are_not_hidden(monkeypatch):
    def broken(arguments):
        raise ValueError("shape mismatch")

    monkeypatch.setitem(cli.COMMANDS, "lint", broken)
    with pytest.raises(ValueError, match="shape mismatch"):
        cli.main(["lint"])


def test_build_and_lint_say_what_happened(course, monkeypatch, capsys):
    """The kernel is left out: tests/test_build.py has it."""
    from gdm_core.course import notebooks

    def build(chapter):
        if chapter.number == "02":
            raise notebooks.CellFailed(3, "x = y", "NameError: name 'y' is not defined")
        nb = read_source(chapter.source)
        nb.metadata["gdm"] = {"source": notebooks.fingerprint(nb)}
        for i, cell in enumerate((c for c in nb.cells if c.cell_type == "code"), 1):
            cell.execution_count = i
        return notebooks.write(nb, chapter.notebook)

    monkeypatch.setattr(notebooks, "build", build)
    assert cli.main(["build"]) == 1
    said = capsys.readouterr()
    assert "written" in said.out and "02_second: code cell 3 raised\n    x = y\nNameError" in said.err
    assert (course / "lectures" / start.NAME).is_file()
    assert cli.main(["build", "1"]) == 0 and "unchanged" in capsys.readouterr().out
    assert cli.main(["lint", "01_first"]) == 0 and capsys.readouterr().out.startswith("✓ 01_first\n  11 words, 4 lines")
    assert cli.main(["lint"]) == 1
    assert "✗ 02_second\n  needed 02_second.ipynb built" in capsys.readouterr().out
    assert cli.main(["lint", "2"]) == 1 and capsys.readouterr().out.count("needed") == 1  # one complaint is enough
    assert cli.main(["build", "5"]) == 2


def test_a_terminal_without_our_characters_shows_others(course, monkeypatch):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert cli.main(["lint", "1"]) == 1 and cli.main(["\N{GREEK SMALL LETTER BETA}"]) == 2
    sys.stdout.flush(), sys.stderr.flush()
    assert sys.stdout.buffer.getvalue().startswith(b"? 01_first\n  needed 01_first.ipynb built")
    assert b"got '?'; try" in sys.stderr.buffer.getvalue()


@pytest.fixture
def became(monkeypatch):
    """The command that would have taken the place of this process."""
    commands = []
    monkeypatch.setattr(cli, "_become", lambda command: commands.append(command) or 0)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return commands


@pytest.mark.parametrize("user", [0, 1000])
def test_lab_opens_the_start_page(course, became, monkeypatch, user):
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert cli.main(["lab", "--port", "9999"]) == 0
    (command,) = became
    assert command[-2:] == ["--port", "9999"] and ("--allow-root" in command) == (user == 0)
    assert "--LabApp.default_url=/lab/tree/lectures/00_start.ipynb" in command
    assert "--ServerApp.kernel_websocket_connection_class=gdm_core.course.nodelay.NoDelayConnection" in command
    assert (course / "lectures" / "00_start.ipynb").is_file()


def test_help_of_lab_is_ours_and_leads_to_that_of_jupyterlab(course, became, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["lab", "--help"])
    said = capsys.readouterr().out
    assert "--device" in said and "--help-all lists them" in said and not became
    assert cli.main(["lab", "--help-all"]) == 0 and became[0][-1] == "--help-all"


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_test_uses_the_cores_there_are(became, monkeypatch, cores):
    monkeypatch.setattr(doctor, "cpus", lambda: cores)
    monkeypatch.chdir(ROOT)
    assert cli.main(["test", "-k", "claims"]) == 0
    (command,) = became
    assert command[1:4] == ["-m", "pytest", "--doctest-modules"] and command[-4:] == [
        "gdm_core",
        "tests",
        "-k",
        "claims",
    ]
    assert (command[command.index("-n") + 1] if "-n" in command else "1") == str(min(cores, 4))
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_app_and_export_pass_their_arguments(course, monkeypatch):
    studio, export = types.ModuleType("studio"), types.ModuleType("export")
    seen = []
    studio.main = lambda *arguments: seen.append(arguments)
    export.export = lambda listed, *where, **how: seen.append([c.name for c in listed]) or 0
    for name, module in (("studio", studio), ("export", export)):
        monkeypatch.setitem(sys.modules, f"gdm_core.course.{name}", module)
        monkeypatch.setattr(f"gdm_core.course.{name}", module, raising=False)
    assert cli.main(["app", "--port", "8001"]) == 0 and cli.main(["export", "02"]) == 0
    assert seen == [("--port", "8001"), ["02_second"]]


def test_mutants_by_name(became, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert cli.main(["mutants", "kl"]) == 0
    assert became[0][1:] == ["-m", "mutants.plant", "kl"] and os.environ["PYTHONPATH"].startswith("tests")


# JupyterLab


def test_frames_are_sent_at_once(monkeypatch):
    asked = []
    connection = nodelay.NoDelayConnection.__new__(nodelay.NoDelayConnection)
    handler = types.SimpleNamespace(set_nodelay=asked.append)
    monkeypatch.setattr(nodelay.NoDelayConnection, "websocket_handler", handler)
    base = nodelay.ZMQChannelsWebsocketConnection
    monkeypatch.setattr(base, "connect", lambda self: asked.append("connected"))
    connection.connect()
    assert asked == [True, "connected"]


class Lab:
    """JupyterLab as `gdm lab` starts it, in a course."""

    def __init__(self, home: Path):
        free = ["--no-browser", "--ServerApp.port=0", "--IdentityProvider.token=t"]
        self.log = open(home / "log", "w+")
        environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gdm_core.course.cli", "lab", *free],
            cwd=home, env=environment, stderr=self.log, stdout=self.log, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + 90
        while time.monotonic() < end and self.process.poll() is None:
            if address := re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/", Path(home / "log").read_text()):
                self.base = f"http://127.0.0.1:{address[1]}"
                with contextlib.suppress(OSError):  # an address is said before somebody answers there
                    self.ask("/api")
                    return
            time.sleep(0.2)
        raise AssertionError(Path(home / "log").read_text())

    def ask(self, path: str, method: str = "GET", content: dict | None = None) -> bytes:
        data = json.dumps(content).encode() if content else None
        request = urllib.request.Request(self.base + path, data, method=method)
        request.add_header("Authorization", "token t")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=60)
        self.log.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    tiny_course.make(home, _01_first="\n# %%\nx = 1\n")
    shutil.copy(ROOT / "lectures" / "jupytext.toml", home / "lectures")
    source, notebook = home / "lectures" / "src" / "01_first.py", home / "lectures" / "01_first.ipynb"
    nbformat.write(read_source(source), notebook)
    # As after a build: much newer than its source, which has its blank lines where its author wanted them.
    source.write_text(source.read_text().replace("\n\n# %%", "\n# %%"))
    os.utime(source, (1e9, 1e9))
    running = Lab(home)
    yield running, home
    running.stop()


@pytest.mark.slow
def test_lab_shows_the_start_page(lab):
    running, _ = lab
    html = running.ask("/lab/tree/lectures/00_start.ipynb").decode()
    config = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', html, re.DOTALL)[1])
    assert "@jupyterlab/apputils-extension:announcements" in config["disabledExtensions"]
    page = json.loads(running.ask("/api/contents/lectures/00_start.ipynb"))
    assert "01_first.ipynb" in str(page["content"])


@pytest.mark.slow
def test_notebook_saved_in_lab_writes_its_source(lab):
    running, home = lab
    opened = json.loads(running.ask("/api/contents/lectures/01_first.ipynb"))
    assert opened["content"]["cells"][-1]["source"] == "x = 1"
    before = (home / "lectures" / "src" / "01_first.py").read_text()
    running.ask("/api/contents/lectures/01_first.ipynb", "PUT", opened)
    assert (home / "lectures" / "src" / "01_first.py").read_text().split() == before.split()
    opened["content"]["cells"][-1]["source"] = "x = 2"
    running.ask("/api/contents/lectures/01_first.ipynb", "PUT", opened)
    assert read_source(home / "lectures" / "src" / "01_first.py").cells[-1].source == "x = 2"


@pytest.mark.slow
def test_start_page_saved_in_lab_becomes_no_chapter(lab):
    running, home = lab
    opened = json.loads(running.ask("/api/contents/lectures/00_start.ipynb"))
    running.ask("/api/contents/lectures/00_start.ipynb", "PUT", opened)
    assert [c.name for c in chapters("lectures", home)] == ["01_first"]


@pytest.mark.slow
def test_kernel_in_lab_answers_over_our_connection(lab):
    """A message there and back through the websocket, by the class that the command names."""
    from tornado.websocket import websocket_connect

    running, _ = lab
    kernel = json.loads(running.ask("/api/kernels", "POST", {"name": "python3"}))["id"]

    async def talk() -> list[str]:
        address = running.base.replace("http", "ws") + f"/api/kernels/{kernel}/channels?token=t"
        socket = await websocket_connect(address, connect_timeout=60)
        header = {"msg_id": "1", "msg_type": "kernel_info_request", "session": "s", "username": "", "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": {}, "channel": "shell"}
        await socket.write_message(json.dumps(message))
        kinds = []
        while "kernel_info_reply" not in kinds:
            kinds.append(json.loads(await asyncio.wait_for(socket.read_message(), 60))["header"]["msg_type"])
        socket.close()
        return kinds

    assert asyncio.run(talk())
    running.ask(f"/api/kernels/{kernel}", "DELETE")
