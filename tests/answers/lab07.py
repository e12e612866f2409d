"""Lab 07: game dynamics."""

import numpy as np
import torch

from answers import right, wrong

SIGNS = (-1.0, 1.0)


def pull(slope, w):
    s = slope(w)
    return torch.stack([-s[0], s[1]])


@right("both_at_once")
def by_signs(slope, w, lr):
    return w + lr * torch.tensor(SIGNS).to(w) * slope(w)


@right("both_at_once")
def by_numpy(slope, w, lr):
    return np.asarray(w) + lr * np.array(SIGNS) * np.asarray(slope(w))


@right("both_at_once")
def by_numbers(slope, w, lr):
    fx, fy = slope(w)
    x, y = w
    return x - lr * fx, y + lr * fy


@right("by_turns")
def asks_twice(slope, w, lr):
    x = w[0] - lr * slope(w)[0]
    y = w[1] + lr * slope(torch.stack([x, w[1]]))[1]
    return torch.stack([x, y])


@right("by_turns")
def in_place(slope, w, lr):
    w = w.clone()
    w[0] -= lr * slope(w)[0]
    w[1] += lr * slope(w)[1]
    return w


@right("by_turns")
def by_arrays(slope, w, lr):
    x, y = np.asarray(w)
    x = x - lr * np.asarray(slope(np.array([x, y])))[0]
    return np.array([x, y + lr * np.asarray(slope(np.array([x, y])))[1]])


@right("look_ahead")
def spelled_out(slope, w, lr):
    fx, fy = slope(w)
    gx, gy = slope(torch.stack([w[0] - lr * fx, w[1] + lr * fy]))
    return torch.stack([w[0] - lr * gx, w[1] + lr * gy])


@right("look_ahead")
def with_arrays(slope, w, lr):
    signs, w = np.array(SIGNS), np.asarray(w)
    return w + lr * signs * np.asarray(slope(w + lr * signs * np.asarray(slope(w))))


@right("look_ahead")
def two_looks(slope, w, lr):
    return w + lr * pull(slope, w + lr * pull(slope, w))


@right("growth")
def by_columns(step):
    M = torch.stack([step(torch.tensor([1.0, 0.0])), step(torch.tensor([0.0, 1.0]))], 1)
    return torch.linalg.eigvals(M).abs().max()


@right("growth")
def by_numpy_rows(step):
    rows = np.array([np.asarray(step(e)) for e in np.eye(2)])
    return np.abs(np.linalg.eigvals(rows)).max()


@right("growth")
def by_roots(step):
    (a, c), (b, d) = (step(torch.tensor(e)).tolist() for e in ([1.0, 0.0], [0.0, 1.0]))
    return max(abs(np.roots([1, -(a + d), a * d - b * c])))


@right("penalty")
def by_columns_of_the_jacobian(critic, x, gamma):
    slope = torch.autograd.functional.jacobian(lambda x: critic(x).sum(), x, create_graph=True)
    return gamma * 0.5 * (slope * slope).sum() / x.shape[0]


@right("penalty")
def with_graph(critic, x, gamma):
    x = x.requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gamma / 2 * (slope**2).sum(1).mean()


@right("penalty")
def one_by_one(critic, x, gamma):
    total = 0.0
    for row in x:
        row = row[None].clone().requires_grad_()
        total = total + torch.autograd.grad(critic(row)[0], row, create_graph=True)[0].square().sum()
    return gamma / 2 * total / len(x)


@wrong("both_at_once", "both went down")
def two_descents(slope, w, lr):
    return w - lr * slope(w)


@wrong("both_at_once", "both climbed")
def two_climbs(slope, w, lr):
    return w + lr * slope(w)


@wrong("both_at_once", "the signs are exchanged: x goes down, y goes up")
def exchanged(slope, w, lr):
    return w - lr * pull(slope, w)


@wrong("both_at_once", "y saw the new x")
def turns(slope, w, lr):
    return asks_twice(slope, w, lr)


@wrong("both_at_once", "the step size is missing")
def whole_step(slope, w, lr):
    return w + pull(slope, w)


@wrong("both_at_once", "add the old w")
def move_alone(slope, w, lr):
    return lr * pull(slope, w)


@wrong("both_at_once", "each has its own")
def the_others_slope(slope, w, lr):
    fx, fy = slope(w)
    return torch.stack([w[0] - lr * fy, w[1] + lr * fx])


@wrong("both_at_once", "nothing moved")
def still(slope, w, lr):
    return w


@wrong("by_turns", "y moved from the old place")
def old_slope(slope, w, lr):
    return w + lr * pull(slope, w)


@wrong("by_turns", "y moved first")
def other_order(slope, w, lr):
    y = w[1] + lr * slope(w)[1]
    x = w[0] - lr * slope(torch.stack([w[0], y]))[0]
    return torch.stack([x, y])


@wrong("by_turns", "the second player went down")
def down_again(slope, w, lr):
    x = w[0] - lr * slope(w)[0]
    return torch.stack([x, w[1] - lr * slope(torch.stack([x, w[1]]))[1]])


@wrong("by_turns", "x moved twice")
def both_at_the_second_turn(slope, w, lr):
    new = torch.stack([w[0] - lr * slope(w)[0], w[1]])
    return new + lr * pull(slope, new)


@wrong("by_turns", "the first player climbed")
def climbs_first(slope, w, lr):
    x = w[0] + lr * slope(w)[0]
    return torch.stack([x, w[1] + lr * slope(torch.stack([x, w[1]]))[1]])


@wrong("by_turns", "forgot its step size")
def whole_second_step(slope, w, lr):
    x = w[0] - lr * slope(w)[0]
    return torch.stack([x, w[1] + slope(torch.stack([x, w[1]]))[1]])


@wrong("by_turns", "add the old y")
def y_from_nowhere(slope, w, lr):
    x = w[0] - lr * slope(w)[0]
    return torch.stack([x, lr * slope(torch.stack([x, w[1]]))[1]])


@wrong("look_ahead", "no step size")
def far_ahead(slope, w, lr):
    return w + lr * pull(slope, w + pull(slope, w))


@wrong("look_ahead", "this is a plain step")
def only_ahead(slope, w, lr):
    return w + lr * pull(slope, w)


@wrong("look_ahead", "the move starts from ahead")
def from_ahead(slope, w, lr):
    ahead = w + lr * pull(slope, w)
    return ahead + lr * pull(slope, ahead)


@wrong("look_ahead", "the mean of both pulls")
def heun(slope, w, lr):
    v = pull(slope, w)
    return w + lr * (v + pull(slope, w + lr * v)) / 2


@wrong("look_ahead", "the second look has its signs exchanged")
def second_exchanged(slope, w, lr):
    return w - lr * pull(slope, w + lr * pull(slope, w))


@wrong("look_ahead", "the look ahead has its signs exchanged")
def looks_back(slope, w, lr):
    return w + lr * pull(slope, w - lr * pull(slope, w))


def matrix(step):
    return torch.stack([step(torch.tensor([1.0, 0.0])), step(torch.tensor([0.0, 1.0]))], 1)


@wrong("growth", "the real part alone")
def real_parts(step):
    return torch.linalg.eigvals(matrix(step)).real.max()


@wrong("growth", "take absolute values")
def signed(step):
    values = torch.linalg.eigvals(matrix(step))
    return values.abs().max() if values.imag.abs().max() > 0 else values.real.max()


@wrong("growth", "the smallest of the eigenvalues")
def smallest(step):
    values = torch.linalg.eigvals(matrix(step)).abs()
    return values.min()


@wrong("growth", "the determinant")
def determinant(step):
    return torch.linalg.det(matrix(step))


@wrong("growth", "a singular value")
def norm(step):
    return torch.linalg.matrix_norm(matrix(step), 2)


@wrong("growth", "the sum of the eigenvalues")
def trace(step):
    return torch.trace(matrix(step))


@wrong("growth", "never asked")
def made_up(step):
    return 1.0


def slopes(critic, x, graph=True):
    x = x.requires_grad_()
    return torch.autograd.grad(critic(x).sum(), x, create_graph=graph)[0]


@wrong("penalty", "the factor 1/2 is missing")
def whole(critic, x, gamma):
    return gamma * slopes(critic, x).square().sum(1).mean()


@wrong("penalty", "not squared")
def length(critic, x, gamma):
    return gamma / 2 * slopes(critic, x).norm(dim=1).mean()


@wrong("penalty", "gamma is missing")
def without_gamma(critic, x, gamma):
    return slopes(critic, x).square().sum(1).mean() / 2


@wrong("penalty", "a sum over examples")
def summed(critic, x, gamma):
    return gamma / 2 * slopes(critic, x).square().sum()


@wrong("penalty", "the mean over all entries")
def entries(critic, x, gamma):
    return gamma / 2 * slopes(critic, x).square().mean()


@wrong("penalty", "the mean slope was squared")
def mean_first(critic, x, gamma):
    return gamma / 2 * slopes(critic, x).mean(0).square().sum()


@wrong("penalty", "another penalty")
def target_of_one(critic, x, gamma):
    return gamma / 2 * (slopes(critic, x).norm(dim=1) - 1).square().mean()


@wrong("penalty", "does not reach the critic")
def no_graph(critic, x, gamma):
    return gamma / 2 * slopes(critic, x, graph=False).square().sum(1).mean()
