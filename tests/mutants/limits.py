"""Faults at the edge of what is taken: one more or one less is refused, or offered."""

from mutants.plant import Mutant

_VALIDATE = "gdm_core/validate.py"
_LEAST = "tests/test_limits.py::test_what_an_error_offers_is_the_least_that_is_taken"
_MOST = "tests/test_limits.py::test_the_most_that_an_error_names_is_taken"


def _least(name: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(name, f"gdm_core/{file}.py", old, new, _LEAST)


MUTANTS = [
    _least("least-that-is-refused", "validate", "or value < low or", "or value <= low or"),
    _least(
        "another-number-offered", "validate", '{name}={low}")\n    return int', '{name}={low + 1}")\n    return int'
    ),
    Mutant("most-that-is-refused", _VALIDATE, "value > high)", "value >= high)", _MOST),
    _least("two-codes-refused", "models/vqvae", 'integer("codes", codes, 2)', 'integer("codes", codes, 3)'),
    _least("one-latent-refused", "models/vae", 'integer("latents", latents)', 'integer("latents", latents, 2)'),
    _least("one-example-refused", "data/toy", 'integer("n", n)', 'integer("n", n, 2)'),
    _least("one-draw-refused", "inference/gradients", "2 if baseline else 1", "2"),
    _least("one-draw-beside-itself", "inference/gradients", "2 if baseline else 1", "1"),
    _least("no-codes-between", "latent", 'integer("t", t, 2)', 'integer("t", t, 3)'),
]
