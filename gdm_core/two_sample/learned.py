r"""Statistics that are learned on one half of the data, and used on the other.

    classifier   logit f(x) of "x is of p": accuracy, or mean f(x) - mean f(y)     Lopez-Paz & Oquab (2017);
                 at its best f = log p/q, accuracy 1/2 + TV(p, q)/2                 Cheng & Cloninger (2022)
    deep kernel  k(s, t) = [(1 - e) g(|w(s) - w(t)|) + e] g(|s - t|), g Gaussian,   Liu et al. (2020, eq. 1 and 4)
                 that makes mmd / (its standard deviation where p != q) largest

On the data that it learned from a statistic sees differences where there are none: hence the halves.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gdm_core import train
from gdm_core.networks import mlp
from gdm_core.two_sample.permutation import Outcome, test
from gdm_core.two_sample.statistics import SOME, Statistic, contrast, distances, median, pool, quadratic
from gdm_core.validate import bad


class Classifier(nn.Module):
    """Logit of "this one is of x", (B, *event) -> (B,), positive for x.

    Args:
        z: pooled points (N + M, d) to learn from: their mean and spread make the scale of the inputs.
        hidden: units of the hidden layers.
    """

    def __init__(self, z: Tensor, hidden: tuple[int, ...] = (64, 64)):
        super().__init__()
        self.register_buffer("mean", z.mean(0))
        self.register_buffer("std", z.std(0).clamp_min(1e-6 * z.std() + torch.finfo(z.dtype).tiny))
        self.net = mlp(z.shape[1], hidden, 1).to(z)

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x.reshape(len(x), -1).to(self.mean) - self.mean) / self.std).squeeze(1)

    def loss(self, x: Tensor, is_x: Tensor, weight: Tensor) -> Tensor:
        """Cross-entropy in nats per example, both samples of equal weight."""
        return binary_cross_entropy_with_logits(self(x), is_x, weight)

    @property
    def accuracy(self) -> Statistic:
        """Share of right guesses, each sample counted as half."""
        return Statistic(lambda z: _linear((self(z) > 0).to(z), 0.5, 0.5))

    @property
    def logit(self) -> Statistic:
        """mean f(x) - mean f(y)."""
        return Statistic(lambda z: _linear(self(z).to(z), 1.0, 0.0))


def _linear(score: Tensor, scale: float, offset: float):
    return lambda first: scale * (contrast(first) @ score) + offset


class DeepKernel(nn.Module):
    """A kernel of learned features; `statistic` is its unbiased MMD."""

    def __init__(self, z: Tensor, hidden: tuple[int, ...] = (32, 32), mix: float = 0.1):
        super().__init__()
        self.net = mlp(z.shape[1], hidden, hidden[-1]).to(z)
        self.log_bandwidth = nn.Parameter(z.new_tensor(median(distances(z[:: -(-len(z) // SOME)]))).log())
        self.log_feature_bandwidth = nn.Parameter(z.new_tensor(0.0))
        self.mix = mix

    def forward(self, z: Tensor) -> Tensor:
        """Kernel (B, B) of flat points (B, d)."""
        w = self.net(z.to(self.log_bandwidth))
        g = lambda s, log_h: torch.exp(-0.5 * (distances(s) / log_h.exp()) ** 2)
        return ((1 - self.mix) * g(w, self.log_feature_bandwidth) + self.mix) * g(z.to(w), self.log_bandwidth)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Minus mmd over its standard deviation, of equally many x and y; no likelihood."""
        n = len(x)
        kernel = self(torch.cat([x, y]).reshape(2 * n, -1))
        h = kernel[:n, :n] + kernel[n:, n:] - kernel[:n, n:] - kernel[n:, :n]  # (n, n)
        variance = 4 * (h.mean(1).square().mean() - h.mean().square())
        return -(h.sum() - h.trace()) / (n * (n - 1)) / (variance + 1e-8).clamp_min(1e-8).sqrt()

    @property
    def statistic(self) -> Statistic:
        """MMD with this kernel."""
        return Statistic(lambda z: quadratic(self(z).to(z)), pairs=True)


def learn_classifier(x: Tensor, y: Tensor, *, hidden=(64, 64), steps: int = 400, lr: float = 5e-3, seed: int = 0):
    """A `Classifier` that learned to tell x (N, *event) from y (M, *event)."""
    z = pool(x, y)
    model = Classifier(z, hidden)
    is_x = (torch.arange(len(z), device=z.device) < len(x)).to(z)
    weight = torch.where(is_x > 0, len(z) / (2 * len(x)), len(z) / (2 * len(y))).to(z)
    for _ in train.steps(model, (z, is_x, weight), steps=steps, lr=lr, rate=train.falling, seed=seed):
        pass
    return model.eval().requires_grad_(False)


def learn_kernel(x: Tensor, y: Tensor, *, hidden=(32, 32), steps: int = 200, lr: float = 5e-3, seed: int = 0):
    """A `DeepKernel` that learned to tell x from y."""
    z, n = pool(x, y), min(len(x), len(y))
    model = DeepKernel(z, hidden)
    pairs = (x[:n].reshape(n, -1), y[:n].reshape(n, -1))
    for _ in train.steps(model, pairs, steps=steps, lr=lr, rate=train.falling, seed=seed):
        pass
    return model.eval().requires_grad_(False)


def test_held_out(
    x: Tensor, y: Tensor, learn, *, permutations: int | Tensor = 999, generator: Generator | None = None
) -> Outcome:
    """Learn a statistic on one half of either sample, test with it on the other.

    Args:
        learn: (x, y) -> Statistic, such as `lambda x, y: learn_classifier(x, y).logit`.
        permutations, generator: see `test`; the generator chooses the halves as well.
    """
    pool(x, y)
    if min(len(x), len(y)) < 4:
        raise bad("at least 4 examples of either sample, two a half", f"{len(x)} and {len(y)}", "more data")
    order = lambda s: torch.randperm(len(s), generator=generator).to(s.device)
    (x_learn, x_test), (y_learn, y_test) = (s[order(s)].tensor_split(2) for s in (x, y))
    return test(x_test, y_test, learn(x_learn, y_learn), permutations=permutations, generator=generator)
