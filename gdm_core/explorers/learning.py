"""A model that is there when an explorer opens, and that learns anew when one wants to watch."""

import functools
import time
from collections.abc import Callable

from torch import nn

from gdm_core import kept
from gdm_core.widgets import Timeline, Trainer

SHARE = 0.06  # of the time, for what is heavy in the pictures of a running training


def learner(recipe: kept.Recipe, look: Callable[[nn.Module], object], *, seed: int, device, **options) -> Trainer:
    """The training of a recipe in the background, for `Stage(trainer=...)`.

    It starts from zero, ends at the model that `kept.trained` gives for the same seed, and each restart repeats it.

    Args:
        look: what a checkpoint keeps of a frozen copy of the model, taken in the trainer's thread.
        options: of the recipe, `steps` among them.
    """
    now: dict[str, nn.Module] = {}

    def make():
        now["model"], steps = recipe(**options, device=device)
        return steps

    run = lambda: kept.apart(make, seed, device)
    return Trainer(run, lambda _: look(kept.frozen(now["model"])), total=options["steps"])


class Checkpoint:
    """A frozen model, and what is shown of it: computed when it is first looked at, since most never are."""

    def __init__(self, model: nn.Module, look: Callable[[nn.Module], object]):
        self.model, self.look = model, look

    @functools.cached_property
    def shown(self) -> object:
        return self.look(self.model)


class Ration:
    """What is heavy in a picture, such as a map: new whenever it should be, but not whenever a training has news.

    While a model trains before one's eyes, light parts move with every picture, and a heavy one is made anew when a
    hand asks for another, or when it has waited so long that it takes no more than `SHARE` of the time.

    Args:
        trainer: of the model that is shown.
    """

    def __init__(self, trainer: Trainer):
        self.trainer, self.made, self.by, self.step, self.due = trainer, None, None, 0, 0.0

    def __call__(self, index: int, make: Callable[[], object], *by) -> object:
        """What `make()` returns, or returned a moment ago for an older checkpoint.

        Args:
            index: of the checkpoint that is shown; only the newest of a running training has to wait.
            by: what else it depends on; compared with what it was the last time.
        """
        trainer = self.trainer
        watched = trainer.running and index in (-1, trainer.count() - 1, trainer.count() - 2)  # one may just have come
        if watched and by == self.by and trainer.steps >= self.step and time.monotonic() < self.due:
            return self.made
        spent = time.thread_time()
        self.made, self.by, self.step = make(), by, trainer.steps
        self.due = time.monotonic() + (time.thread_time() - spent) / SHARE if watched else 0.0
        return self.made


class Learned:
    """What an explorer shows of a model: finished, as it was kept, until a training that one watches begins.

    Args:
        recipe, seed, device, options: of `kept.trained`; `steps` among the options.
        look: what is shown of a model, such as the model and the codes of a data set.
        trainer: of `Checkpoint`s, for a training that one watches which is another than that of the kept model.

    Attributes:
        finished: what `look` makes of the kept model.
        trainer: of the training that one watches, from zero.

    What `look` makes is rationed while a model trains (`Ration`); what costs little is drawn by `model(index)`.
    """

    def __init__(
        self,
        recipe: kept.Recipe,
        look: Callable[[nn.Module], object],
        *,
        seed: int,
        device,
        trainer: Trainer | None = None,
        **options,
    ):
        self.kept = kept.trained(recipe, seed=seed, device=device, **options)
        self.finished = look(self.kept)
        checkpoint = functools.partial(Checkpoint, look=look)
        self.trainer = trainer or learner(recipe, checkpoint, seed=seed, device=device, **options)
        self._ration = Ration(self.trainer)

    def at(self, index: int) -> tuple[object, str]:
        """What is shown at a checkpoint, -1 the newest, and how far it is trained."""
        if self._untouched():
            return self.finished, f"trained {self.trainer.total:,} steps"
        snapshot = self._checkpoint(index)
        shown = self._ration(index, lambda: (snapshot.state.shown, snapshot.step))
        return shown[0], f"step {shown[1]:,} of {self.trainer.total:,}"

    def model(self, index: int) -> nn.Module:
        """The model at a checkpoint, always the very newest for -1."""
        return self.kept if self._untouched() else self._checkpoint(index).state.model

    def _untouched(self) -> bool:
        return self.trainer.steps == 0 and not self.trainer.running

    def _checkpoint(self, index: int):
        return self.trainer.at(index)

    def timeline(self, label: str = "training") -> Timeline:
        """The control "checkpoint", whose value is the index for `at`."""
        return Timeline("checkpoint", self.trainer.count, value=-1, follow=True, label=label)
