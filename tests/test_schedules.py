"""Schedules: what papers print, what a process has, and times that fall."""

import math

import numpy as np
import pytest
import torch
from one_gaussian import ALL, each

from gdm_core import schedules


@each
def test_schedules_start_clean_and_end_in_noise(name):
    schedule = schedules.check(ALL[name])
    alpha, sigma = schedule(torch.tensor([0.0, 1.0]).double())
    assert alpha[0] == 1 and sigma[0] == 0 and alpha[1] < 0.06 * sigma[1]
    for t in (torch.tensor(0.3), torch.rand(5).double()):
        assert all(a.shape == t.shape and a.dtype == t.dtype for a in schedule(t))


def test_the_numbers_of_the_papers():
    t = torch.tensor(0.5).double()
    assert [v.item() for v in schedules.line(t)] == [0.5, 0.5]
    assert [v.item() for v in schedules.cosine(t / 1.5)] == pytest.approx([3**0.5 / 2, 0.5])
    alpha, sigma = schedules.preserving()(2 * t)
    assert alpha**2 == pytest.approx(math.exp(-10.05)) and alpha**2 + sigma**2 == pytest.approx(1)
    assert schedules.edm(80.0)(t)[1] == pytest.approx(80 / 2**7)
    alpha, sigma = schedules.exploding(50.0, 0.01)(torch.tensor([0.5, 1.0]).double())
    assert (alpha == 1).all() and sigma.tolist() == pytest.approx([0.01 * (5001**0.5 - 1), 50.0])


def test_the_table_is_a_product_of_its_steps():
    """alpha of step k is what k steps of the chain keep, not what step k keeps."""
    table = schedules.linear(5, 0.1, 0.5)
    kept = 1.0
    for k, beta in enumerate([0.1, 0.2, 0.3, 0.4, 0.5], 1):
        kept *= 1 - beta
        alpha, sigma = table(torch.tensor(k / 5).double())
        assert (alpha**2).item() == pytest.approx(kept) and (sigma**2).item() == pytest.approx(1 - kept)
    between = table(torch.tensor(0.5).double())[0].log()
    assert between == pytest.approx(
        (table(torch.tensor(0.4).double())[0] * table(torch.tensor(0.6).double())[0]).log() / 2
    )
    assert schedules.linear()(torch.tensor(1.0).double())[0].item() ** 2 == pytest.approx(4.0358e-5, rel=1e-3)


@each
def test_the_angle_walks_back_to_its_time(name):
    t = torch.linspace(0, 1, 30).double()
    phi = schedules.angle(ALL[name], t)
    assert phi[0] == 0 and (phi.diff() > 0).all() and phi[-1] <= math.pi / 2
    torch.testing.assert_close(schedules.time_at(ALL[name], phi)[1:-1], t[1:-1], rtol=1e-6, atol=1e-9)


@each
def test_times_fall_from_noise_to_data(name):
    for by in ("time", "angle"):
        t = schedules.times(ALL[name], 20, by=by)
        assert len(t) == 21 and t[0] == 1 and t[-1] == 0 and (t.diff() < 0).all()
    root = schedules.angle(ALL[name], t).sqrt()
    torch.testing.assert_close(root.diff(), (-root[0] / 20).expand(20), rtol=1e-4, atol=1e-6)


def test_a_table_gives_its_own_times():
    t = schedules.times(schedules.linear(10), 4)
    torch.testing.assert_close(t * 10, (t * 10).round())
    torch.testing.assert_close(schedules.times(schedules.linear(10), 10) * 10, torch.arange(10, -1, -1).double())


def test_the_process_has_the_marginals_of_its_schedule():
    """f and g by differences of log alpha and sigma^2; in Song et al. (2021, eq. 11) f = -beta / 2, g^2 = beta."""
    t = torch.tensor([0.2, 0.7]).double()
    f, g2 = schedules.drift(schedules.preserving(0.1, 20.0), t)
    beta = 0.1 + 19.9 * t
    torch.testing.assert_close(f, -beta / 2)
    torch.testing.assert_close(g2, beta)
    f, g2 = schedules.drift(schedules.line, t)  # alpha' / alpha = -1 / (1 - t), 2 t + 2 t^2 / (1 - t)
    torch.testing.assert_close(f, -1 / (1 - t))
    torch.testing.assert_close(g2, 2 * t / (1 - t))
    f, g2 = schedules.drift(schedules.edm(2.0), t)
    assert (f == 0).all()
    torch.testing.assert_close(g2, 2 * 7 * 4 * t**13)


def test_a_table_between_its_steps_has_a_straight_log_signal():
    table = schedules.linear(5, 0.1, 0.3)
    log_alpha2 = np.concatenate([[0], np.log1p(-np.linspace(0.1, 0.3, 5)).cumsum()])
    t = torch.tensor([0.05, 0.19, 0.25, 0.77, 0.99]).double()
    alpha, sigma = table(t)
    wanted = np.exp(np.interp(t.numpy(), np.linspace(0, 1, 6), log_alpha2))
    np.testing.assert_allclose(alpha**2, wanted, rtol=1e-12)
    np.testing.assert_allclose(sigma**2, 1 - wanted, rtol=1e-12)
