"""What every model must satisfy, whichever file it lives in: `walk` finds them all."""

import copy
import inspect
import math

import pytest
import torch
from oracles import errors_off, off_init
from torch.distributions import Distribution
from walk import NAMES, build, classes, demo, examples, labels, offering, values, whole_space

from gdm_core import protocols, train

TAKE_DATA = ("loss", "critic_loss", "log_prob", "encode", "elbo", "energy", "score")
TAKE_LABELS = (*TAKE_DATA, "generator_loss", "sample", "decode", "generate", "denoise")


@pytest.mark.parametrize("name", NAMES)
def test_demo_builds_a_module_that_knows_its_event_shape(name):
    model = demo(name)
    assert isinstance(model, torch.nn.Module)
    assert isinstance(model.event_shape, torch.Size) and len(model.event_shape) >= 1
    assert any(p.requires_grad for p in model.parameters())


@offering(protocols.HasSamples)
def test_samples_have_the_event_shape(name):
    model = build(name)
    x = examples(model, 7)
    assert x.shape == (7, *model.event_shape) and torch.isfinite(x).all() and not x.requires_grad
    assert x.dtype == (torch.float64 if values(model) is None else values(model).dtype)
    assert values(model) is None or ((x[..., None] - values(model)).abs().amin(-1) < 1e-6).all()
    assert examples(model, 1).shape == (1, *model.event_shape)


@offering(protocols.HasSamples)
def test_samples_follow_the_seed(name):
    model = build(name)
    draws = [torch.manual_seed(seed) and examples(model, 20) for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@offering(protocols.HasSamples)
def test_a_sample_count_that_makes_no_sense_is_refused(name):
    model = build(name)
    for n in (0, -1, 2.5, "3"):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            model.sample(n, *((0,) if getattr(model, "labels", 0) else ()))


@offering(protocols.HasLoss)
def test_loss_is_a_scalar_that_reaches_every_parameter(name):
    model = build(name).train()
    loss = model.loss(examples(model, 64), *labels(model, 64))
    assert loss.shape == () and loss.dtype == torch.float64 and torch.isfinite(loss)
    loss.backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), key
        assert p.numel() == 0 or p.grad.count_nonzero() > 0, key


def reached(model, player):
    """Names of the parameters that a player's loss reaches."""
    model.zero_grad()
    loss = getattr(model, f"{player}_loss")(examples(model, 64), *labels(model, 64))
    assert loss.shape == () and torch.isfinite(loss)
    loss.backward()
    return {key for key, p in model.named_parameters() if p.grad is not None and p.grad.count_nonzero()}


@offering(protocols.HasPlayers)
def test_each_parameter_is_one_players_and_its_loss_reaches_it(name):
    model = build(name).train()
    names = {id(p): key for key, p in model.named_parameters()}
    theirs = {player: [names[id(p)] for p in own] for player, own in model.players().items()}
    assert len(theirs) > 1 and sorted(sum(theirs.values(), [])) == sorted(names.values())
    for player, own in theirs.items():
        assert reached(model, player) >= set(own), player
        assert "no likelihood" in getattr(model, f"{player}_loss").__doc__.lower()


@offering(protocols.HasPlayers, "critic_loss")
def test_the_critics_loss_leaves_the_others_alone(name):
    model = build(name).train()
    critic = {id(p) for p in model.players()["critic"]}
    assert reached(model, "critic") == {key for key, p in model.named_parameters() if id(p) in critic}


@offering(protocols.HasMap)
def test_samples_are_noise_under_the_map(name):
    model = build(name)
    assert not hasattr(model, "decode"), "a map without a density is not called decode"
    torch.manual_seed(1)
    z = model.prior().sample((6,))
    torch.manual_seed(1)
    x = examples(model, 6)
    torch.testing.assert_close(model.generate(z, *labels(model, 6)), x)
    alone = [model.generate(z[i : i + 1], *(y[i : i + 1] for y in labels(model, 6))) for i in range(6)]
    torch.testing.assert_close(torch.cat(alone), x)


@pytest.mark.parametrize("name", NAMES)
def test_labels_come_last(name):
    """Behind x, n or z, and behind t; only what may be left out follows."""
    model = build(name)
    for method in [m for m in TAKE_LABELS if hasattr(model, m)]:
        takes = list(inspect.signature(getattr(model, method)).parameters)
        if getattr(model, "labels", 0) or "y" in takes:
            assert takes.index("y") == (2 if method == "denoise" else 1), f"{method}({', '.join(takes)})"


@pytest.mark.parametrize("name", [n for n in NAMES if "-" in n and getattr(demo(n), "labels", 0)])
def test_labels_are_asked_for_looked_at_and_used(name):
    model = build(name)
    x, t = examples(model, 4, 0), torch.full((4,), 0.5, dtype=torch.float64)
    for method in [m for m in TAKE_LABELS if hasattr(model, m)]:
        if method in ("decode", "generate"):
            first = (model.prior().sample((4,)),)
        else:
            first = {"sample": (4,), "denoise": (x, t)}.get(method, (x,))
        answers = []
        for y in (0, 1):
            torch.manual_seed(0)
            answers.append(getattr(model, method)(*first, torch.full((4,), y)))
        torch.manual_seed(0)
        a, b = answers if torch.is_tensor(answers[0]) else [q.sample() for q in answers]
        assert not torch.equal(a, b), f"{method} does not look at y"
        for wrong in ((), (torch.full((4,), model.labels),), (torch.full((4,), -1),), (torch.ones(4),)):
            with pytest.raises(ValueError, match="needed .* got .* try"):
                getattr(model, method)(*first, *wrong)
                print(f"{method} took labels {wrong}")


@offering(protocols.HasDensity)
def test_log_prob_is_per_example_whatever_the_company(name):
    model = build(name)
    x, y = examples(model, 9), labels(model, 9)
    with torch.no_grad():
        together = model.log_prob(x, *y)
        assert together.shape == (9,) and together.dtype == torch.float64
        alone = torch.cat([model.log_prob(x[i : i + 1], *(c[i : i + 1] for c in y)) for i in range(9)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)


@offering(protocols.HasDensity, protocols.HasLoss)
def test_loss_is_the_mean_of_minus_log_prob_unless_its_docstring_says_otherwise(name):
    model = build(name)
    x, y = examples(model, 33), labels(model, 33)
    if "no likelihood" not in (type(model).loss.__doc__ or "").lower():
        torch.testing.assert_close(model.loss(x, *y), -model.log_prob(x, *y).mean(), rtol=1e-10, atol=1e-10)


@offering(protocols.HasDensity)
def test_density_integrates_and_probabilities_sum_to_one(name):
    model = build(name)
    x, cell = whole_space(model)
    for y in classes(model):
        with torch.no_grad():
            total = model.log_prob(x, *labels(model, len(x), y)).exp().sum().item() * cell
        assert total == pytest.approx(1, abs=2e-3 if values(model) is None else 1e-9), y


@offering(protocols.HasDensity, protocols.HasSamples)
@pytest.mark.slow
def test_samples_come_from_the_density(name):
    """Moments and entropy of samples against the same sums over a grid or all events, within 5 standard errors."""
    model = build(name)
    x, cell = whole_space(model)
    for y in classes(model):

        def looked_at(x, y=y):
            log_prob = model.log_prob(x, *labels(model, len(x), y))
            x = x.double().flatten(1)
            a, b, pair = x[:, 0], x[:, -1], x[:, :2].prod(1)
            return torch.stack([a, b, a**2, b**2, a * b, pair, torch.tanh(a - 0.3), log_prob])

        with torch.no_grad():
            expected = looked_at(x) @ model.log_prob(x, *labels(model, len(x), y)).exp() * cell
            off = errors_off(looked_at(examples(model, 20_000, y)), expected, dim=1)
        assert (off < 5).all(), (y, off)


@offering("elbo")
@pytest.mark.slow
def test_a_bound_lies_below_a_density(name):
    """exp(elbo) <= p(x), so it integrates to 1 at the most; a lost constant or a KL of the wrong sign does not."""
    model = build(name)
    x, cell = whole_space(model, side=150)
    for y in classes(model):
        with torch.no_grad():
            elbo = torch.stack([model.elbo(x, *labels(model, len(x), y)) for _ in range(30)])
        assert elbo.shape == (30, len(x))
        assert elbo.mean(0).exp().sum().item() * cell < 1.01


@offering(protocols.HasScore)
def test_the_score_is_the_gradient_of_the_log_density(name):
    model = build(name)
    x, y = examples(model, 9), labels(model, 9)
    log_density = model.log_prob if isinstance(model, protocols.HasDensity) else lambda *b: -model.energy(*b)
    at = x.clone().requires_grad_()
    truth = torch.autograd.grad(log_density(at, *y).sum(), at)[0]
    with torch.no_grad():
        torch.testing.assert_close(model.score(x, *y), truth, rtol=1e-8, atol=1e-10)


@offering(protocols.HasDenoiser)
def test_a_schedule_runs_from_data_to_noise(name):
    model, t = build(name), torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = model.schedule(t)
    assert alpha.shape == sigma.shape == t.shape and alpha[0] == pytest.approx(1) and sigma[0] == pytest.approx(0)
    assert ((alpha / sigma)[1:].diff() < 0).all(), "the share of data falls all the way"


@offering(protocols.HasDenoiser, protocols.HasLoss)
@pytest.mark.slow
def test_training_makes_the_denoiser_the_mean_of_the_data(name):
    """x ~ N(1 + y, 1/4) in each entry: E[x | x_t, y] is known for its own schedule."""
    torch.manual_seed(0)
    model, var = demo(name), 0.25
    center = lambda y: (1.0 + (y[0] if y else torch.zeros(256))).reshape(-1, *[1] * len(model.event_shape))

    def draw(n):
        y = labels(model, n)
        return center(y) + var**0.5 * torch.randn(n, *model.event_shape), *y

    train.fit(model, draw, steps=500, batch_size=256, lr=1e-2, rate=train.falling)
    x, *y = draw(256)
    for t in (torch.full((256,), at) for at in (0.2, 0.5, 0.8)):
        alpha, sigma = (a[0] for a in model.schedule(t))
        x_t = alpha * x + sigma * torch.randn_like(x)
        truth = center(y) + alpha * var / (alpha**2 * var + sigma**2) * (x_t - alpha * center(y))
        with torch.no_grad():
            assert (model.denoise(x_t, t, *y) - truth).square().mean() < 0.05 * var


@offering(protocols.HasLatent)
def test_prior_decoder_and_posterior_fit_together(name):
    """Shapes, and p(x) = E_z p(x | z): a sum where z is one of K, else importance sampling from half prior, half q."""
    model = build(name)
    x, y, k = examples(model, 6), labels(model, 6), 20_000 if model.event_shape.numel() < 10 else 3_000
    prior, q = model.prior(), model.encode(x, *y)
    assert isinstance(q, Distribution) and isinstance(model.decode(prior.sample((6,)), *y), Distribution)
    assert q.batch_shape == (6,) and prior.batch_shape == () and q.event_shape == prior.event_shape
    if prior.event_shape == () and prior.has_enumerate_support:
        z = prior.enumerate_support()  # (K,)
        joint = model.decode(z).log_prob(x[:, None]) + prior.log_prob(z)  # (6, K)
        posterior = torch.stack([q.log_prob(c.expand(6)) for c in z], 1)
        torch.testing.assert_close(posterior.logsumexp(1), torch.zeros_like(x[:, 0]), atol=1e-10, rtol=0)
        if isinstance(model, protocols.HasDensity):
            torch.testing.assert_close(joint.logsumexp(1), model.log_prob(x), rtol=1e-10, atol=1e-10)
        return
    with torch.no_grad():
        for i in range(6):
            one = model.encode(x[i : i + 1], *(c[i : i + 1] for c in y))
            z = torch.cat([prior.sample((k,)), one.sample((k,))[:, 0]])
            p = model.decode(z, *(c[i].expand(2 * k) for c in y))
            likelihood = p.log_prob(x[i : i + 1].expand(2 * k, *model.event_shape))  # (2k,)
            assert likelihood.shape == (2 * k,)
            by_prior = likelihood[:k].exp()
            proposal = torch.logaddexp(prior.log_prob(z), one.log_prob(z)) - math.log(2)
            by_both = (likelihood + prior.log_prob(z) - proposal).exp()
            halves = by_both.reshape(2, k)  # the two halves of a stratified draw
            mean = halves.mean()
            error = (halves.var(1).sum() / k).sqrt() / 2
            if isinstance(model, protocols.HasDensity):
                assert (mean - model.log_prob(x[i : i + 1]).exp()).abs() < 5 * error + 1e-9 * mean
            else:
                assert (mean - by_prior.mean()).abs() < 5 * torch.hypot(error, by_prior.std() / k**0.5) + 1e-9 * mean


@offering(protocols.HasEM)
def test_em_never_lowers_the_likelihood(name):
    model = build(name)
    x = copy.deepcopy(model).sample(400)
    off_init(model, 0.5, seed=1)
    values = list(model.em(x, 15))
    assert len(values) == 15
    assert all(b >= a - 1e-10 for a, b in zip(values, values[1:])), values
    assert model.log_prob(x).mean().item() >= values[-1] - 1e-10


@offering("solve", protocols.HasLoss)
def test_solve_ends_where_the_gradient_is_zero(name):
    model = build(name)
    x = model.sample(400)
    model.solve(x)
    model.loss(x).backward()
    for key, p in model.named_parameters():
        assert p.numel() == 0 or p.grad.abs().max() < 1e-10, key


@pytest.mark.parametrize("name", NAMES)
def test_the_state_dict_is_the_whole_model(name):
    model, other = build(name), demo(name).double().eval()
    missing = other.load_state_dict(model.state_dict())
    assert not missing.missing_keys and not missing.unexpected_keys
    x, y = examples(model, 8), labels(model, 8)
    for method in TAKE_DATA + ("sample",):
        if hasattr(model, method):
            first = 8 if method == "sample" else x
            pair = [torch.manual_seed(1) and tensor(getattr(m, method)(first, *y)) for m in (model, other)]
            assert torch.equal(*pair), method


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_copy_offers_the_same_without_gradients(name):
    model = build(name)
    twin, x, y = copy.deepcopy(model).requires_grad_(False), examples(model, 8), labels(model, 8)
    torch.manual_seed(1)
    here = use(model, x, y)
    torch.manual_seed(1)
    there = use(twin, x, y)
    assert here.keys() == there.keys()
    for method, value in there.items():
        assert torch.equal(value, here[method]) and not value.requires_grad, method


@pytest.mark.parametrize("name", NAMES)
def test_an_estimate_means_the_same_in_both_modes(name):
    """No demo has dropout or batch statistics: with one seed, training and evaluation mode must not differ by a bit."""
    model = build(name)
    x, y = examples(model, 7), labels(model, 7)
    for method in TAKE_DATA + ("sample",):
        if hasattr(model, method):
            modes = [copy.deepcopy(model).train(on) for on in (True, False)]  # a loss may keep chains
            first = 7 if method == "sample" else x
            pair = [torch.manual_seed(1) and tensor(getattr(m, method)(first, *y)) for m in modes]
            assert torch.equal(*pair), method


def tensor(value):
    return value if isinstance(value, torch.Tensor) else value.sample()


@pytest.mark.parametrize("name", NAMES)
def test_bad_data_are_refused_in_words(name):
    model = build(name)
    x, y = examples(model, 4), labels(model, 4)
    wrong = {
        "one feature too many": torch.cat([x, x], -1)[..., : x.shape[-1] + 1],
        "one example without its batch": x[0],
        "no example": x[:0],
        "another dtype": x.float(),
        "no tensor": x.tolist(),
    }
    if x.is_floating_point():
        wrong |= {"NaN": torch.full_like(x, float("nan")), "integers": x.long()}
    if values(model) is not None:
        wrong["no such value"] = x + 7
    for method in TAKE_DATA:
        for what, value in wrong.items():
            if hasattr(model, method) and (method, what) != ("encode", "no such value"):
                with pytest.raises(ValueError, match="needed .* got .* try"):
                    getattr(model, method)(value, *y)
                    print(f"{method} took {what}")


def use(model, x, y):
    """Everything that a model offers, once: method -> tensor."""
    n, got = len(x), {}
    for method in (*TAKE_DATA, "generator_loss"):
        if hasattr(model, method):
            got[method] = tensor(getattr(model, method)(x, *y))
    if isinstance(model, protocols.HasSamples):
        got["sample"] = model.sample(n, *y)
    for method in ("decode", "generate"):
        if hasattr(model, method) and hasattr(model, "prior"):
            got[method] = tensor(getattr(model, method)(model.prior().sample((n,)), *y))
    if isinstance(model, protocols.HasDenoiser):
        got["denoise"] = model.denoise(x, torch.linspace(0.1, 0.9, n, dtype=x.dtype, device=x.device), *y)
    assert all(value.device == x.device for value in got.values()), got
    if next(model.parameters()).requires_grad:
        if isinstance(model, protocols.HasEM):
            list(model.em(x, 2))
        for method in ("start", "solve"):
            if callable(getattr(model, method, None)) and not y:
                getattr(model, method)(x)
    return got


@pytest.mark.parametrize("name", NAMES)
def test_no_tensor_is_made_on_a_device_of_its_own(name):
    """With another default device, what forgets to follow the parameters or the data lands there and does not mix."""
    model = build(name)
    x, y = examples(model, 64), labels(model, 64)
    with torch.device("meta"):
        use(model, x, y)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_models_work_on_cuda(name):
    model = build(name)
    x, y = examples(model, 64), labels(model, 64)
    here = model.log_prob(x, *y) if isinstance(model, protocols.HasDensity) else None  # a loss may draw
    model, x, y = model.cuda(), x.cuda(), tuple(c.cuda() for c in y)
    use(build(name).cuda(), x, y)
    if here is not None:
        torch.testing.assert_close(model.log_prob(x, *y).cpu(), here, rtol=1e-8, atol=1e-8)
