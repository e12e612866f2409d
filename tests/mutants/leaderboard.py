"""Faults of the leaderboard: cheaters with a rank, seeds that say too much, files that pass."""

from mutants.plant import Mutant

HERE = "gdm_core/course/leaderboard"


def _plant(name: str, old: str, new: str, test: str, of: str = "__init__") -> Mutant:
    file = "tests/test_leaderboard_scenes.py" if of == "scenes" else "tests/test_leaderboard.py"
    where = " ".join(f"{file}::test_{t}" for t in test.split())
    return Mutant(f"leaderboard-{name}", f"{HERE}/{of}.py", old, new, where)


_CAUGHT, _FIRST = "cheaters_are_caught_and_have_no_rank", "the_better_of_two_honest_models_is_first"
_SEED, _WORDS = "a_seed_repeats_and_another_looks_at_others", "what_are_no_samples_is_refused_in_words"
_ALL = "every_hidden_digit_is_looked_for_and_the_band_is_of_hidden_digits_alone"

_KEPT, _WHERE = (
    "who_keeps_the_captions_is_first_and_the_error_is_binomial",
    "captions_are_of_hidden_rooms_and_say_what_the_rooms_are",
)
_ONE, _HIDDEN = (
    "one_room_for_all_covers_little_and_is_told_from_hidden_rooms",
    "hidden_rooms_are_no_training_rooms_and_follow_the_seed",
)
_ROOMS, _SAID = "what_are_no_rooms_is_refused_in_words", "missing_and_broken_captions_and_other_data_sets_are_said"

MUTANTS = [
    _plant(
        "cheaters-ranked", "(bool(row[1].note), row[1].order, row[0])", "(row[1].order, row[0])", f"{_CAUGHT} {_FIRST}"
    ),
    _plant("cheaters-numbered", '"" if s.note else str(rank)', "str(rank)", _CAUGHT),
    _plant(
        "copies-of-each-other-alone",
        "metrics.copies(s, self.seen).copied",
        "metrics.copies(s, self.real).copied",
        _CAUGHT,
        "digits",
    ),
    _plant(
        "hidden-copies-pass",
        "metrics.copies(s, self.hidden).copied",
        "metrics.copies(s, self.seen).copied",
        _CAUGHT,
        "digits",
    ),
    _plant("repeats-pass", "1 - len(s.unique(dim=0)) / len(s)", "0.0", _CAUGHT, "digits"),
    _plant("largest-distance-first", "return Score(kernel.value,", "return Score(-kernel.value,", _FIRST, "digits"),
    _plant("seed-ignored", "Generator().manual_seed(seed)", "Generator().manual_seed(0)", _SEED, "digits"),
    _plant(
        "stream-goes-on",
        "self.numbers = lambda: Generator().manual_seed(seed)",
        "one = Generator().manual_seed(seed)\n        self.numbers = lambda: one",
        _SEED,
        "digits",
    ),
    _plant("default-seed-known", "secrets.randbelow(2**31) if", "5 if", _SEED),
    _plant("no-range", "if x.min() < 0 or x.max() > 1:", "if x.max() > 1:", _WORDS),
    _plant("nan-passes", "if not np.isfinite(x).all():", "if np.isinf(x).any():", _WORDS),
    _plant("whole-numbers-pass", 'if x.dtype.kind != "f":', 'if x.dtype.kind not in "fi":', _WORDS),
    _plant("pickles-are-run", "np.load(file, allow_pickle=False)", "np.load(file, allow_pickle=True)", _WORDS),
    _plant("refusals-exit-clean", "return int(bool(refused))", "return 0", _WORDS),
    _plant("refusals-not-written", ", *([name, why] for name, why in refused.items())", "", _WORDS),
    _plant(
        "columns-exchanged",
        "{near.precision:.2f} {near.coverage:.2f}",
        "{near.coverage:.2f} {near.precision:.2f}",
        "each_number_stands_in_its_column",
        "digits",
    ),
    _plant(
        "some-hidden-copies-pass",
        "metrics.copies(s, self.hidden).copied",
        "metrics.copies(s, self.real).copied",
        _ALL,
        "digits",
    ),
    _plant(
        "band-of-training-digits",
        "metrics.band(self.kernel, self.hidden",
        "metrics.band(self.kernel, self.seen",
        _ALL,
        "digits",
    ),
    _plant(
        "rooms-training-rooms-pass",
        "torch.isin(scenes.index(found), self.trained)",
        "torch.isin(scenes.index(found), self.trained[:9])",
        _CAUGHT,
        "scenes",
    ),
    _plant("rooms-renderer-passes", "< 1.5 / 255", "< 0.2 / 255", _CAUGHT, "scenes"),
    _plant("rooms-renderer-is-all", "< 1.5 / 255", "< 150 / 255", _CAUGHT, "scenes"),
    _plant("rooms-repeats-pass", "1 - len(x.unique(dim=0)) / len(x)", "0.0", _CAUGHT, "scenes"),
    _plant("rooms-worst-first", "return Score(-right,", "return Score(right,", _KEPT, "scenes"),
    _plant("rooms-one-factor-is-enough", "share(kept.all(1)), kept", "share(kept.any(1)), kept", _KEPT, "scenes"),
    _plant("rooms-best-factor", "least.argmin()]", "least.argmax()]", _KEPT, "scenes"),
    _plant(
        "rooms-error-is-variance",
        "(right * (1 - right) / len(x)) ** 0.5",
        "right * (1 - right) / len(x)",
        _KEPT,
        "scenes",
    ),
    _plant(
        "rooms-shuffled-against-captions",
        "fits(found, self.allowed)",
        "fits(found, self.allowed.flip(0))",
        _KEPT,
        "scenes",
    ),
    _plant(
        "rooms-asked-of-the-training-set",
        'scenes.chosen("test", count, seed)',
        'scenes.chosen("train", count, seed)',
        _WHERE,
        "scenes",
    ),
    _plant(
        "rooms-seed-ignored",
        'scenes.chosen("validation", LOOKED_AT, seed)',
        'scenes.chosen("validation", LOOKED_AT)',
        _HIDDEN,
        "scenes",
    ),
    _plant(
        "rooms-hidden-are-training",
        'scenes.chosen("validation", LOOKED_AT, seed)',
        'scenes.chosen("train", LOOKED_AT, seed)',
        _HIDDEN,
        "scenes",
    ),
    _plant(
        "rooms-tested-against-themselves",
        "small(real), small(x[some])",
        "small(x[some].flip(0)), small(x[some])",
        _ONE,
        "scenes",
    ),
    _plant(
        "rooms-pairs-of-one-factor",
        "table[:, i] * sizes[j] + table[:, j]",
        "table[:, i] * sizes[j]",
        "pairs_met_are_those_of_a_count_by_hand",
        "scenes",
    ),
    _plant("rooms-any-number", "fits, n, n, HOW", "fits, 1, n, HOW", _ROOMS, "scenes"),
    _plant("rooms-oblong-passes", "shape[2] == shape[3] in", "shape[2] in", _ROOMS, "scenes"),
    _plant("rooms-few-captions-pass", "if len(asked) < LOOKED_AT:", "if len(asked) < 1:", _SAID, "scenes"),
]
