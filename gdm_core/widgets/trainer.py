"""A model that trains while one plays with it.

The generator runs in a background thread; pictures are drawn from a snapshot, a deep copy that is swapped in one
assignment and never written again.  So the callback sees one consistent model, in evaluation mode, and training sees
nobody.  A background thread is the only way that works both in JupyterLab and in Voila: training in a cell or in a
button's callback holds up every other message.
"""

import contextlib
import copy
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from gdm_core.validate import bad, integer

PATIENCE = 0.05  # seconds that training waits for a picture at most, so that a page cannot starve it
COPIES = 0.06  # of the time, for snapshots: of a large model they are taken less often
TURN = 5e-4  # seconds after which Python takes turns; its own 5 ms, a dozen times a picture, held the hand up

_drawing = threading.Condition()
_draws = 0  # pictures being drawn now, in any stage


@contextlib.contextmanager
def drawing():
    """While a picture is drawn, trainers wait between two steps: the hand comes first."""
    global _draws
    with _drawing:
        _draws += 1
    try:
        yield
    finally:
        with _drawing:
            _draws -= 1
            _drawing.notify_all()


def sizes(state) -> dict[int, int]:
    """Bytes of the tensors and arrays in a state, by their identity: what two states share has the same one.

    >>> shared, own = np.zeros(100, np.uint8), torch.zeros(10)
    >>> first, second = sizes({"a": own, "b": [shared, shared]}), sizes((shared,))
    >>> sum(first.values()), sum((first | second).values())
    (140, 140)
    """
    return {id(part): int(part.nbytes) for part in _parts(state)}


def _parts(state) -> list:
    """All tensors and arrays that one gets to from a state, through containers, models and attributes."""
    found, seen, waiting = [], set(), [state]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | type):
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor | np.ndarray):
            found.append(thing)
        elif isinstance(thing, Mapping):
            waiting += thing.values()
        elif isinstance(thing, list | tuple | set):
            waiting += thing
        elif hasattr(thing, "__dict__") and not callable(thing) or isinstance(thing, torch.nn.Module):
            waiting += vars(thing).values()
    return found


@dataclass(frozen=True)
class Snapshot:
    """What `snapshot` returned after `step` steps."""

    step: int
    state: object


class Trainer:
    """Run any generator in the background, with checkpoints one can scrub.

    Args:
        make: `make() -> iterator`, called in the background thread at the start and after each reset; it builds the
            model and returns, say, `train.steps(model, data)` or `model.em(x, 100)`.  One `next` is one step.
        snapshot: `snapshot(value) -> copy`, called in that thread between two steps with what the generator yielded
            (None before the first step); `lambda _: kept.frozen(model)` for a model.  A deep copy unless given.
        total: number of steps, for the progress bar, if it is known.
        every: seconds between two snapshots at least, more where one takes long; 0 takes one after every step.
        keep: how many checkpoints a timeline should have at most.  When there are more, every second one goes, so that
            they always span the whole run.
        room: bytes that the tensors and arrays of all checkpoints may take together, what they share counted once; the
            same happens when there are more.  At least the first and the last stay.

    `start`, `pause`, `step`, `reset` and `stop` return at once.  An error in the thread ends the run, is kept in
    `error` and shown in the stage; `start` then begins anew.

    >>> trainer = Trainer(lambda: iter([0.5, 0.25, 0.125]), every=0)
    >>> trainer.start().wait().latest
    Snapshot(step=3, state=0.125)
    """

    def __init__(
        self,
        make: Callable[[], Iterable],
        snapshot: Callable[[object], object] | None = None,
        *,
        total: int | None = None,
        every: float = 1 / 40,
        keep: int = 60,
        room: int = 2**28,
    ):
        if not callable(make):
            raise bad("a function that returns a generator", type(make).__name__, "Trainer(lambda: steps(model, x))")
        self.make, self.snapshot = make, snapshot or copy.deepcopy
        self.total = None if total is None else integer("total", total)
        self.every, self.keep = float(every), integer("keep", keep, low=3)
        self.room = integer("room", room)
        self.error: BaseException | None = None
        self.done, self.steps = False, 0
        self._wake = threading.Condition()  # guards all that follows
        self._thread: threading.Thread | None = None
        self._go, self._owed, self._wish, self._resting = False, 0, "", True
        self._snapshots: tuple[Snapshot, ...] = ()
        self._kept: list[Snapshot] = []
        self._sizes: list[dict[int, int]] = []  # of each
        self._stride, self._offered, self._pace = 1, 0, 0.0
        self._listeners: list[weakref.WeakMethod] = []

    # What the callback and the page see.

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """All checkpoints, oldest first.  Never empty: the first call waits for that of the untrained model."""
        if not self._snapshots:
            with self._wake:
                if self._thread is None:
                    self._ask()
                self._wake.wait_for(lambda: self._snapshots or self.error, 60.0)
            if not self._snapshots:
                raise self.error or TimeoutError("needed the untrained model within 60 s; try a smaller one")
        return self._snapshots

    @property
    def latest(self) -> Snapshot:
        """The newest checkpoint."""
        return self.snapshots[-1]

    def at(self, index: int) -> Snapshot:
        """Checkpoint `index`, moved into what there is; -1 is the newest."""
        kept = self.snapshots
        return kept[max(-len(kept), min(index, len(kept) - 1))]

    def count(self) -> int:
        """How many checkpoints there are, at least 1: the length of a `Timeline`."""
        return max(1, len(self._snapshots))

    def marks(self) -> list[int]:
        """After how many steps each checkpoint was taken, at least [0]."""
        return [snapshot.step for snapshot in self._snapshots] or [0]

    @property
    def running(self) -> bool:
        """Whether steps are being done or still owed."""
        return self._go or self._owed > 0

    def status(self) -> dict:
        """For the stage: running, done, steps, total, rate (steps a second), error (in words)."""
        error = "" if self.error is None else f"Training stopped. {type(self.error).__name__}: {self.error}"
        told = {"running": self.running, "done": self.done, "steps": self.steps, "total": self.total}
        return told | {"rate": round(self._pace, 1) if self.running else 0.0, "error": error}

    def listen(self, method: Callable[[], None]) -> None:
        """Call the bound method `method` (kept weakly) whenever there is something new to see."""
        self._listeners.append(weakref.WeakMethod(method))

    # What a hand does.

    def start(self) -> "Trainer":
        """Go on until the generator ends, `pause` or an error; from the beginning if it had ended."""
        return self._ask(go=True)

    def pause(self) -> "Trainer":
        """Rest after the present step; `start` goes on from there."""
        return self._ask() if self._thread else self

    def step(self, n: int = 1) -> "Trainer":
        """Do `n` steps more than are owed already, then rest."""
        with self._wake:
            return self._ask(owed=self._owed + integer("n", n))

    def reset(self) -> "Trainer":
        """Forget everything and make the generator anew; it rests before its first step."""
        return self._ask(wish="reset")

    def stop(self) -> "Trainer":
        """Close the generator (its `finally` blocks run) and end the thread; the checkpoints stay."""
        return self._ask(wish="stop") if self._thread else self

    def wait(self, seconds: float = 60.0) -> "Trainer":
        """Block until the trainer rests; for scripts and tests.  Raises TimeoutError, or the error of the thread."""
        with self._wake:
            if not self._wake.wait_for(lambda: self._resting, seconds):
                raise TimeoutError(f"the trainer still runs after {seconds} s, at step {self.steps}")
        if self.error is not None:
            raise self.error
        return self

    def _ask(self, *, go: bool = False, owed: int = 0, wish: str = "") -> "Trainer":
        with self._wake:
            self._go, self._owed, self._wish, self._resting = go, owed, wish or self._wish, False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trainer", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        return self

    # In the thread.

    def _run(self) -> None:
        sys.setswitchinterval(min(sys.getswitchinterval(), TURN))
        while self._life():
            pass

    def _life(self) -> bool:
        """One generator from its making to its end; True when a reset asks for another."""
        with self._wake:
            self.error, self.done, self.steps, self._pace = None, False, 0, 0.0
            self._kept, self._sizes, self._stride, self._offered, self._wish = [], [], 1, 0, ""
        generator, value, seen = None, None, 0
        try:
            generator = iter(self.make())
            self._keep(value)
            last = began = time.monotonic()
            rest = self.every
            while not self._wish:
                if not self.running:
                    if seen < self.steps:  # whoever pauses sees the state in which it paused
                        self._keep(value)
                        seen = self.steps
                    self._rest()
                    began = time.monotonic()
                    continue
                with _drawing:
                    _drawing.wait_for(lambda: _draws == 0, PATIENCE)
                try:
                    value = next(generator)
                except StopIteration:
                    self.done = True
                    break
                now = time.monotonic()
                with self._wake:
                    self.steps += 1
                    self._owed = max(0, self._owed - 1)
                    pace = 1 / max(now - began, 1e-6)
                    self._pace += (pace - self._pace) * (0.05 if self._pace else 1.0)
                if now - last >= rest:
                    spent = time.thread_time()
                    self._keep(value)
                    seen, last = self.steps, now
                    rest = max(self.every, (time.thread_time() - spent) / COPIES) if self.every else 0.0
                began = now
            if seen < self.steps:
                self._keep(value)
        except BaseException as error:
            self.error = error
        finally:
            if hasattr(generator, "close"):
                with contextlib.suppress(Exception):
                    generator.close()
        with self._wake:
            again = self._wish == "reset"
            if not again:
                self._thread, self._go, self._owed, self._wish, self._resting = None, False, 0, "", True
            self._wake.notify_all()
        self._tell()
        return again

    def _rest(self) -> None:
        """Wait for the next wish; tell the page that the trainer rests."""
        with self._wake:
            if self.running or self._wish:
                return
            self._resting = True
            self._wake.notify_all()
        self._tell()
        with self._wake:
            self._wake.wait_for(lambda: self.running or self._wish)
            self._resting = False

    def _keep(self, value) -> None:
        """Take a snapshot; the newest always shows, and those of every `_stride`-th taking stay."""
        new = Snapshot(self.steps, self.snapshot(value))
        if self._offered % self._stride == 0:
            self._kept.append(new)
            self._sizes.append(sizes(new.state))
            while len(self._kept) > 1 and (len(self._kept) >= self.keep or self._held() > self.room):
                self._kept, self._sizes = self._kept[::2], self._sizes[::2]
                self._stride *= 2
        self._offered += 1
        fresh = () if self._kept and self._kept[-1] is new else (new,)
        with self._wake:
            self._snapshots = (*self._kept, *fresh)
            self._wake.notify_all()
        self._tell()

    def _held(self) -> int:
        """Bytes of all checkpoints that stay."""
        return sum({part: count for each in self._sizes for part, count in each.items()}.values())

    def _tell(self) -> None:
        for listener in list(self._listeners):
            method = listener()
            if method is None:
                self._listeners.remove(listener)
            else:
                method()
