"""Faults of an optimizer for each player, of rules in the trainer and of what a history says of gradients."""

from mutants.plant import Mutant

_MOVERS, _TURNS, _CHECKPOINT = "gdm_core/movers.py", "gdm_core/turns.py", "gdm_core/checkpoint.py"
_RULE, _EACH = (
    "test_a_rule_trains_as_its_equation_says",
    "test_each_player_has_its_optimizer_and_the_history_its_gradients",
)
_RESUME = "test_both_ways_resume_bit_for_bit[7-{}]"
_REMEMBERS, _OPTIMIZERS = _RESUME.format("a rule that remembers"), _RESUME.format("optimizers")
_NOT = "test_movers_that_cannot_be_are_refused"
_REFUSED, _BACK = "test_a_checkpoint_of_other_movers_is_refused", "test_both_ways_take_back_a_step_that_fails"


def _plant(name: str, old: str, new: str, test: str, file: str = _MOVERS) -> Mutant:
    return Mutant(f"movers-{name}", file, old, new, f"tests/test_movers.py::{test}")


MUTANTS = [
    _plant("forget", 'self.state[p]["memory"] = part', 'self.state[p]["past"] = part', _RULE),
    _plant("step-sizes-swapped", "in self.param_groups)\n", "in self.param_groups[::-1])\n", _RULE),
    _plant("rate-ignored", 'max(group["lr"], SMALLEST)', '0.01 + 0 * max(group["lr"], SMALLEST)', _RULE),
    _plant("rule-does-not-move", "game.put(w)\n        if memory", "if memory", _RULE),
    _plant("norm-of-weights", "get_total_norm(grads)", "get_total_norm(game.parameters)", _RULE),
    _plant("norm-is-the-loss", "value, norm\n    return", "value, value\n    return", _EACH, _TURNS),
    _plant("one-moves-alone", "            optimizer.step()\n", "            self.optimizers[0].step()\n", _EACH),
    _plant("state-not-shared-after-a-load", "theirs})\n        self._share()", "theirs})", _OPTIMIZERS),
    _plant(
        "one-optimizers-state-for-both",
        "theirs = [next(groups) for",
        "theirs = [saved['param_groups'][0] for",
        _OPTIMIZERS,
    ),
    _plant("memory-of-a-failed-step", "len(turns) != 1 or any", "len(turns) > 9 or any", _BACK, "gdm_core/train.py"),
    _plant("any-kind-fits", 'getattr(optimizer, "kind", ', 'getattr(optimizer, "_", ', _REFUSED, _CHECKPOINT),
    _plant("rule-beside-clip", '("clip", clip), ("moves', '("moves', _NOT, "gdm_core/train.py"),
    _plant(
        "judge-beside-two-players", "if set(optimizers) != set(names):", "if not set(names) <= set(optimizers):", _NOT
    ),
    _plant(
        "first-step-size-told-to-all",
        "rates[i] / 10",
        "rates[0] / 10",
        "test_who_diverged_is_told_a_step_size_of_its_own",
        _TURNS,
    ),
    _plant(
        "frozen-player-moves",
        "in theirs.items() if own}",
        "in theirs.items()}",
        "test_a_player_that_is_frozen_rests",
        _TURNS,
    ),
    _plant("moves-of-nobody", '        choice("player", name, theirs)\n', "        pass\n", _NOT, _TURNS),
    _plant(
        "state-of-who-remembers-nothing",
        ' if i in saved["state"]]',
        "]",
        "test_an_optimizer_that_remembers_nothing_is_saved_beside_one_that_does",
    ),
    Mutant(
        "movers-moves-asked-once",
        "gdm_core/train.py",
        "now = turns and in_turn(game)",
        "now = turns",
        "tests/test_games.py::test_how_often_a_player_moves_may_change_from_step_to_step",
    ),
]
