r"""Lab 05, latent space: a board of styles and classes, walks on a sphere, axes without side effects, joined spaces.

Truths come from loops, rotations in a plane, numpy's least squares and scikit-learn's linear regression.
"""

import numpy as np
import torch
from sklearn.linear_model import LinearRegression
from torch import Generator, Tensor

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, same, tensor
from gdm_core.checks.exercise import Exercise, Wrong


@Exercise.worth(form=1, values=3)
def board(answer: Answer, numbers: Generator) -> None:
    """Every style in every class: row s, column c is decode(z_s, y = c)."""
    for n, classes, latents, d in ((3, 4, 2, 5), (4, 2, 3, 6)):
        z, W, U = (_normal(numbers, *shape) for shape in ((n, latents), (latents, d), (classes, d)))
        seen = []

        def decode(z, y):
            require(getattr(y, "ndim", 0) > 0, f"decode wants one label for each row of z, ({len(z)},), not a number")
            require(
                isinstance(y, Tensor) and not y.is_floating_point(), "y are class numbers: integers, such as arange"
            )
            require(tuple(y.shape) == (len(z),), f"decode wants one label for each row of z, ({len(z)},)")
            require(0 <= int(y.min()) and int(y.max()) < classes, f"classes are numbered from 0 to {classes - 1}")
            seen.append(z)
            return torch.tanh(z @ W) + U[y.long()]

        answer.part("form")
        result = answer(decode, z, classes)
        truth = torch.stack([torch.stack([torch.tanh(z[s] @ W) + U[c] for c in range(classes)]) for s in range(n)])
        if isinstance(result, Tensor) and tuple(result.shape) == (n * classes, d):
            raise Wrong("one long list: reshape it to (S, classes, d)")
        if isinstance(result, Tensor) and tuple(result.shape) == (classes, n, d) != (n, classes, d):
            raise Wrong("rows are styles and columns are classes: (S, classes, d)")
        body, label = torch.tanh(z @ W), U
        paired = (body.repeat(classes, 1) + label.repeat_interleave(n, 0)).reshape(n, classes, d)
        tiled = (body.repeat(classes, 1) + label.repeat(n, 1)).reshape(n, classes, d)
        got = tensor(result, (n, classes, d), "(S, classes, d)")
        answer.part("values")
        equal(got, truth, {
            "the list was reshaped in the wrong order: it goes class by class": paired,
            "styles and classes run together: repeat the one, interleave the other": tiled,
            "all columns are of one class": (body[:, None] + label[0]).expand(n, classes, d),
            "the classes run from the last to the first": truth.flip(1),
            "all rows have the style of the first": truth[:1].expand(n, classes, d),
        }, "the board")  # fmt: skip
        drawn = torch.cat(seen)
        known = (drawn[:, None] - z).abs().amax(2).amin(1)
        require(bool((known < 1e-3).all()), "z was changed: the style is the same in all columns")


@Exercise.worth(form=1, values=3, no_angle=1)
def slerp(answer: Answer, numbers: Generator) -> None:
    """Spherical interpolation (Shoemake, 1985): equal steps of the angle between a and b."""
    t = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0], dtype=torch.float64)
    for d, long in ((4, 1.0), (3, 0.6)):
        a, b = (_unit(_normal(numbers, d)) for _ in range(2))
        b = _unit(b - 0.3 * a)
        angle = torch.acos((a * b).sum())
        side = _unit(b - (a * b).sum() * a)  # so that the walk is cos(t angle) a + sin(t angle) side
        walk = (t * angle).cos()[:, None] * a + (t * angle).sin()[:, None] * side
        answer.part("form")
        got = tensor(answer(long * a, long * b, t), (len(t), d), "(T, d)")
        answer.part("values")
        weights = lambda first, second: (first[:, None] * a + second[:, None] * b) * long
        straight = weights(1 - t, t)
        raw = torch.acos((long**2 * (a * b).sum()).clamp(-1, 1))
        equal(got, long * walk, {
            "this is a straight line: it cuts through the sphere": straight,
            "a straight line, pushed out to the sphere: its steps are not equal":
                long * torch.nn.functional.normalize(straight, dim=1),
            "the walk starts at b: t = 0 is a":
                weights((t * angle).sin() / angle.sin(), ((1 - t) * angle).sin() / angle.sin()),
            "the division by sin ω is missing": weights(((1 - t) * angle).sin(), (t * angle).sin()),
            "the angle is that of the directions: divide by both lengths before acos":
                weights(((1 - t) * raw).sin() / raw.sin(), (t * raw).sin() / raw.sin()),
            "the result has length one: keep the lengths of a and b": walk,
            "cos, where sin is wanted": weights(((1 - t) * angle).cos() / angle.cos(), (t * angle).cos() / angle.cos()),
            "ω is missing inside of the sine": weights((1 - t).sin() / angle.sin(), t.sin() / angle.sin()),
        }, "the walk", f"for |a| = |b| = {long:g}")  # fmt: skip
    answer.part("no angle")
    a = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    got = tensor(answer(a, a.clone(), t), (len(t), 3), "(T, d)")
    hint = "a = b gives 0/0: where the angle is tiny, a straight line is as good"
    require(bool(torch.isfinite(got).all()) and bool((got - a).abs().max() < 1e-2), hint)


@Exercise.worth(form=1, values=4)
def without(answer: Answer, numbers: Generator) -> None:
    """The part of a direction that is orthogonal to several others, which need not be orthogonal to each other."""
    for m, d in ((2, 5), (3, 6)):
        v, others = _normal(numbers, d), _normal(numbers, m, d) + 0.8
        coefficients = np.linalg.lstsq(others.numpy().T, v.numpy(), rcond=None)[0]
        along = torch.as_tensor(coefficients) @ others
        ones = torch.nn.functional.normalize(others, dim=1)
        one_by_one = lambda w, u: w - (w * u).sum() * u
        turns = v
        for u in ones:
            turns = one_by_one(turns, u)
        answer.part("form")
        got = tensor(answer(v, others), (d,), "(d,)")
        answer.part("values")
        equal(got, v - along, {
            "this is the part along the others: take it away from v": along,
            "the others are not orthogonal to each other: what two share was taken away twice": v - (ones @ v) @ ones,
            "the others are not orthogonal to each other: taking them away in turn brings some back": turns,
            "the others have lengths: divide by their square": v - (others @ v) @ others,
            "divide by the square of the length, not by the length":
                v - ((others @ v) / others.norm(dim=1)) @ others,
            "U Uᵀ itself was used, not its inverse": v - (others @ others.T @ others @ v) @ others,
            "only the first was taken away": one_by_one(v, ones[0]),
            "only the last was taken away": one_by_one(v, ones[-1]),
            "the others themselves were taken away, not the part of v along them": v - others.sum(0),
            "nothing was taken away": v,
            "the length was changed: keep what is left as it is": _unit(v - along),
        }, "v")  # fmt: skip


@Exercise.worth(M=3, c=2)
def join(answer: Answer, numbers: Generator) -> None:
    """The affine map of least squares from one latent space to another, from pairs of codes."""
    for n, p, q in ((12, 3, 2), (9, 2, 4)):
        a = _normal(numbers, n, p) + 1.5
        b = a @ _normal(numbers, p, q) + 0.3 * _normal(numbers, n, q) - 2
        peer = LinearRegression().fit(a.numpy(), b.numpy())
        M, c = parts(answer(a, b), "M", "c")
        answer.part("M")
        if isinstance(M, Tensor) and tuple(M.shape) == (q, p):
            back = torch.as_tensor(LinearRegression().fit(b.numpy(), a.numpy()).coef_.T)
            require(not same(M.to(back), back), "this map leads from b to a: b is what it must predict")
            raise Wrong("codes are rows, so b = a M + c, and M is (p, q): transpose it")
        wanted = torch.as_tensor(peer.coef_.T)
        centered = [x - x.mean(0) for x in (a, b)]
        plain = torch.linalg.lstsq(a, b).solution
        equal(tensor(M, (p, q), "(p, q)", "M"), wanted, {
            "without c the map must go through 0: add a column of ones, or subtract the means": plain,
            "these are covariances: the inverse of that of a is missing": centered[0].T @ centered[1] / n,
            "divided by N once too often": wanted / n,
            "the ones stand first, so the first row is c, and M is the rest":
                torch.cat([torch.as_tensor(peer.intercept_)[None], wanted[:-1]]),
            "b was centered and a was not: center both, or add a column of ones":
                torch.linalg.lstsq(a, centered[1]).solution,
        }, "M")  # fmt: skip
        answer.part("c")
        equal(tensor(c, (q,), "(q,)", "c"), torch.as_tensor(peer.intercept_), {
            "c is missing: it moves the mean of a to that of b": torch.zeros(q),
            "the mean of b alone: what M makes of the mean of a is taken away": b.mean(0),
            "the sign: mean of b minus what M makes of the mean of a": -torch.as_tensor(peer.intercept_),
            "M is missing: the mean of a must go through it": b.mean(0) - a.mean(0) if p == q else None,
            "what M makes of the mean of a is taken away, not added": b.mean(0) + a.mean(0) @ wanted,
        }, "c")  # fmt: skip


def _unit(v: Tensor) -> Tensor:
    return v / v.norm()


def _normal(numbers: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=numbers, dtype=torch.float64)
