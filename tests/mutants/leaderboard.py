"""Faults of the leaderboard: cheaters with a rank, seeds that say too much, files that pass."""

from mutants.plant import Mutant


def _plant(name: str, old: str, new: str, test: str) -> Mutant:
    where = " ".join(f"tests/test_leaderboard.py::test_{t}" for t in test.split())
    return Mutant(f"leaderboard-{name}", "gdm_core/course/leaderboard.py", old, new, where)


_CAUGHT, _FIRST = "cheaters_are_caught_and_have_no_rank", "the_better_of_two_honest_models_is_first"
_SEED, _WORDS = "a_seed_repeats_and_another_looks_at_others", "what_are_no_samples_is_refused_in_words"
_ALL = "every_hidden_digit_is_looked_for_and_the_band_is_of_hidden_digits_alone"

MUTANTS = [
    _plant(
        "cheaters-ranked", "key=lambda s: (bool(s.note), s.kernel", "key=lambda s: (s.kernel", f"{_CAUGHT} {_FIRST}"
    ),
    _plant("cheaters-numbered", '"" if s.note else str(rank)', "str(rank)", _CAUGHT),
    _plant(
        "copies-of-each-other-alone",
        "metrics.copies(s, self.seen).copied",
        "metrics.copies(s, self.real).copied",
        _CAUGHT,
    ),
    _plant(
        "hidden-copies-pass", "metrics.copies(s, self.hidden).copied", "metrics.copies(s, self.seen).copied", _CAUGHT
    ),
    _plant("repeats-pass", "1 - len(s.unique(dim=0)) / len(s)", "0.0", _CAUGHT),
    _plant("largest-distance-first", "s.kernel.value, s.name)", "-s.kernel.value, s.name)", _FIRST),
    _plant("seed-ignored", "Generator().manual_seed(seed)", "Generator().manual_seed(0)", _SEED),
    _plant(
        "stream-goes-on",
        "self.numbers = lambda: Generator().manual_seed(seed)",
        "one = Generator().manual_seed(seed)\n        self.numbers = lambda: one",
        _SEED,
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
        "(s.precision, s.coverage)",
        "(s.coverage, s.precision)",
        "each_number_stands_in_its_column",
    ),
    _plant(
        "some-hidden-copies-pass", "metrics.copies(s, self.hidden).copied", "metrics.copies(s, self.real).copied", _ALL
    ),
    _plant(
        "band-of-training-digits", "metrics.band(self.kernel, self.hidden", "metrics.band(self.kernel, self.seen", _ALL
    ),
]
