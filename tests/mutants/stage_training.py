"""Faults in how pictures and a training behind them share the time."""

from mutants.plant import Mutant

FLOW, STAGE = "gdm_core/widgets/js/flow.js", "gdm_core/widgets/stage.py"
TRAINER, LEARNING = "gdm_core/widgets/trainer.py", "gdm_core/explorers/learning.py"


def here(name: str) -> str:
    return f"tests/test_stage_training.py::test_{name}"


SHARE = here("a_picture_is_asked_for_when_training_has_had_its_time")
HAND = here("a_hand_does_not_wait_as_long_as_one_who_watches")
LOST = here("an_answer_tells_what_a_running_training_lost_to_it")
COPIES = here("snapshots_of_a_large_model_are_taken_less_often")
LOOKS = here("what_is_shown_of_a_checkpoint_is_computed_when_somebody_looks")

MUTANTS = [
    Mutant("pictures-starve-a-training", FLOW, "if (rest >= 1)", "if (rest >= 1000)", SHARE),
    Mutant("a-hand-has-no-more-than-who-watches", FLOW, "moved ||= hand;", "", HAND),
    Mutant("whoever-watches-has-a-hands-share", FLOW, "const WATCH = 0.2;", "const WATCH = 0.4;", SHARE),
    Mutant(
        "training-dims",
        FLOW,
        "cost ? 0 : setTimeout(busy",
        "setTimeout(busy",
        here("nothing_is_dimmed_while_a_model_trains"),
    ),
    Mutant(
        "lost-time-untold",
        STAGE,
        "if self.trainer is not None and self.trainer.running:",
        "if self.trainer is 0:",
        LOST,
    ),
    Mutant(
        "lost-time-by-the-clock", STAGE, "(time.thread_time() - spent), 3)", "(time.perf_counter() - began), 3)", LOST
    ),
    Mutant(
        "half-an-answer-beside-training",
        STAGE,
        "                encoded = frame.encode()\n",
        "            encoded = frame.encode()\n",
        here("training_waits_for_the_whole_answer"),
    ),
    Mutant("snapshots-without-a-share", TRAINER, "(time.thread_time() - spent) / COPIES", "0.0", COPIES),
    Mutant(
        "looks-at-every-checkpoint",
        LEARNING,
        "self.model, self.look = model, look\n",
        "self.model, self.look = model, look\n        look(model)\n",
        LOOKS,
    ),
]
