"""The Ising board against boards counted by hand, loops over states, and the transfer matrix."""

import itertools
import math

import pytest
import torch
from oracles import errors_off

from gdm_core import data
from gdm_core.data.ising import Ising

KNOWN = {0.44: (13.6675523842, 8.0590), 0.2: (11.5815769093, 10.577)}  # J: log Z and entropy of 4 x 4


def brute(side, coupling):
    """{board as a tuple of 0 and 1, raster order: weight}, neighbor by neighbor."""
    pairs = [((r, c), (r + a, c + b)) for r in range(side) for c in range(side) for a, b in ((0, 1), (1, 0))]
    pairs = [(r * side + c, v * side + w) for (r, c), (v, w) in pairs if v < side and w < side]
    weights = {}
    for board in itertools.product((0, 1), repeat=side**2):
        weights[board] = math.exp(coupling * sum(1 if board[i] == board[j] else -1 for i, j in pairs))
    return weights


def boards(numbers, side):
    return torch.tensor([list(b) for b in numbers], dtype=torch.float32).reshape(-1, 1, side, side)


@pytest.mark.parametrize("coupling", KNOWN)
def test_log_z_and_entropy_are_the_known_ones_twice(coupling):
    ising = Ising(coupling=coupling)
    log_z, entropy = KNOWN[coupling]
    assert ising.log_z == pytest.approx(log_z, abs=1e-9) and ising.log_z_by_transfer() == pytest.approx(log_z, abs=1e-9)
    assert ising.entropy() == pytest.approx(entropy, abs=1e-3)
    assert ising.log_prob(ising.states()).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_probabilities_are_those_of_a_loop(side):
    weights, ising = brute(side, -0.7), Ising(side, -0.7)
    z = sum(weights.values())
    truth = torch.tensor([math.log(w / z) for w in weights.values()], dtype=torch.float64)
    torch.testing.assert_close(ising.log_prob(boards(weights, side)), truth)
    torch.testing.assert_close(-ising.energy(boards(weights, side)) - ising.log_z, truth)
    assert ising.log_z == pytest.approx(math.log(z)) and ising.log_z_by_transfer() == pytest.approx(math.log(z))


def test_states_stand_at_their_numbers():
    ising = Ising(3)
    assert torch.equal(ising.index(ising.states()), torch.arange(512))
    assert ising.states()[5].flatten().tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0]


def test_conditionals_are_shares_of_the_states_that_agree():
    weights, ising = brute(3, 0.6), Ising(3, 0.6)
    generator = torch.Generator().manual_seed(0)
    x, known = ising.sample(8, generator), torch.rand(8, 1, 3, 3, generator=generator) < 0.5
    truth = torch.zeros(8, 9, dtype=torch.float64)
    for row, (board, seen) in enumerate(zip(x.flatten(1).tolist(), known.flatten(1).tolist())):
        agree = {b: w for b, w in weights.items() if all(b[i] == board[i] for i in range(9) if seen[i])}
        for i in range(9):
            truth[row, i] = sum(w for b, w in agree.items() if b[i]) / sum(agree.values())
    answer = ising.conditionals(x, known)
    torch.testing.assert_close(answer.flatten(1), truth)
    garbled = torch.where(known, x, 1 - x)
    assert torch.equal(ising.conditionals(garbled, known), answer), "an unknown pixel has no say"
    assert torch.equal(ising.conditionals(x, known[0])[:1], answer[:1])


def test_all_marginals_at_once_are_sums_over_the_rest():
    weights, ising = brute(2, 0.9), Ising(2, 0.9)
    z, x = sum(weights.values()), boards(weights, 2)
    answer = ising.log_marginals(x)
    for row, board in enumerate(weights):
        for number in range(16):
            kept = [i for i in range(4) if number >> i & 1]
            share = sum(w for b, w in weights.items() if all(b[i] == board[i] for i in kept)) / z
            assert answer[row, number].item() == pytest.approx(math.log(share), abs=1e-12)


def test_marginals_and_conditionals_of_the_board_agree():
    ising, generator = Ising(), torch.Generator().manual_seed(1)
    x, order = ising.sample(3, generator), torch.randperm(16, generator=generator).tolist()
    every, known = ising.log_marginals(x), torch.zeros(1, 4, 4, dtype=torch.bool)
    total = torch.zeros(3, dtype=torch.float64)
    for i in order:
        number = int((known.flatten().long() << torch.arange(16)).sum())
        one, at = ising.conditionals(x, known).flatten(1)[:, i], x.flatten(1)[:, i]
        step = torch.where(at == 1, one, 1 - one).log()
        torch.testing.assert_close(every[:, number + 2**i] - every[:, number], step)
        known.view(-1)[i], total = True, total + step
    torch.testing.assert_close(total, ising.log_prob(x))


def test_entropies_of_parts():
    ising = Ising(2, 0.5)
    part = lambda *pixels: torch.tensor([i in pixels for i in range(4)])
    assert ising.entropy(part()) == pytest.approx(0, abs=1e-12)
    assert ising.entropy(part(2)) == pytest.approx(math.log(2))
    assert ising.entropy(part(0, 1, 2, 3)) == pytest.approx(ising.entropy())
    p = torch.zeros(2, 2, dtype=torch.float64)
    for board, weight in brute(2, 0.5).items():
        p[board[0], board[3]] += weight
    assert ising.entropy(part(0, 3)) == pytest.approx(torch.special.entr(p / p.sum()).sum().item())


def test_samples_follow_the_probabilities():
    torch.manual_seed(0)
    ising = Ising(2, 0.4)
    counts = torch.bincount(ising.index(ising.sample(20_000)), minlength=16)
    p = ising.log_p.exp()
    assert ((counts - 20_000 * p).square() / (20_000 * p)).sum() < 45  # chi-square, 15 degrees: 1e-4
    x = (ising := Ising()).sample(20_000)
    agree = (x[..., 1:] == x[..., :-1]).double().flatten(1).mean(1)
    states = ising.states()
    truth = ising.log_p.exp() @ (states[..., 1:] == states[..., :-1]).double().flatten(1).mean(1)
    assert errors_off(agree, truth) < 5 and errors_off(-ising.log_prob(x), ising.entropy()) < 5


def test_as_a_data_set():
    boards = data.load("ising", n=5)
    assert boards.x.shape == (5, 1, 4, 4) and boards.levels == 2 and boards.density.coupling == 0.44
    assert torch.isfinite(boards.density.log_prob(boards.x)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Ising(5), "integer side from 1 to 4"),
        (lambda: Ising(0), "integer side from 1 to 4"),
        (lambda: Ising(2).log_prob(torch.full((1, 1, 2, 2), 0.5)), "pixels 0 and 1"),
        (lambda: Ising(2).log_prob(torch.zeros(2, 2)), r"x of shape \(B, 1, 2, 2\)"),
        (lambda: Ising(2).entropy(torch.ones(3, dtype=torch.bool)), r"bool \(4,\)"),
        (lambda: Ising(2).sample(0), "integer n >= 1"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=f"needed .*{words}.* got .* try"):
        call()
