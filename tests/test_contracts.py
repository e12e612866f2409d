"""What every model must satisfy, whichever file it lives in: each file in `models/` is found, its `demo()` built."""

import copy
import importlib
import pkgutil

import pytest
import torch
from oracles import box, errors_off, off_init

import gdm_core.models
from gdm_core import protocols

NAMES = sorted(m.name for m in pkgutil.iter_modules(gdm_core.models.__path__))
TAKE_DATA = ("loss", "log_prob", "encode", "elbo", "energy", "score")


def demo(name):
    return importlib.import_module(f"gdm_core.models.{name}").demo()


def build(name):
    """The demo in float64, off its initial parameters, in evaluation mode."""
    torch.manual_seed(0)
    return off_init(demo(name)).double().eval()


def examples(model, n):
    """Data that the model can take: its own, or noise for a model that cannot sample."""
    if isinstance(model, protocols.HasSamples):
        return model.sample(n)
    return torch.randn(n, *model.event_shape, dtype=next(model.parameters()).dtype)


def offering(*what):
    """The models that offer all of `what` (protocols or method names); one that cannot be built is asked everything."""

    def offers(name):
        try:
            model = demo(name)
        except Exception:
            return True
        return all(hasattr(model, w) if isinstance(w, str) else isinstance(model, w) for w in what)

    return pytest.mark.parametrize("name", [n for n in NAMES if offers(n)])


def flat(name):
    """Whether the density can be summed on a grid."""
    return len(demo(name).event_shape) == 1 and demo(name).event_shape[0] <= 2


def needs_grid(name):
    if not flat(name):
        pytest.skip(f"{name} lives in {tuple(demo(name).event_shape)}: too large for a grid")


@pytest.mark.parametrize("name", NAMES)
def test_demo_builds_a_module_that_knows_its_event_shape(name):
    model = demo(name)
    assert isinstance(model, torch.nn.Module)
    assert isinstance(model.event_shape, torch.Size) and len(model.event_shape) >= 1
    assert any(p.requires_grad for p in model.parameters())


@offering(protocols.HasSamples)
def test_samples_have_the_event_shape(name):
    model = build(name)
    x = model.sample(7)
    assert x.shape == (7, *model.event_shape) and x.dtype == torch.float64
    assert torch.isfinite(x).all() and not x.requires_grad
    assert model.sample(1).shape == (1, *model.event_shape)


@offering(protocols.HasSamples)
def test_samples_follow_the_seed(name):
    model = build(name)
    draws = [torch.manual_seed(seed) and model.sample(5) for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@offering(protocols.HasSamples)
def test_a_sample_count_that_makes_no_sense_is_refused(name):
    model = build(name)
    for n in (0, -1, 2.5, "3"):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            model.sample(n)


@offering(protocols.HasLoss)
def test_loss_is_a_scalar_that_reaches_every_parameter(name):
    model = build(name).train()
    loss = model.loss(examples(model, 64))
    assert loss.shape == () and loss.dtype == torch.float64 and torch.isfinite(loss)
    loss.backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), key
        assert p.numel() == 0 or p.grad.count_nonzero() > 0, key


@offering(protocols.Adversarial)
def test_the_two_losses_reach_all_parameters_between_them(name):
    model = build(name).train()
    for loss in (model.critic_loss(examples(model, 64)), model.generator_loss(64)):
        assert loss.shape == () and torch.isfinite(loss)
        loss.backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.count_nonzero() > 0, key


@offering(protocols.HasDensity)
def test_log_prob_is_per_example_whatever_the_company(name):
    model = build(name)
    x = examples(model, 9)
    with torch.no_grad():
        together = model.log_prob(x)
        assert together.shape == (9,) and together.dtype == torch.float64
        alone = torch.cat([model.log_prob(x[i : i + 1]) for i in range(9)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)


@offering(protocols.HasDensity, protocols.HasLoss)
def test_loss_is_the_mean_of_minus_log_prob_unless_its_docstring_says_otherwise(name):
    model = build(name)
    x = examples(model, 33)
    if "no likelihood" not in (type(model).loss.__doc__ or ""):
        torch.testing.assert_close(model.loss(x), -model.log_prob(x).mean(), rtol=1e-10, atol=1e-10)


@offering(protocols.HasDensity)
def test_density_integrates_to_one(name):
    needs_grid(name)
    model = build(name)
    points, cell = box(model.sample(4000))
    with torch.no_grad():
        assert model.log_prob(points).exp().sum().item() * cell == pytest.approx(1, abs=2e-3)


@offering(protocols.HasDensity, protocols.HasSamples)
def test_samples_come_from_the_density(name):
    """Moments and entropy of samples against the same integrals on a grid, within 5 standard errors."""
    needs_grid(name)
    model = build(name)
    points, cell = box(model.sample(4000))

    def looked_at(x):
        a, b = x[:, 0], x[:, -1]
        return torch.stack([a, b, a**2, b**2, a * b, (a > a.new_tensor(0.3)).to(a), model.log_prob(x)])

    with torch.no_grad():
        expected = looked_at(points) @ model.log_prob(points).exp() * cell
        off = errors_off(looked_at(model.sample(20_000)), expected, dim=1)
    assert (off < 5).all(), off


@offering("elbo")
def test_a_bound_lies_below_a_density(name):
    """exp(elbo) <= p(x), so it integrates to 1 at the most; a lost constant or a KL of the wrong sign does not."""
    needs_grid(name)
    model = build(name)
    points, cell = box(model.sample(4000), side=150)
    with torch.no_grad():
        elbo = torch.stack([model.elbo(points) for _ in range(30)])
    assert elbo.shape == (30, len(points))
    assert elbo.mean(0).exp().sum().item() * cell < 1.01


@offering(protocols.HasLatent)
def test_prior_decoder_and_posterior_fit_together(name):
    """Shapes, and p(x) = E_z p(x | z): a sum where z is one of K, else importance sampling from half prior, half q."""
    model = build(name)
    x, k = examples(model, 6), 20_000
    prior, q = model.prior(), model.encode(x)
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
            one = model.encode(x[i : i + 1])
            z = torch.cat([prior.sample((k,)), one.sample((k,))[:, 0]])
            likelihood = model.decode(z).log_prob(x[i : i + 1].expand(2 * k, *model.event_shape))  # (2k,)
            assert likelihood.shape == (2 * k,)
            by_prior = likelihood[:k].exp()
            proposal = torch.logaddexp(prior.log_prob(z), one.log_prob(z)) - torch.tensor(2.0).log()
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
    x = examples(model, 8)
    for method in TAKE_DATA + ("sample",):
        if hasattr(model, method):
            values = [
                torch.manual_seed(1) and tensor(getattr(m, method)(8 if method == "sample" else x))
                for m in (model, other)
            ]
            assert torch.equal(*values), method


@pytest.mark.parametrize("name", NAMES)
def test_an_estimate_means_the_same_in_both_modes(name):
    """No demo has dropout or batch statistics: with one seed, training and evaluation mode must not differ by a bit."""
    model = build(name)
    x = examples(model, 7)
    for method in TAKE_DATA + ("sample",):
        if hasattr(model, method):
            values = [
                torch.manual_seed(1) and tensor(getattr(model.train(on), method)(7 if method == "sample" else x))
                for on in (True, False)
            ]
            assert torch.equal(*values), method


def tensor(value):
    return value if isinstance(value, torch.Tensor) else value.sample()


@pytest.mark.parametrize("name", NAMES)
def test_bad_data_are_refused_in_words(name):
    model = build(name)
    x = examples(model, 4)
    wrong = {
        "one feature too many": torch.cat([x, x], -1)[..., : x.shape[-1] + 1],
        "one example without its batch": x[0],
        "no example": x[:0],
        "NaN": torch.full_like(x, float("nan")),
        "integers": x.long(),
        "another dtype": x.float(),
        "no tensor": x.tolist(),
    }
    for method in TAKE_DATA:
        for what, value in wrong.items():
            if hasattr(model, method):
                with pytest.raises(ValueError, match="needed .* got .* try"):
                    getattr(model, method)(value)
                    print(f"{method} took {what}")


def use(model, x):
    """Everything that a model offers, once."""
    for method in TAKE_DATA:
        if hasattr(model, method):
            value = tensor(getattr(model, method)(x))
            assert value.device == x.device, method
    if isinstance(model, protocols.HasSamples):
        assert model.sample(3).device == x.device
    if isinstance(model, protocols.HasLatent):
        assert model.decode(model.prior().sample((3,))).sample().device == x.device
    if isinstance(model, protocols.Adversarial):
        model.critic_loss(x), model.generator_loss(3)
    if isinstance(model, protocols.HasEM):
        list(model.em(x, 2))
    for method in ("start", "solve"):
        if hasattr(model, method):
            getattr(model, method)(x)


@pytest.mark.parametrize("name", NAMES)
def test_no_tensor_is_made_on_a_device_of_its_own(name):
    """With another default device, what forgets to follow the parameters or the data lands there and does not mix."""
    model = build(name)
    x = examples(model, 64)
    with torch.device("meta"):
        use(model, x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_models_work_on_cuda(name):
    model = build(name)
    x = examples(model, 64)
    here = model.loss(x) if isinstance(model, protocols.HasDensity) else None
    model, x = model.cuda(), x.cuda()
    use(build(name).cuda(), x)
    if here is not None:
        torch.testing.assert_close(model.loss(x).cpu(), here, rtol=1e-8, atol=1e-8)
