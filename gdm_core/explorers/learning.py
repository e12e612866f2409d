"""A model that is there when an explorer opens, and that learns anew when one wants to watch."""

import functools
from collections.abc import Callable

from torch import nn

from gdm_core import kept
from gdm_core.widgets import Timeline, Trainer


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


class Learned:
    """What an explorer shows of a model: finished, as it was kept, until a training that one watches begins.

    Args:
        recipe, seed, device, options: of `kept.trained`; `steps` among the options.
        look: what is shown of a model, such as the model and the codes of a data set.

    Attributes:
        finished: what `look` makes of the kept model.
        trainer: of the same training from zero.
    """

    def __init__(self, recipe: kept.Recipe, look: Callable[[nn.Module], object], *, seed: int, device, **options):
        self.finished = look(kept.trained(recipe, seed=seed, device=device, **options))
        checkpoint = functools.partial(Checkpoint, look=look)
        self.trainer = learner(recipe, checkpoint, seed=seed, device=device, **options)

    def at(self, index: int) -> tuple[object, str]:
        """What is shown at a checkpoint, -1 the newest, and how far it is trained."""
        trainer = self.trainer
        if trainer.steps == 0 and not trainer.running:
            return self.finished, f"trained {trainer.total:,} steps"
        snapshot = trainer.at(index)
        return snapshot.state.shown, f"step {snapshot.step:,} of {trainer.total:,}"

    def timeline(self, label: str = "training") -> Timeline:
        """The control "checkpoint", whose value is the index for `at`."""
        return Timeline("checkpoint", self.trainer.count, value=-1, follow=True, label=label)
