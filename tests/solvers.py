"""Two ways from noise to data with one denoiser, as generators over all states; the noise is an argument.

`noise(i)` is that of step i, of the shape of x; noise(0) is where it starts.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

from gdm_core.denoising import at
from gdm_core.denoising import noise as noise_of


def ddim(denoise, schedule, times: Tensor, noise: Callable[[int], Tensor]) -> Iterator[Tensor]:
    """Song, Meng & Ermon (2021, eq. 12, sigma = 0): the noise that x_t contains is put back at the next level."""
    x = noise(0)
    yield x
    for t, s in zip(times, times[1:]):
        mean = denoise(x, t)
        alpha, sigma = at(schedule, s, x)
        x = alpha * mean + sigma * noise_of(mean, x, t, schedule)
        yield x


def ancestral(denoise, schedule, times: Tensor, noise: Callable[[int], Tensor]) -> Iterator[Tensor]:
    """Ho et al. (2020, eq. 7): x_s from p(x_s | x_t, x) = N(., .) with the mean of x in place of x."""
    x = noise(0)
    yield x
    for i, (t, s) in enumerate(zip(times, times[1:]), 1):
        mean = denoise(x, t)
        (a, b), (c, d) = at(schedule, t, x), at(schedule, s, x)
        step = a / c  # x_t = step * x_s + noise of variance b^2 - step^2 d^2
        new = b**2 - step**2 * d**2
        x = (c * new * mean + step * d**2 * x) / b**2
        if d > 0:
            x = x + d * new.sqrt() / b * noise(i)
        yield x
