"""Where a lecture mixes devices: its code cells on a second device that refuses it, with training cut short.

    python tests/lectures_there.py 10 10b      # all lectures unless named; half a minute to a minute each

The fast profile of the source runs with DEVICE = "second" (`second_device`).  Mixing is told by the line of the lecture
that did it, with the line of the library where that differs, and then done all the same, so that one run tells all.
Training stops after a few steps, long loops after a second or two, and claims may fail: they are another test's.  An
error of another kind (a curve that is too short, say) is told apart; what follows from a line that failed is not told.
"""

import argparse
import ast
import contextlib
import functools
import io
import itertools
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
STEPS = 4  # of training
PATIENCE, FEW = 1.0, 12  # a loop may take so many seconds, or rounds if these take longer
LIMIT = 20  # seconds a statement, of the processor, so that a busy machine finds the same


def main(arguments: list[str] | None = None) -> int:
    """0 if no lecture mixes devices."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lectures", nargs="*", metavar="NN")
    names = parser.parse_args(arguments).lectures
    paths = sorted((ROOT / "lectures" / "src").glob("*.py"))
    wrong = 0
    for path in [p for p in paths if not names or p.stem.split("_")[0] in names or p.stem in names]:
        began = time.process_time()
        mixed, others = run(path)
        print(f"{path.stem}: {len(mixed)} places mix devices ({time.process_time() - began:.0f} s)")
        for line in mixed:
            print(f"    {line}")
        for line in others:
            print(f"    not about devices: {line}")
        sys.stdout.flush()
        wrong += bool(mixed)
    return int(bool(wrong))


def run(path: Path) -> tuple[list[str], list[str]]:
    """What mixes devices in a source, and what else went wrong there."""
    import matplotlib.pyplot as plt

    mixed, others = {}, {}
    place = functools.partial(where, path)

    def listen(words: str, kind: type[Exception] = RuntimeError) -> None:
        mixed.setdefault((place([*traceback.walk_stack(sys._getframe())][::-1]), words.split(",")[0]), words)

    names = {"__name__": "__main__", "hurried": hurried}
    with (
        tempfile.TemporaryDirectory() as models,
        mock.patch.dict(os.environ, {"GDM_MODELS": models, "GDM_QUIET": "1", "GDM_DRAFT": "1"}),
        contextlib.chdir(path.parents[1]),
        short(listen),
    ):
        for tree in statements(path):
            try:
                with limited(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    exec(compile(tree, str(path), "exec"), names)
                    for number in plt.get_fignums():
                        plt.figure(number).canvas.draw()
            except (NameError, TimeoutError) as error:
                if not isinstance(error, NameError) or not mixed | others:
                    others.setdefault(place(traceback.walk_tb(error.__traceback__)), error)
            except Exception as error:
                about = "device" in str(error) and "second" in str(error)
                at = place(traceback.walk_tb(error.__traceback__))
                if about:
                    mixed.setdefault((at, str(error)), error)
                else:
                    others.setdefault(at, error)
            plt.close("all")
    tell = lambda at, error: f"{at}: {' '.join(str(error).split())[:160]}"
    kind = lambda error: f"{type(error).__name__}: {error}"
    return [tell(at, error) for (at, _), error in mixed.items()], [tell(at, kind(e)) for at, e in others.items()]


def statements(path: Path):
    """The source's statements one by one, so that one that fails ends no cell; DEVICE is the second one."""
    tree = Hurry().visit(ast.parse(path.read_text("utf-8"), str(path)))
    for statement in ast.fix_missing_locations(tree).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "DEVICE":
            statement.value.value = "second"
        yield ast.Module([statement], [])


class Hurry(ast.NodeTransformer):
    """`for x in xs` as `for x in hurried(xs)`."""

    def visit_For(self, node: ast.For) -> ast.For:
        self.generic_visit(node)
        node.iter = ast.copy_location(ast.Call(ast.Name("hurried", ast.Load()), [node.iter], []), node.iter)
        return node


def hurried(values):
    """`values`, those that can be counted while there is time, and then the last one."""
    end = time.process_time() + PATIENCE
    for n, value in enumerate(values, 1):
        yield value
        if hasattr(values, "__len__") and FEW <= n < len(values) and time.process_time() > end:
            yield values[-1]
            return


@contextlib.contextmanager
def short(listen):
    """Training that stops soon, claims that may fail, a device that tells and goes on."""
    import matplotlib as mpl
    import second_device
    import torch
    from torch import Tensor

    from gdm_core import inference, kept, train, validate
    from gdm_core.course import claims

    claim, batch = claims.claim, validate.batch

    def few(make):
        def made(model, data, steps=1000, *arguments, **options):  # then the last state, in all the rounds asked for
            state = None
            for state in make(model, data, *arguments, **options | {"steps": min(steps, STEPS)}):
                yield state
            yield from itertools.repeat(state, max(0, steps - STEPS))

        return functools.wraps(make)(made)

    def lenient(text, measured, **bounds):
        with contextlib.suppress(claims.ClaimFailed):
            claim(text, measured, **bounds)

    def sent(x, event_shape, *, like=None, **options):
        if isinstance(x, Tensor) and like is not None and x.device != like.device:
            listen(f"{options.get('name', 'x')} on {x.device}, the model on {like.device}")
            x = x.to(like.device)
        return batch(x, event_shape, like=like, **options)

    def straight(f, at, along):  # torch.func cannot look into the stand-in's tensors: values, and a derivative of 0
        value = f(*at)
        return value, torch.zeros_like(value)

    with contextlib.ExitStack() as until, warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("ignore")
        mpl.use("Agg")
        put = lambda owner, name, value: until.enter_context(mock.patch.object(owner, name, value))
        put(second_device, "refuse", listen)
        put(claims, "claim", lenient)
        put(train, "steps", few(train.steps))
        put(kept, "tqdm", lambda steps, *_, **__: itertools.islice(steps, STEPS))
        for name in ("fit_per_datapoint", "fit_jointly"):
            put(inference, name, few(getattr(inference, name)))
        for old, new in ((batch, sent), (torch.func.jvp, straight)):
            until.callback(everywhere, new, old)  # in modules that a lecture imports as well
            everywhere(old, new)
        yield


def everywhere(old, new) -> None:
    """`new` in place of `old` in each module that imported it by name."""
    for module in [m for name, m in sys.modules.items() if name.startswith(("gdm_core", "torch.func"))]:
        for name in [name for name, value in vars(module).items() if value is old]:
            setattr(module, name, new)


@contextlib.contextmanager
def limited():
    def late(*_):
        raise TimeoutError(f"cut after {LIMIT} s")

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def where(path: Path, frames) -> str:
    """The line of the lecture, and the last one of the library after it; `frames` from outside in, with their lines."""
    stack = [(frame.f_code.co_filename, line) for frame, line in frames]
    here = [i for i, (file, _) in enumerate(stack) if file == str(path)]
    if not here:
        return "?"
    ours = [(file, line) for file, line in stack[here[-1] + 1 :] if file.startswith(str(ROOT / "gdm_core"))]
    inside = f" ({Path(ours[-1][0]).relative_to(ROOT)}:{ours[-1][1]})" if ours else ""
    return f"{path.name}:{stack[here[-1]][1]}{inside}"


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    sys.exit(main())
