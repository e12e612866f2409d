"""The command `gdm`.  A subcommand is a function from its arguments to an exit code; its docstring is its help."""

import argparse
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

from gdm_core.course import start_fast
from gdm_core.files import put_first, stand_in_home
from gdm_core.validate import bad, choice


def lab(arguments: list[str]) -> int:
    """Open JupyterLab on the start page; --device says where explorers compute, the rest is passed on to it."""
    from gdm_core.course import chapters, start
    from gdm_core.course.studio import lab as studio

    more = "All others are JupyterLab's, --no-browser and --port=8890 among them; gdm lab --help-all lists them."
    parser = argparse.ArgumentParser("gdm lab", description=lab.__doc__, epilog=more, allow_abbrev=False)
    parser.add_argument("--device", help="where the explorers compute: cpu, cuda, cuda:1, mps, or auto")
    chosen, arguments = parser.parse_known_args(arguments)
    if chosen.device:
        from gdm_core.course import runner

        runner.explorers_on(chosen.device)
    home = chapters.root()
    if not (home / "lectures" / start.NAME).is_file():
        start.write_page(home)
    options = [
        f"--ServerApp.root_dir={home}",
        f"--LabApp.default_url=/lab/tree/lectures/{start.NAME}",
        "--ServerApp.kernel_websocket_connection_class=gdm_core.course.nodelay.NoDelayConnection",
        *studio.options(home),
    ]
    # No pop-up about news, no question to PyPI about updates.
    put_first("JUPYTER_CONFIG_PATH", Path(__file__).parent / "jupyter")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # as in containers, where Jupyter refuses to start otherwise
        options.append("--allow-root")
    return _become([sys.executable, "-m", "jupyterlab", *options, *arguments])


def app(arguments: list[str]) -> int:
    """Open the studio: one live page an explorer."""
    from gdm_core.course import studio

    return studio.main(*arguments) or 0


def export(arguments: list[str]) -> int:
    """Write chapters as single HTML files whose explorers move without a kernel and without a network."""
    from gdm_core.course import chapters
    from gdm_core.course import export as pages

    def options(parser):
        _names(parser)
        parser.add_argument("--out", type=Path, help="folder for the pages, build/export by default")
        parser.add_argument("--limit", type=float, metavar="MB", help="largest size of a page, 12 MB by default")

    chosen = _parse(export, arguments, options)
    return pages.export(chapters.choose(chosen.names, chapters.chapters()), chosen.out, limit=chosen.limit)


def build(arguments: list[str]) -> int:
    """Run chapter sources in fresh kernels and write the committed notebooks; a second run changes no byte."""
    from gdm_core.course import chapters, notebooks, start

    chosen = _parse(build, arguments, _names)
    home = chapters.root()
    failed = notebooks.all_built(chapters.choose(chosen.names, chapters.chapters(home=home)), notebooks.build)
    start.write_page(home)
    return int(failed > 0)


def labs(arguments: list[str]) -> int:
    """Exercises with checks: build them, check a notebook, open the next one."""
    from gdm_core.course.labs.commands import main

    return main(arguments, lab)


def lint(arguments: list[str]) -> int:
    """Say what keeps notebooks from being committed: stale, errors, warnings, numbers that nothing printed ..."""
    import nbformat

    from gdm_core.course import chapters
    from gdm_core.course.lint import lint as complaints_about
    from gdm_core.course.sitting import sitting

    chosen = _parse(lint, arguments, _names)
    listed = chapters.chapters() + chapters.chapters("labs")
    found = 0
    for chapter in chapters.choose(chosen.names, listed):
        complaints = complaints_about(chapter)
        found += len(complaints)
        held = [str(sitting(nbformat.read(chapter.notebook, 4)))] if not complaints and not chapter.is_lab else []
        name = "lab " * chapter.is_lab + chapter.name
        print("\n  ".join([f"{'✗' if complaints else '✓'} {name}", *complaints, *held]))
    return int(found > 0)


def run(arguments: list[str]) -> int:
    """Run chapters with other parameters; notebooks and a table of seconds and memory go to build/run."""
    from gdm_core.course import chapters, runner

    def options(parser):
        _names(parser)
        parser.add_argument("--profile", help="fast (as committed) or full (longer training, larger sets)")
        parser.add_argument("--dataset", help="what to learn from; a chapter lists its choices")
        parser.add_argument("--device", help="cpu, cuda, cuda:1, or auto")
        parser.add_argument("--seed", type=int, help="of all random draws")
        parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other parameter")
        parser.add_argument("--out", type=Path, help="folder for the results, build/run by default")

    chosen = _parse(run, arguments, options)
    parameters = {name.upper(): getattr(chosen, name) for name in ("profile", "dataset", "device", "seed")}
    parameters = {name: value for name, value in parameters.items() if value is not None}
    parameters |= dict(map(_assignment, chosen.set))
    if isinstance(parameters.get("DEVICE"), str):
        parameters["DEVICE"] = runner.device(parameters["DEVICE"])
    home = chapters.root()
    folder = chosen.out or home / "build" / "run"
    rows = runner.run(chapters.choose(chosen.names, chapters.chapters(home=home)), parameters, folder)
    print(f"\n{runner.table(rows, parameters)}\nNotebooks and table: {folder}")
    return int(any(row.status != "ok" for row in rows))


def leaderboard(arguments: list[str]) -> int:
    """Score a folder of submitted samples (chapter 15's project): NAME.npz with `samples`, digits or painted rooms."""
    from gdm_core.course import leaderboard as board

    def options(parser):
        parser.add_argument(
            "folder", type=Path, metavar="FOLDER", help="of the submissions; the table is written there"
        )
        parser.add_argument("--dataset", default="digits", help=f"{' or '.join(board.DATASETS)}; digits by default")
        parser.add_argument("--seed", type=int, help="of the hidden choices; drawn anew, and written down, by default")
        parser.add_argument("--ask", type=int, metavar="N", help="scenes: write N captions that are to be painted")

    chosen = _parse(leaderboard, arguments, options)
    if chosen.ask is None:
        return board.main(chosen.folder, chosen.seed, chosen.dataset)
    print(board.ask(chosen.folder, chosen.ask, chosen.seed, chosen.dataset))
    return 0


def test(arguments: list[str]) -> int:
    """Run the whole test suite; what follows is passed on to pytest (--quick, --all-faults, -k claims ...)."""
    from gdm_core.course import chapters, doctor

    if importlib.util.find_spec("pytest") is None:
        raise bad("the test tools", "no pytest", "make setup, or pip install -e '.[test]'")
    cores = min(doctor.cpus(), 4)
    # Groups (see tests/conftest.py) keep what shares a kernel or a model on one worker, the long ones first.
    workers = ["-n", str(cores), "--dist", "loadgroup", "--no-loadscope-reorder"] if cores > 1 else []
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GDM_QUIET": "1", "PYTHONUTF8": "1"}
    os.chdir(chapters.root())
    return _become(
        [sys.executable, "-m", "pytest", "--doctest-modules", "-rfERs", *workers, "gdm_core", "tests", *arguments]
    )


def mutants(arguments: list[str]) -> int:
    """Plant each known fault and see the tests fail: all, or those named by a word; --strangers N draws new ones."""
    from gdm_core.course import chapters

    os.chdir(chapters.root())
    put_first("PYTHONPATH", "tests")
    module = "mutants.strangers" if "--strangers" in arguments else "mutants.plant"
    return _become([sys.executable, "-m", module, *arguments])


def doctor(arguments: list[str]) -> int:
    """Say what this machine has for the course, what is missing, and what to do about it."""
    from gdm_core.course.doctor import findings

    _parse(doctor, arguments)
    missing = 0
    for finding in findings():
        missing += finding.ok is False
        print(finding, flush=True)
    things = "thing is" if missing == 1 else "things are"
    print(f"\n{missing} {things} missing; see above." if missing else "\nReady.")
    return int(missing > 0)


def environment(arguments: list[str]) -> int:
    """Write environment.yml (conda, Binder) from pyproject.toml and constraints.txt."""
    from gdm_core.course import chapters
    from gdm_core.course.environment import text
    from gdm_core.files import atomic_write

    _parse(environment, arguments)
    home = chapters.root()
    print(f"wrote {atomic_write(home / 'environment.yml', text(home).encode())}")
    return 0


COMMANDS = {
    f.__name__: f for f in (lab, app, labs, build, lint, run, export, leaderboard, test, mutants, doctor, environment)
}


def main(arguments: list[str] | None = None) -> int:
    """The entry point; returns the exit code, 2 for what could not be understood."""
    arguments = sys.argv[1:] if arguments is None else arguments
    start_fast()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without ✓ shows ? in its place
            stream.reconfigure(errors="replace")
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print("gdm COMMAND [...]; gdm COMMAND --help says more\n")
        for name, function in COMMANDS.items():
            print(f"  {name:<12} {function.__doc__}")
        return 0
    try:
        command, home = COMMANDS[choice("command", arguments[0], COMMANDS)], Path.home()
        if other := stand_in_home():
            print(f"gdm: the home folder {home} cannot be written; {other} stands in for it.", file=sys.stderr)
        return command(arguments[1:])
    except ValueError as error:
        if not str(error).startswith("needed"):
            raise  # a fault of ours, not of the user
        print(f"gdm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # that the kernel has ended is no news
        print("\ngdm: stopped; what was finished is whole, the rest was not written.", file=sys.stderr)
        return 130


def _parse(function, arguments: list[str], *options) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"gdm {function.__name__}", description=function.__doc__)
    for add in options:
        add(parser)
    return parser.parse_args(arguments)


def _names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NN", help="numbers (10b: the second part of 10) or names; all by default"
    )


def _assignment(text: str) -> tuple[str, object]:
    """ "EPOCHS=3" as ("EPOCHS", 3); what is no literal is text."""
    import ast

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise bad("--set NAME=VALUE", repr(text), "--set EPOCHS=3")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _become(command: list[str]) -> int:
    """Run `command` in place of this process, so that Ctrl-C and the exit code are its own."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
