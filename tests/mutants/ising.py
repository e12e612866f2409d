"""Faults in the Ising board."""

from mutants.plant import Mutant

ISING = "gdm_core/data/ising.py"


def ising(*names: str) -> str:
    return " ".join(f"tests/test_ising.py::test_{name}" for name in names)


MUTANTS = [
    Mutant(
        "ising-each-pair-twice",
        ISING,
        "return -self.coupling * (across",
        "return -2 * self.coupling * (across",
        ising("log_z_and_entropy_are_the_known_ones_twice"),
    ),
    Mutant(
        "ising-board-wraps-around",
        ISING,
        "across, down = s[..., 1:] * s[..., :-1], s[..., 1:, :] * s[..., :-1, :]",
        "across, down = s * s.roll(1, -1), s * s.roll(1, -2)",
        ising("probabilities_are_those_of_a_loop"),
    ),
    Mutant(
        "ising-energy-sign",
        ISING,
        "log_weights = -self.energy(self.states())",
        "log_weights = self.energy(self.states())",
        ising("probabilities_are_those_of_a_loop"),
    ),
    Mutant(
        "ising-transfer-one-row-too-many",
        ISING,
        "for _ in range(self.side - 1):",
        "for _ in range(self.side):",
        ising("log_z_and_entropy_are_the_known_ones_twice"),
    ),
    Mutant(
        "ising-transfer-forgets-the-row",
        ISING,
        "+ between).logsumexp(0) + inside",
        "+ between).logsumexp(0)",
        ising("log_z_and_entropy_are_the_known_ones_twice"),
    ),
    Mutant(
        "ising-unknown-pixels-have-a-say",
        ISING,
        "self._numbers() & number, each)",
        "self._numbers(), each)",
        ising("conditionals_are_shares_of_the_states_that_agree"),
    ),
    Mutant(
        "ising-unknown-pixels-peek",
        ISING,
        "self.index(torch.where(known, x, 0))",
        "self.index(x)",
        ising("conditionals_are_shares_of_the_states_that_agree"),
    ),
    Mutant(
        "ising-marginals-of-the-other-part",
        ISING,
        "torch.stack([p.sum(2), p[:, :, 1]], 2)",
        "torch.stack([p[:, :, 1], p.sum(2)], 2)",
        ising("all_marginals_at_once_are_sums_over_the_rest"),
    ),
    Mutant(
        "ising-all-states-alike",
        ISING,
        "torch.multinomial(self.log_p.exp(),",
        "torch.multinomial(torch.ones_like(self.log_p),",
        ising("samples_follow_the_probabilities"),
    ),
    Mutant(
        "ising-entropy-of-the-other-part",
        ISING,
        "self._numbers() & self._set(pixels), self",
        "self._numbers() & ~self._set(pixels), self",
        ising("entropies_of_parts"),
    ),
]
