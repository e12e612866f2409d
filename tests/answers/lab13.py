"""Lab 13: straight paths."""

import numpy as np
import torch
from torch.func import jvp

from answers import right, wrong


@right("on_the_line")
def mixed_and_slope(x, noise, t):
    t = t[:, None]
    return (1 - t) * x + t * noise, noise - x


@right("on_the_line")
def from_the_data_on(x, noise, t):
    slope = noise - x
    return x + torch.einsum("b,bd->bd", t, slope), slope


@right("on_the_line")
def with_numpy(x, noise, t):
    x, noise, t = (np.asarray(a) for a in (x, noise, t))
    return x * (1 - t).reshape(-1, 1) + noise * t.reshape(-1, 1), noise - x


@right("optimal_pairs")
def by_ranks(x, noise):
    return noise.sort().values[x.argsort().argsort()]


@right("optimal_pairs")
def put_in_place(x, noise):
    paired = torch.empty_like(noise)
    paired[x.argsort()] = noise.sort().values
    return paired


@right("optimal_pairs")
def by_assignment(x, noise):
    from scipy.optimize import linear_sum_assignment

    x, noise = np.asarray(x), np.asarray(noise)
    return noise[linear_sum_assignment((x[:, None] - noise) ** 2)[1]]


@right("heun_step")
def two_slopes(v, x, t, r):
    here = v(x, t)
    return x - (t - r) * (here + v(x - (t - r) * here, r)) / 2


@right("heun_step")
def with_a_negative_step(v, x, t, r):
    h = r - t
    k1 = h * v(x, t)
    k2 = h * v(x + k1, t + h)
    return x + 0.5 * k1 + 0.5 * k2


@right("heun_step")
def in_arrays(v, x, t, r):
    x = np.asarray(x)
    euler = x - (t - r) * np.asarray(v(x, t))
    return (x + euler - (t - r) * np.asarray(v(euler, r))) / 2


@right("jumps")
def by_counting(u, z, K):
    for k in range(K):
        t, r = 1 - k / K, 1 - (k + 1) / K
        z = z - (t - r) * u(z, t, r)
    return z


@right("jumps")
def over_pairs_of_times(u, z, K):
    times = torch.linspace(1, 0, K + 1, dtype=torch.float64).tolist()
    for t, r in zip(times, times[1:]):
        z = z + (r - t) * u(z, t, r)
    return z


@right("jumps")
def in_numpy(u, z, K):
    z = np.asarray(z)
    for t in np.arange(K, 0, -1) / K:
        z = z - np.asarray(u(z, float(t), float(t) - 1 / K)) / K
    return z


@right("goal")
def by_jvp(u, z, t, r, v):
    slope = jvp(lambda z, t: u(z, t, r), (z, t), (v, torch.ones_like(t)))[1]
    return (v - (t - r)[:, None] * slope).detach()


@right("goal")
def without_gradients(u, z, t, r, v):
    with torch.no_grad():
        _, slope = jvp(u, (z, t, r), (v, torch.ones_like(t), torch.zeros_like(r)))
        return v - (t - r).reshape(-1, 1) * slope


@right("goal")
def by_differences(u, z, t, r, v, h=1e-5):
    with torch.no_grad():
        slope = (u(z + h * v, t + h, r) - u(z - h * v, t - h, r)) / (2 * h)
    return v - (t - r)[:, None] * slope


@wrong("on_the_line", "they are exchanged")
def times_exchanged(x, noise, t):
    t = t[:, None]
    return t * x + (1 - t) * noise, noise - x


@wrong("on_the_line", "no roots")
def on_an_arc(x, noise, t):
    t = t[:, None]
    return (1 - t).sqrt() * x + t.sqrt() * noise, noise - x


@wrong("on_the_line", "the data do not shrink")
def exploding(x, noise, t):
    return x + t[:, None] * noise, noise


@wrong("on_the_line", "one t for all")
def one_time(x, noise, t):
    return (1 - t[0]) * x + t[0] * noise, noise - x


@wrong("on_the_line", "the sign")
def toward_data(x, noise, t):
    return mixed_and_slope(x, noise, t)[0], x - noise


@wrong("on_the_line", "from x_t to the noise")
def rest_of_the_way(x, noise, t):
    x_t = mixed_and_slope(x, noise, t)[0]
    return x_t, noise - x_t


@wrong("on_the_line", "from x to x_t")
def way_so_far(x, noise, t):
    x_t = mixed_and_slope(x, noise, t)[0]
    return x_t, x_t - x


@wrong("on_the_line", "the noise alone")
def noise_alone(x, noise, t):
    return mixed_and_slope(x, noise, t)[0], noise


@wrong("on_the_line", "x_t itself")
def point_twice(x, noise, t):
    x_t = mixed_and_slope(x, noise, t)[0]
    return x_t, x_t


@wrong("optimal_pairs", "as they came")
def untouched(x, noise):
    return noise


@wrong("optimal_pairs", "x stays where it is")
def sorted_noise(x, noise):
    return noise.sort().values


@wrong("optimal_pairs", "argsort twice")
def one_argsort(x, noise):
    return noise.sort().values[x.argsort()]


@wrong("optimal_pairs", "the worst order")
def falling(x, noise):
    return noise.sort(descending=True).values[x.argsort().argsort()]


@wrong("optimal_pairs", "before it was sorted itself")
def noise_unsorted(x, noise):
    return noise[x.argsort().argsort()]


@wrong("optimal_pairs", "loses the law of the noise")
def nearest(x, noise):
    return noise[(x[:, None] - noise).abs().argmin(1)]


@wrong("optimal_pairs", "not x")
def of_x(x, noise):
    return x.sort().values


@wrong("heun_step", "this is Euler's step")
def euler(v, x, t, r):
    return x - (t - r) * v(x, t)


@wrong("heun_step", "walk against v")
def forward(v, x, t, r):
    here = v(x, t)
    return x + (t - r) * (here + v(x + (t - r) * here, r)) / 2


@wrong("heun_step", "went the wrong way")
def landed_forward(v, x, t, r):
    here = v(x, t)
    return x - (t - r) * (here + v(x + (t - r) * here, r)) / 2


@wrong("heun_step", "landing point alone")
def last_slope(v, x, t, r):
    return x - (t - r) * v(x - (t - r) * v(x, t), r)


@wrong("heun_step", "take their mean")
def sum_of_slopes(v, x, t, r):
    here = v(x, t)
    return x - (t - r) * (here + v(x - (t - r) * here, r))


@wrong("heun_step", "not where Euler landed")
def from_the_landing(v, x, t, r):
    here = v(x, t)
    x = x - (t - r) * here
    return x - (t - r) * (here + v(x, r)) / 2


@wrong("heun_step", "belongs to time r")
def old_time(v, x, t, r):
    here = v(x, t)
    return x - (t - r) * (here + v(x - (t - r) * here, t)) / 2


@wrong("heun_step", "not about x")
def old_place(v, x, t, r):
    return x - (t - r) * (v(x, t) + v(x, r)) / 2


@wrong("heun_step", "midpoint rule")
def midpoint(v, x, t, r):
    return x - (t - r) * v(x - (t - r) / 2 * v(x, t), (t + r) / 2)


@wrong("heun_step", "t - r, is missing")
def no_length(v, x, t, r):
    here = v(x, t)
    return x - (here + v(x - here, r)) / 2


def times(K):
    return [((K - k) / K, (K - k - 1) / K) for k in range(K)]


@wrong("jumps", "told the start twice")
def euler_jumps(u, z, K):
    for t, r in times(K):
        z = z - (t - r) * u(z, t, t)
    return z


@wrong("jumps", "in the other order")
def times_swapped(u, z, K):
    for t, r in times(K):
        z = z - (t - r) * u(z, r, t)
    return z


@wrong("jumps", "the sign")
def added(u, z, K):
    for t, r in times(K):
        z = z + (t - r) * u(z, t, r)
    return z


@wrong("jumps", "at its own r")
def all_to_the_end(u, z, K):
    for t, r in times(K):
        z = z - (t - r) * u(z, t, 0.0)
    return z


@wrong("jumps", "t = 1 is noise")
def from_zero(u, z, K):
    for t, r in times(K):
        z = z - (t - r) * u(z, 1 - t, 1 - r)
    return z


@wrong("jumps", "let t fall")
def always_from_one(u, z, K):
    for _ in range(K):
        z = z - u(z, 1.0, 1 - 1 / K) / K
    return z


@wrong("jumps", "t - r, is missing")
def whole_steps(u, z, K):
    for t, r in times(K):
        z = z - u(z, t, r)
    return z


@wrong("jumps", "take K of them")
def one_jump(u, z, K):
    return z - u(z, 1.0, 0.0)


def slope_along(u, z, t, r, by_z, by_t, by_r=0.0):
    return jvp(u, (z, t, r), (by_z, by_t * torch.ones_like(t), by_r * torch.ones_like(r)))[1].detach()


@wrong("goal", "v ∂z u is missing")
def z_stays(u, z, t, r, v):
    return v - (t - r)[:, None] * slope_along(u, z, t, r, 0 * v, 1.0)


@wrong("goal", "∂t u is missing")
def t_stays(u, z, t, r, v):
    return v - (t - r)[:, None] * slope_along(u, z, t, r, v, 0.0)


@wrong("goal", "r stays where it is")
def all_move(u, z, t, r, v):
    return v - (t - r)[:, None] * slope_along(u, z, t, r, v, 1.0, 1.0)


@wrong("goal", "in place of t")
def r_moves(u, z, t, r, v):
    return v - (t - r)[:, None] * slope_along(u, z, t, r, v, 0.0, 1.0)


@wrong("goal", "is taken away")
def plus(u, z, t, r, v):
    return v + (t - r)[:, None] * slope_along(u, z, t, r, v, 1.0)


@wrong("goal", "the length t - r is missing")
def no_distance(u, z, t, r, v):
    return v - slope_along(u, z, t, r, v, 1.0)


@wrong("goal", "the derivative alone")
def derivative(u, z, t, r, v):
    return slope_along(u, z, t, r, v, 1.0)


@wrong("goal", "v alone, flow matching")
def flow_matching(u, z, t, r, v):
    return v


@wrong("goal", "not with 1")
def ones_for_v(u, z, t, r, v):
    return v - (t - r)[:, None] * slope_along(u, z, t, r, torch.ones_like(v), 1.0)


@wrong("goal", "return the goal")
def residual(u, z, t, r, v):
    return (u(z, t, r) - v + (t - r)[:, None] * slope_along(u, z, t, r, v, 1.0)).detach()


@wrong("goal", "must hold still")
def not_held(u, z, t, r, v):
    slope = jvp(lambda z, t: u(z, t, r), (z, t), (v, torch.ones_like(t)))[1]
    return v - (t - r)[:, None] * slope
