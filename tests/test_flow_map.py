"""The four identities on the exact map of a Gaussian; each loss against differences by hand; one jump learned."""

import math

import pytest
import torch

from gdm_core import couplings, denoising, train
from gdm_core.models import flow_map
from gdm_core.models.flow_map import IDENTITIES, FlowMap

MEAN = torch.tensor([0.5, -1.0], dtype=torch.float64)
COV = torch.tensor([[2.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
VALUES, VECTORS = torch.linalg.eigh(COV)


def exact(z, t, r):
    """The average velocity for data N(MEAN, COV): along each axis of COV the flow stretches by a ratio of widths."""
    width = lambda s: ((1 - s) ** 2 * VALUES.to(z) + s**2).sqrt()
    t, r, mean, axes = t[:, None], r[:, None], MEAN.to(z), VECTORS.to(z)
    there = (1 - r) * mean + ((z - (1 - t) * mean) @ axes * width(r) / width(t)) @ axes.T
    return (z - there) / (t - r)


def velocity(z, t):
    """E[noise - x | x_t] by the conditional law of Gaussians."""
    t, eye, mean = t[:, None, None], torch.eye(2).to(z), MEAN.to(z)
    seen = (1 - t) ** 2 * COV.to(z) + t**2 * eye
    told = t * eye - (1 - t) * COV.to(z)  # Cov(noise - x, x_t)
    off = (z - (1 - t[..., 0]) * mean)[..., None]
    return (told @ torch.linalg.solve(seen, off))[..., 0] - mean


def points(n=50):
    numbers = torch.Generator().manual_seed(0)
    z, a, b = (torch.randn(n, k, generator=numbers, dtype=torch.float64).squeeze(1) for k in (2, 1, 1))
    a, b = a.sigmoid(), b.sigmoid()
    return 2 * z, torch.maximum(a, b), torch.minimum(a, b)


def made(**options):
    torch.manual_seed(1)
    return FlowMap(2, hidden=(8, 8), **options).double()


def test_the_exact_map_satisfies_all_four_identities():
    z, t, r = points()
    found = flow_map.residuals(exact, z, t, r, velocity)
    assert set(found) == set(IDENTITIES)
    for name, off in found.items():
        assert off.abs().max() < 1e-10, name


def test_a_straight_line_satisfies_none():
    """u = v(z, t), one Euler step: right for a path that is straight, which the flow is not."""
    z, t, r = points()
    for name, off in flow_map.residuals(lambda z, t, r: velocity(z, t), z, t, r, velocity).items():
        assert off.abs().max() > 0.1, name


def test_each_identity_finds_its_own_fault():
    """A map whose every jump to 0 is right and no other: consistency is content, the others are not."""
    z, t, r = points()
    wrong = lambda z, t, r: exact(z, t, r) + r[:, None]
    found = {name: off.abs().max() for name, off in flow_map.residuals(wrong, z, t, r, velocity).items()}
    assert found["consistency"] < 1e-10 and min(found["meanflow"], found["lagrangian"], found["shortcut"]) > 0.01


def drawn(x, learns, share):
    """noise, t and r of a loss, from torch's next numbers."""
    noise, (a, b, toss) = torch.randn_like(x), torch.rand(3, len(x), dtype=x.dtype)
    t, r = torch.maximum(a, b), torch.zeros_like(a) if learns == "consistency" else torch.minimum(a, b)
    return noise, torch.where(toss < share, a, t), torch.where(toss < share, a, r)


def goal(model, z, t, r, v, h=1e-5):
    """The goal of u by differences, and what is compared with it.  Without gradients in the goal."""
    u, far = model.average, (t - r)[:, None]
    with torch.no_grad():
        if model.learns in ("meanflow", "consistency"):
            slope = (u(z + h * v, t + h, r) - u(z - h * v, t - h, r)) / (2 * h)
            wanted = v - far * slope
        elif model.learns == "shortcut":
            half = model.jump(z, t, (t + r) / 2)
            wanted = torch.where(far > 0, (u(z, t, (t + r) / 2) + u(half, (t + r) / 2, r)) / 2, v)
        else:
            wanted = torch.where(far > 0, model.velocity(model.jump(z, t, r), r), v)
    if model.learns != "lagrangian":
        return u(z, t, r), wanted
    moved = -(u(z, t, r + h) * (far - h) - u(z, t, r - h) * (far + h)) / (2 * h)  # d_r of z - (t - r) u
    return torch.where(far > 0, moved, u(z, t, t)), wanted


@pytest.mark.parametrize("learns", IDENTITIES)
def test_a_loss_is_the_squared_distance_to_a_goal_that_holds_still(learns):
    model, x = made(learns=learns, share=0.4), torch.randn(30, 2, dtype=torch.float64)
    torch.manual_seed(5)
    noise, t, r = drawn(x, learns, 0.4)
    assert 5 < (t == r).sum() < 25 and (t >= r).all()
    z = denoising.noisy(x, t, model.schedule, noise)
    said, wanted = goal(model, z, t, r, noise - x)
    by_hand = (said - wanted).square().sum(1).mean()
    torch.manual_seed(5)
    loss = model.loss(x)
    torch.testing.assert_close(loss, by_hand, rtol=1e-6, atol=1e-8)
    weights = list(model.parameters())
    for a, b in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(by_hand, weights)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("learns", IDENTITIES)
def test_without_jumps_it_is_flow_matching_with_its_floor(learns):
    """share = 1: u(z, t, t) is the velocity; the exact one has the loss pi s / 2 a dimension, x ~ N(0, s^2 I)."""
    model, s = made(learns=learns, share=1.0), 1.5
    ideal = lambda z, t, r, y=None: z * ((t - (1 - t) * s**2) / (t**2 + (1 - t) ** 2 * s**2))[:, None]
    model.network.forward = ideal
    torch.manual_seed(0)
    floor = 2 * couplings.floor(s)
    assert model.loss(s * torch.randn(100_000, 2, dtype=torch.float64)).item() == pytest.approx(floor, rel=0.02)


def test_distilled_from_a_velocity_it_lands_where_the_flow_does():
    torch.manual_seed(0)
    data = torch.distributions.MultivariateNormal(MEAN.float(), COV.float())
    z = torch.randn(500, 2)
    there = z - exact(z, torch.ones(500), torch.zeros(500))
    model = FlowMap(2, hidden=(32, 32), teacher=velocity)
    train.fit(
        model, lambda n: data.sample((n,)), steps=300, batch_size=128, lr=1e-2, rate=train.falling, progress=False
    )
    with torch.no_grad():
        off = (model.jump(z, torch.ones(()), torch.zeros(())) - there).square().sum(1).mean()
    assert off < 0.02 * there.var(0).sum()


def test_a_teacher_is_no_part_of_its_pupil():
    teacher = FlowMap(2, hidden=(4,))
    model = FlowMap(2, hidden=(4,), teacher=torch.nn.Bilinear(2, 1, 2))
    assert len(list(model.parameters())) == len(list(teacher.parameters())) == len(model.state_dict())


def test_a_lagrangian_pupil_asks_its_teacher_where_it_lands():
    """The exact map has no loss under the exact velocity, wherever and whenever it is asked."""
    model = made(learns="lagrangian", share=1e-9, teacher=velocity)
    model.network.forward = lambda z, t, r, y=None: exact(z, t, r)
    assert model.loss(torch.randn(40, 2, dtype=torch.float64)).item() < 1e-12


@pytest.mark.parametrize("learns", ["meanflow", "lagrangian"])
def test_no_gradient_goes_to_the_teacher(learns):
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    model = made(learns=learns, share=0.5, teacher=lambda z, t: scale * velocity(z, t))
    model.loss(torch.randn(9, 2, dtype=torch.float64)).backward()
    assert scale.grad is None and all(p.grad is not None for p in model.parameters())


def test_samples_are_jumps_from_noise_to_data():
    model = made()
    one, zero, half = (torch.full((6,), a, dtype=torch.float64) for a in (1.0, 0.0, 0.5))
    for steps, way in ((1, [one, zero]), (2, [one, half, zero])):
        torch.manual_seed(3)
        z = torch.randn(6, 2, dtype=torch.float64)
        for t, r in zip(way, way[1:]):
            z = model.jump(z, t, r)
        torch.manual_seed(3)
        torch.testing.assert_close(model.sample(6, steps=steps), z.detach())


def test_a_jump_of_no_length_stays_and_both_times_are_told():
    model, (z, t, r) = made(), points(20)
    assert torch.equal(model.jump(z, t, t), z)
    assert not torch.allclose(model.average(z, t, r), model.average(z, t, r / 2))
    assert not torch.allclose(model.average(z, t, r), model.average(z, t - r, 0 * r))


def test_the_pairs_are_those_of_the_coupling():
    seen = []
    model = made(coupling=lambda x, noise: seen.append((x, noise)) or (x, noise))
    model.loss(torch.ones(4, 2, dtype=torch.float64))
    assert seen[0][0].shape == seen[0][1].shape == (4, 2)
    doubled = made(coupling=lambda x, noise: (x, x))  # noise = x: x_t = x at every t, v = 0
    doubled.network.forward = lambda z, t, r, y=None: 0 * z
    assert doubled.loss(torch.ones(4, 2, dtype=torch.float64)) == 0


def test_what_cannot_be_is_refused_in_words():
    for options in ({"learns": "teleport"}, {"share": 0.0}, {"share": 1.5}):
        with pytest.raises(ValueError, match="needed .* got .* try"):
            FlowMap(2, **options)
    with pytest.raises(ValueError, match="network whose output"):
        FlowMap(2, network=_Narrow()).average(torch.zeros(3, 2), torch.ones(3), torch.zeros(3))
    with pytest.raises(ValueError, match="integer steps"):
        FlowMap(2).sample(3, steps=0)


class _Narrow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, z, t, r, y=None):
        return self.layer(z)


def test_a_teacher_says_where_the_jump_goes_on_from():
    """Lagrangian: the end of the jump moves at the teacher's velocity there."""
    teacher = lambda z, t: torch.sin(3 * z) + t[:, None]
    model, x = made(learns="lagrangian", teacher=teacher, share=0.3), torch.randn(30, 2, dtype=torch.float64)
    torch.manual_seed(5)
    noise, t, r = drawn(x, "lagrangian", 0.3)
    z = denoising.noisy(x, t, model.schedule, noise)
    said, _ = goal(model, z, t, r, noise)
    wanted = torch.where((t > r)[:, None], teacher(model.jump(z, t, r), r), teacher(z, t))
    torch.manual_seed(5)
    torch.testing.assert_close(model.loss(x), (said - wanted).square().sum(1).mean(), rtol=1e-6, atol=1e-8)


def test_the_layers_are_told_waves_of_t_and_of_the_length():
    model, (z, t, r), seen = made(), points(4), []
    model.network.net.register_forward_hook(lambda _, into, out: seen.append(into[0]))
    model.average(z, t, r)
    waves = [w(math.pi * s) for s in (t, t - r) for w in (torch.cos, torch.sin)]
    torch.testing.assert_close(seen[0], torch.cat([z, torch.stack([t, t - r, *waves], 1)], 1))


def test_samples_are_of_the_class_that_was_asked_for():
    class Goes(torch.nn.Linear):
        def forward(self, z, t, r, y=None):
            return z - y[:, None]

    model = FlowMap(1, network=Goes(1, 1), labels=3)
    torch.testing.assert_close(model.sample(4, 2), torch.full((4, 1), 2.0))
    torch.testing.assert_close(model.sample(2, torch.tensor([1, 0])), torch.tensor([[1.0], [0.0]]))
