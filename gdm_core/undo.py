"""A training step happens whole or not at all.

What a step may change before it fails is copied as it begins and put back if it does.  A step of one move copies
little: loss and gradient are looked at before the weights move.  A step of several moves copies weights and optimizer
too.  A module with buffers that are too large to copy, such as a memory of many chains, keeps its own record
(`protocols.HasSavepoint`).
"""

import signal
import threading
from operator import is_

import torch
from torch import Tensor

from gdm_core.checkpoint import Run, rng_state, set_rng_state
from gdm_core.protocols import HasSavepoint

LARGE = 2**14  # entries of a buffer, beyond which it is copied only after torch saw it change


class Whole:
    """`with whole: ...` around a step; Ctrl-C waits for its end, so that none is left half done.

    A second Ctrl-C does not wait, unless `moving`: weights that move are at their end in a moment.

    Args:
        run: what the step depends on.
        several: whether weights may have moved before a step fails.

    Attributes:
        moving: set before the last move of a step.  A failure then is the optimizer's own; a step of one move is not
            taken back from there, and `torn` says so.
    """

    def __init__(self, run: Run, several: bool):
        self.run, self.several, self.torn = run, several, False
        self.copies: dict[int, tuple[Tensor, Tensor, int]] = {}  # tensor, its copy, its version at that time
        self.now, self.kept = [], []  # the tensors that were copied last, and their copies
        self.keepers = [m for m in run.model.modules() if isinstance(m, HasSavepoint)]
        self.others = [m for m in run.model.modules() if not isinstance(m, HasSavepoint)]

    def __enter__(self) -> None:
        self.moving, self.deaf = False, True
        self.handler, self.pressed, self.told = signal.getsignal(signal.SIGINT), 0, False
        self.holds = threading.current_thread() is threading.main_thread() and callable(self.handler)
        if self.holds:
            signal.signal(signal.SIGINT, self._wait)
        self._record()
        self.deaf = False

    def _wait(self, *event) -> None:
        self.pressed += 1
        if self.pressed > 1 and not self.moving and not self.deaf:
            self.told = True
            self.handler(*event)

    def __exit__(self, kind, *_) -> None:
        self.deaf = True
        if kind is not None:
            self.torn = self.moving and not self.several
            if not self.torn:
                self._take_back()
        if self.holds:
            signal.signal(signal.SIGINT, self.handler)
            if self.pressed and not self.told:
                self.handler(signal.SIGINT, None)

    def _record(self) -> None:
        run, tensors = self.run, []
        self.order, self.draws = run.order.state(), rng_state(run.device)
        self.savepoints = [module.savepoint() for module in self.keepers]
        held = [(m._buffers, name, b) for m in self.others for name, b in m._buffers.items()]
        self.places = [(buffers, name, b) for buffers, name, b in held if b is not None]
        if self.several:
            self.states = {p: dict(entries) for p, entries in run.optimizer.state.items()}
            tensors = [v for entries in self.states.values() for v in entries.values() if isinstance(v, Tensor)]
            tensors += [p for group in run.optimizer.param_groups for p in group["params"]] + run.average.mean
        self._copy([b for *_, b in self.places], tensors)

    @torch.no_grad()
    def _copy(self, buffers: list[Tensor], tensors: list[Tensor]) -> None:
        now = buffers + tensors
        if len(now) == len(self.now) and all(map(is_, now, self.now)) and all(b.numel() <= LARGE for b in buffers):
            if now:  # the same small ones as last time
                torch._foreach_copy_(self.kept, now)
            return
        # Batch norm changes its averages behind torch's count of versions, so what is small is copied anyway.
        still = lambda b: b.numel() > LARGE and self.copies.get(id(b), (b, b, -1))[2] == b._version
        stale, copies = [t for t in buffers if not still(t)] + tensors, {}
        for t in now:
            known = self.copies.get(id(t))
            copies[id(t)] = (t, torch.empty_like(t) if known is None else known[1], t._version)
        if stale:
            torch._foreach_copy_([copies[id(t)][1] for t in stale], [t.detach() for t in stale])
        self.copies, self.now = copies, now  # those of tensors that are gone go too
        self.kept = [copies[id(t)][1] for t in now]

    @torch.no_grad()
    def _take_back(self) -> None:
        run = self.run
        run.order.load(self.order)
        set_rng_state(self.draws, run.device)
        for buffers, name, b in self.places:
            buffers[name] = b
        for put_back in self.savepoints:
            put_back()
        if self.several:
            run.optimizer.state.clear()
            run.optimizer.state.update(self.states)
        for tensor, copy, _ in self.copies.values():
            tensor.copy_(copy)
