"""Faults in how pictures and a training behind them share the time."""

from mutants.plant import Mutant

FLOW, STAGE = "gdm_core/widgets/js/flow.js", "gdm_core/widgets/stage.py"
TRAINER, LEARNING = "gdm_core/widgets/trainer.py", "gdm_core/explorers/learning.py"


def here(name: str) -> str:
    return f"tests/test_stage_training.py::test_{name}"


SHARE = here("a_picture_is_asked_for_when_training_has_had_its_time")
HAND = here("a_hand_does_not_wait_as_long_as_one_who_watches")
BETWEEN = here("what_a_page_asks_for_between_two_pictures_is_part_of_their_price")
LOST = here("an_answer_tells_what_a_running_training_lost_to_it")
COPIES = here("snapshots_of_a_large_model_are_taken_less_often")
LOOKS = here("what_is_shown_of_a_checkpoint_is_computed_when_somebody_looks")

PACE = here("a_dear_picture_now_and_then_does_not_break_the_pace")
AGAIN = here("a_page_asks_again_by_itself_when_there_is_always_news")
TELLS = here("only_a_slow_training_tells_the_page_of_its_news")
HEAVY = here("what_is_heavy_waits_for_its_share_of_the_time")
NEWEST = here("the_newest_model_is_at_hand_while_what_is_heavy_is_a_moment_old")
PAGE = "gdm_core/widgets/js/stage.js"

MUTANTS = [
    Mutant("one-dear-picture-breaks-the-pace", FLOW, "const LATEST = 0.25;", "const LATEST = 1;", PACE),
    Mutant("nobody-asks-again", PAGE, "if (message.again)", "if (false)", AGAIN),
    Mutant(
        "asks-again-as-a-hand",
        PAGE,
        "if (message.again) requests.want(false)",
        "if (message.again) requests.want()",
        AGAIN,
    ),
    Mutant(
        "paints-what-stays",
        PAGE,
        "if (told.get(content.name) !== words) need",
        "need",
        here("a_view_that_stays_as_it_is_is_not_painted_again"),
    ),
    Mutant(
        "paints-nothing-twice",
        PAGE,
        "      told.set(content.name, words);",
        "      told.set(words, words), told.set(content.name, told.get(content.name) ?? words);",
        here("a_view_that_stays_as_it_is_is_not_painted_again"),
    ),
    Mutant("a-fast-training-tells-too", STAGE, "time.monotonic() if swift else -SAYS_AGAIN", "-SAYS_AGAIN", TELLS),
    Mutant("a-slow-training-is-silent", STAGE, "SWIFT = 25.0", "SWIFT = 1.0", TELLS),
    Mutant("heavy-parts-without-a-share", LEARNING, "and time.monotonic() < self.due", "and False", HEAVY),
    Mutant("heavy-parts-deaf-to-a-hand", LEARNING, "watched and by == self.by and", "watched and", HEAVY),
    Mutant("old-checkpoints-wait-too", LEARNING, "trainer.running and index in", "trainer.running or index in", HEAVY),
    Mutant("what-rests-is-a-moment-old", LEARNING, "watched = trainer.running and", "watched =", HEAVY),
    Mutant("a-new-start-shows-the-old-one", LEARNING, "and trainer.steps >= self.step", "", HEAVY),
    Mutant("the-step-of-what-is-not-shown", LEARNING, "shown[1]:,}", "snapshot.step:,}", NEWEST),
    Mutant(
        "the-newest-is-a-moment-old",
        LEARNING,
        "self._checkpoint(index).state.model",
        "self._checkpoint(0).state.model",
        NEWEST,
    ),
    Mutant("pictures-starve-a-training", FLOW, "if (rest >= 1)", "if (rest >= 1000)", SHARE),
    Mutant("a-hand-has-no-more-than-who-watches", FLOW, "moved ||= hand;", "", HAND),
    Mutant("two-pictures-at-a-time-beside-a-training", FLOW, "(cost ? 1 : slots)", "2", SHARE),
    Mutant("whoever-watches-has-a-hands-share", FLOW, "const WATCH = 0.35;", "const WATCH = 0.5;", SHARE),
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
    Mutant("lost-time-by-the-clock", STAGE, "(self._left[1] - spent + beside)", "(time.perf_counter() - began)", LOST),
    Mutant("messages-for-nothing", STAGE, "self._left[1] - spent + beside", "self._left[1] - spent", BETWEEN),
    Mutant("a-cell-priced-as-a-picture", STAGE, "min(spent - before, BESIDE)", "(spent - before)", BETWEEN),
    Mutant("messages-of-a-rest", STAGE, "            self._left = 0, 0.0\n", "", BETWEEN),
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
