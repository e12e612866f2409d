"""Masked models and parallel decoding against the board whose 65,536 states are known."""

import itertools
import math

import pytest
import torch
from oracles import errors_off, event_space, off_init

from gdm_core import decoding, train
from gdm_core.data.ising import Ising
from gdm_core.models.masked import Masked

BOARD = (1, 4, 4)
VALUES = torch.tensor([0.0, 1.0])


def exact(ising):
    def conditionals(x, known):
        one = ising.conditionals(x, known)
        return torch.stack([1 - one, one], 1).log()

    return conditionals


def model(**options):
    torch.manual_seed(0)
    return off_init(Masked((1, 2, 2), 2, hidden=(8,), **options), 0.5).double().eval()


# Exact conditionals


def test_one_at_a_time_in_any_order_is_the_board_itself():
    ising, generator = Ising(), torch.Generator().manual_seed(0)
    x = ising.sample(4, generator)
    for order in (decoding.raster(BOARD), decoding.random(4, BOARD, generator)):
        paid = decoding.log_prob(exact(ising), x, decoding.in_turns(order), VALUES)
        assert paid.shape == (16, 4)
        torch.testing.assert_close(paid.sum(0), ising.log_prob(x), atol=1e-10, rtol=0)


@pytest.mark.parametrize("steps, nats", [(1, 3.0313), (16, 0.0)])
def test_what_parallel_decoding_costs(steps, nats):
    cost = decoding.cost(Ising().entropy, decoding.in_turns(decoding.raster(BOARD), steps).turn)
    assert len(cost) == steps and min(cost) > -1e-12 and sum(cost) == pytest.approx(nats, abs=1e-4)


def test_turns_that_stay_apart_cost_less():
    spread = torch.tensor([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])[None]  # Bayer (1973)
    total = lambda order, steps: sum(decoding.cost(Ising().entropy, decoding.in_turns(order, steps).turn))
    for steps in (2, 4, 8):
        assert 0 < total(spread, steps) < 0.5 * total(decoding.raster(BOARD), steps)


def test_a_checkerboard_pays_for_its_first_half_alone():
    first, second = decoding.cost(Ising().entropy, decoding.checkerboard(BOARD).turn)
    assert first == pytest.approx(0.8111, abs=1e-4) and abs(second) < 1e-10


def test_the_cost_is_the_mean_of_what_is_lost():
    ising = Ising(2, 0.7)
    x, plan = ising.states(), decoding.in_turns(decoding.raster((1, 2, 2)), 2)
    q = decoding.log_prob(exact(ising), x, plan, VALUES).sum(0)
    assert q.exp().sum().item() == pytest.approx(1, abs=1e-10)
    kl = (ising.log_p.exp() * (ising.log_p - q)).sum().item()
    assert kl > 0.01 and sum(decoding.cost(ising.entropy, plan.turn)) == pytest.approx(kl, abs=1e-10)


@pytest.mark.parametrize("plan", ["turns", "confident", "own"])
def test_draws_follow_the_probability_that_is_told(plan):
    """Turns in common, an order of each example's own, and one that depends on what was drawn."""
    made = model()
    n, x = 20_000, event_space(made.values, (1, 2, 2))
    plans = {"turns": decoding.in_turns(decoding.raster((1, 2, 2)), 2), "confident": decoding.Confident(2)}
    torch.manual_seed(1)
    noise, nothing = torch.rand(n, 1, 2, 2, dtype=torch.float64), torch.zeros(n, 1, 2, 2, dtype=torch.bool)
    if plan == "own":
        orders = decoding.random(n, (1, 2, 2))
        used = decoding.in_turns(orders, 2)
        paid = lambda x: decoding.log_prob(made.conditionals, x, used, made.values).sum(0)
        own = event_space(made.values, (1, 2, 2))[torch.arange(n) % 16]
        truth = None
    else:
        used = plans[plan]
        truth = decoding.log_prob(made.conditionals, x, used, made.values).sum(0).exp()
        assert truth.sum().item() == pytest.approx(1, abs=1e-10)
    *_, (drawn, known) = decoding.decode(made.conditionals, torch.zeros_like(noise), nothing, used, made.values, noise)
    assert known.all()
    if plan == "own":  # the chance of a state, averaged over the orders that were drawn
        for state in (3, 8):
            hit = (drawn == x[state]).flatten(1).all(1).double()
            told = paid(x[state].expand_as(own)).exp()
            assert errors_off(hit - told, 0.0) < 5
        return
    hits = torch.stack([(drawn == state).flatten(1).all(1).double() for state in x], 1)
    assert (errors_off(hits, truth) < 5).all()


def test_turns_are_even_and_all_known_at_the_end():
    ising = Ising(2)
    noise, nothing = torch.rand(3, 1, 2, 2), torch.zeros(3, 1, 2, 2, dtype=torch.bool)
    for plan, counts in (
        (decoding.in_turns(decoding.raster((1, 2, 2)), 3), [2, 3, 4]),
        (decoding.Confident(3), [2, 3, 4]),
    ):
        seen = [
            known.sum().item() // 3 for _, known in decoding.decode(exact(ising), noise, nothing, plan, VALUES, noise)
        ]
        assert seen == counts


def test_what_is_known_stays_and_unknown_pixels_have_no_say():
    made, noise = model(), torch.rand(2, 1, 2, 2, dtype=torch.float64)
    known = torch.tensor([True, False, False, True]).reshape(1, 2, 2)
    x = torch.tensor([1.0, 0, 0, 1]).double().reshape(1, 1, 2, 2).expand(2, -1, -1, -1)
    for junk in (0.0, 1.0):
        start = torch.where(known, x, junk)
        torch.testing.assert_close(made.conditionals(start, known), made.conditionals(x, known))
        *_, (drawn, _) = decoding.decode(made.conditionals, start, known, decoding.Confident(2), made.values, noise)
        assert (drawn[:, known] == 1).all()


def test_the_surest_come_first():
    log_p = torch.tensor([[0.5, 0.9, 0.6, 0.2], [0.5, 0.1, 0.4, 0.8]]).log()[None]  # (1, K, 4)
    known = torch.zeros(1, 4, dtype=torch.bool)
    assert decoding.Confident(2)(0, log_p, known).tolist() == [[False, True, False, True]]
    known[0, 1] = True
    assert decoding.Confident(3)(2, log_p, known).tolist() == [[True, False, True, True]]


def test_what_was_there_before_is_not_paid_for():
    """log p(unknown | known) = log p(x) - log p(known), one at a time."""
    ising = Ising(2, 0.7)
    x, known = ising.states(), torch.tensor([True, False, True, False]).reshape(1, 2, 2)
    paid = decoding.log_prob(exact(ising), x, decoding.in_turns(decoding.raster((1, 2, 2))), VALUES, known).sum(0)
    same = (x[:, None] == x)[..., known[0]].all(-1).flatten(1)  # (16, 16): states that agree on what is known
    marginal = (same.double() @ ising.log_p.exp()).log()
    torch.testing.assert_close(paid, ising.log_prob(x) - marginal)


def test_what_is_unknown_is_never_shown():
    """Neither to draw nor to say how probable a draw was: all that is unknown is the first value there."""
    seen = []

    def conditionals(x, known):
        seen.append(x[~known].unique().tolist())
        return torch.zeros(len(x), 2, *x.shape[1:]) - math.log(2)

    x, plan = torch.ones(3, *BOARD), decoding.in_turns(decoding.raster(BOARD), 4)
    decoding.log_prob(conditionals, x, plan, VALUES)
    list(
        decoding.decode(conditionals, x, torch.zeros(3, *BOARD, dtype=torch.bool), plan, VALUES, torch.rand(3, *BOARD))
    )
    assert seen == [[0.0]] * 8


def test_random_orders_follow_a_generator():
    one, same, other = (decoding.random(3, BOARD, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert (one.flatten(1).sort(1).values == torch.arange(16)).all()


def test_u_of_one_is_the_last_value():
    torch.manual_seed(0)
    table = (3 * torch.randn(500, 17, 1)).log_softmax(1)
    assert table.exp().cumsum(1)[:, -1].min() < 1
    nothing, one = torch.zeros(500, 1, dtype=torch.bool), torch.ones(500, 1)
    plan, values = decoding.in_turns(torch.tensor([0])), torch.linspace(0, 1, 17)
    ((x, _),) = decoding.decode(lambda x, known: table, one, nothing, plan, values, one)
    assert x.min() > 0.5


# The model


def test_the_bound_is_an_average_over_all_masks():
    made = model()
    x = torch.tensor([[1.0, 0], [1, 1]]).double().reshape(1, 1, 2, 2)
    total = 0.0
    for number in range(15):
        known = torch.tensor([number >> i & 1 == 1 for i in range(4)]).reshape(1, 2, 2)
        told = made.conditionals(x, known).gather(1, x.long()[:, None])[0, 0]
        m = 4 - number.bit_count()
        total += told[~known].sum().item() / m / math.comb(4, m)
    torch.manual_seed(0)
    assert errors_off(made.elbo(x.expand(20_000, -1, -1, -1)), total) < 5


def spied(made):
    """What of x was known, at each call of the network."""
    seen, ask = [], made.conditionals
    made.conditionals = lambda x, known, y=None: seen.append(known.expand_as(x)) or ask(x, known, y)
    return seen


def test_every_number_of_masked_elements_is_as_frequent():
    torch.manual_seed(0)
    made = model()
    seen = spied(made)
    made.elbo(torch.zeros(20, 1, 2, 2).double())
    counts = (~seen[0]).flatten(1).sum(1).bincount(minlength=5)
    assert counts.tolist() == [0, 5, 5, 5, 5]


@pytest.mark.parametrize("symbols", [False, True])
def test_what_is_unknown_may_hold_anything(symbols):
    made, known = model(symbols=symbols), torch.tensor([True, False, False, True]).reshape(1, 2, 2)
    for junk in (-7.0, 0.3, 100.0):
        x = torch.where(known, 1.0, junk).double()[None]
        assert torch.equal(made.conditionals(x, known), made.conditionals(torch.ones(1, 1, 2, 2).double(), known))


def test_samples_take_as_many_turns_as_asked_and_the_noise_given():
    made = model()
    for steps, turns in ((1, 1), (3, 3), (None, 4)):
        seen = spied(made)
        made.sample(5, steps=steps)
        assert len(seen) == turns
        del made.conditionals
    noise = torch.full((3, 1, 2, 2), 1e-9).double()
    assert made.sample(3, noise=noise).max() == 0 and made.sample(3, noise=1 - noise).min() == 1


def test_a_learned_board_comes_close_to_its_entropy():
    ising = Ising(2, 0.8)
    torch.manual_seed(0)
    made = Masked((1, 2, 2), 2, hidden=(64,))
    train.fit(made, ising.sample, steps=500, batch_size=256, lr=0.02, rate=train.falling)
    x = ising.states()
    for order in (decoding.raster((1, 2, 2)), decoding.raster((1, 2, 2)).flip(2)):
        q = decoding.log_prob(made.conditionals, x, decoding.in_turns(order), VALUES).sum(0).double()
        assert 0 <= (ising.log_p.exp() * (ising.log_p - q)).sum().item() < 0.02


def test_samples_take_an_order_of_their_own():
    made = model()
    torch.manual_seed(3)
    x = made.sample(20_000)
    plans = [decoding.in_turns(torch.tensor(order).reshape(1, 2, 2)) for order in _permutations(4)]
    states = event_space(made.values, (1, 2, 2))
    p = torch.stack([decoding.log_prob(made.conditionals, states, plan, made.values).sum(0).exp() for plan in plans])
    hits = torch.stack([(x == state).flatten(1).all(1).double() for state in states], 1)
    assert (errors_off(hits, p.mean(0)) < 5).all()


def _permutations(n):
    return list(itertools.permutations(range(n)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: decoding.in_turns(decoding.raster((1, 2, 2)), 5), "integer steps from 1 to 4, got 5"),
        (lambda: model().sample(2, steps=5), "integer steps from 1 to 4, got 5"),
        (lambda: model().conditionals(torch.zeros(1, 1, 2, 2).double(), torch.ones(2, 2)), "known as bool"),
        (lambda: model().elbo(torch.full((2, 1, 2, 2), 0.3).double()), "2 gray levels"),
        (lambda: Masked(4, 2, network="conv"), "pictures .*network='mlp'"),
        (lambda: decoding.cost(Ising(2).entropy, torch.zeros(4)), "turns as integers"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=f"needed .*{words}"):
        call()
