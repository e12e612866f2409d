"""Lab 05: latent space."""

import numpy as np
import torch

from answers import right, wrong

# board


@right("board")
def column_by_column(decode, z, classes):
    return torch.stack([decode(z, torch.full((len(z),), c)) for c in range(classes)], 1)


@right("board")
def all_at_once(decode, z, classes):
    y = torch.arange(classes).repeat(len(z))
    return decode(z.repeat_interleave(classes, 0), y).reshape(len(z), classes, -1)


@right("board")
def cell_by_cell(decode, z, classes):
    rows = [[np.asarray(decode(s[None], torch.tensor([c])))[0] for c in range(classes)] for s in z]
    return np.array(rows)


@wrong("board", "rows are styles and columns are classes")
def class_by_class(decode, z, classes):
    return torch.stack([decode(z, torch.full((len(z),), c)) for c in range(classes)])


@wrong("board", "in the wrong order")
def reshaped(decode, z, classes):
    out = torch.cat([decode(z, torch.full((len(z),), c)) for c in range(classes)])
    return out.reshape(len(z), classes, -1)


@wrong("board", "run together")  # wenet-e2e/west#121
def both_repeated(decode, z, classes):
    y = torch.arange(classes).repeat(len(z))
    return decode(z.repeat(classes, 1), y).reshape(len(z), classes, -1)


@wrong("board", "all columns are of one class")
def first_class(decode, z, classes):
    return torch.stack([decode(z, torch.zeros(len(z), dtype=torch.long)) for _ in range(classes)], 1)


@wrong("board", "one long list")
def not_reshaped(decode, z, classes):
    return decode(z.repeat_interleave(classes, 0), torch.arange(classes).repeat(len(z)))


@wrong("board", "integers, such as arange")
def float_labels(decode, z, classes):
    return torch.stack([decode(z, torch.full((len(z),), float(c))) for c in range(classes)], 1)


@wrong("board", "not a number")
def label_as_a_number(decode, z, classes):
    return torch.stack([decode(z, c) for c in range(classes)], 1)


@wrong("board", "one label for each row")
def one_label(decode, z, classes):
    return torch.stack([decode(z, torch.tensor(c)) for c in range(classes)], 1)


@wrong("board", "numbered from 0")
def from_one(decode, z, classes):
    return torch.stack([decode(z, torch.full((len(z),), c + 1)) for c in range(classes)], 1)


# slerp


def angle_between(a, b):
    return torch.acos(((a @ b) / (a.norm() * b.norm())).clamp(-1, 1))


@right("slerp")
def shoemake(a, b, t):
    angle = angle_between(a, b)
    if angle < 1e-4:
        return a + t[:, None] * (b - a)
    return (((1 - t) * angle).sin()[:, None] * a + (t * angle).sin()[:, None] * b) / angle.sin()


@right("slerp")
def one_step_after_another(a, b, t):
    cosine = float((a @ b) / (a.norm() * b.norm()))
    angle = np.arccos(min(1.0, max(-1.0, cosine)))
    out = []
    for s in t.tolist():
        if np.sin(angle) < 1e-4:
            out.append((1 - s) * a + s * b)
        else:
            out.append(np.sin((1 - s) * angle) / np.sin(angle) * a + np.sin(s * angle) / np.sin(angle) * b)
    return torch.stack(out)


@right("slerp")
def slerp_with_numpy(a, b, t):
    a, b, t = np.asarray(a), np.asarray(b), np.asarray(t)[:, None]
    angle = np.arctan2(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)) / 2,
                       np.linalg.norm(a / np.linalg.norm(a) + b / np.linalg.norm(b)) / 2) * 2  # fmt: skip
    return (
        np.sinc((1 - t) * angle / np.pi) / np.sinc(angle / np.pi) * (1 - t) * a
        + np.sinc(t * angle / np.pi) / np.sinc(angle / np.pi) * t * b
    )


def arc(a, b, t, angle):
    return (((1 - t) * angle).sin()[:, None] * a + (t * angle).sin()[:, None] * b) / angle.sin()


@wrong("slerp", "this is a straight line")
def lerp(a, b, t):
    return a + t[:, None] * (b - a)


@wrong("slerp", "its steps are not equal")
def lerp_pushed_out(a, b, t):
    return torch.nn.functional.normalize(lerp(a, b, t), dim=1) * a.norm()


@wrong("slerp", "t = 0 is a")
def backwards(a, b, t):
    return arc(b, a, t, angle_between(a, b))


@wrong("slerp", "the division by sin ω")
def sine_forgotten(a, b, t):
    angle = angle_between(a, b)
    return arc(a, b, t, angle) * angle.sin()


@wrong("slerp", "divide by both lengths")
def lengths_forgotten(a, b, t):
    return arc(a, b, t, torch.acos((a @ b).clamp(-1, 1)))


@wrong("slerp", "keep the lengths")
def unit_result(a, b, t):
    return arc(a / a.norm(), b / b.norm(), t, angle_between(a, b))


@wrong("slerp", "a = b gives 0/0")  # dfki-ric/pytransform3d#45
def same_point(a, b, t):
    return arc(a, b, t, angle_between(a, b))


@wrong("slerp", "ω is missing")
def angle_forgotten(a, b, t):
    return ((1 - t).sin()[:, None] * a + t.sin()[:, None] * b) / angle_between(a, b).sin()


# without


@right("without")
def by_pinv(v, others):
    return v - torch.linalg.pinv(others) @ (others @ v)


@right("without")
def by_qr(v, others):
    Q = torch.linalg.qr(others.T).Q
    return v - Q @ (Q.T @ v)


@right("without")
def gram_schmidt(v, others):
    basis = []
    for u in others:
        for w in basis:
            u = u - (u @ w) * w
        basis.append(u / u.norm())
    for w in basis:
        v = v - (v @ w) * w
    return v


@right("without")
def by_normal_equations(v, others):
    v, A = np.asarray(v), np.asarray(others)
    return v - A.T @ np.linalg.solve(A @ A.T, A @ v)


@wrong("without", "this is the part along the others")
def part_along(v, others):
    return torch.linalg.pinv(others) @ (others @ v)


@wrong("without", "taken away twice")
def all_from_v(v, others):
    out = v.clone()
    for u in others:
        out -= (v @ u) / (u @ u) * u
    return out


@wrong("without", "brings some back")
def in_turn(v, others):
    for u in others:
        v = v - (v @ u) / (u @ u) * u
    return v


@wrong("without", "the others have lengths")
def not_divided(v, others):
    return v - others.T @ (others @ v)


@wrong("without", "not by the length")
def divided_by_length(v, others):
    return v - ((others @ v) / others.norm(dim=1)) @ others


@wrong("without", "not its inverse")
def inverse_forgotten(v, others):
    return v - others.T @ (others @ others.T) @ (others @ v)


@wrong("without", "only the first")  # genforce/interfacegan#50
def first_alone(v, others):
    u = others[0]
    return v - (v @ u) / (u @ u) * u


@wrong("without", "not the part of v along them")
def others_subtracted(v, others):
    return v - others.sum(0)


@wrong("without", "the length was changed")
def unit_length(v, others):
    left = by_pinv(v, others)
    return left / left.norm()


# join


@right("join")
def column_of_ones(a, b):
    solution = torch.linalg.lstsq(torch.cat([a, torch.ones(len(a), 1).to(a)], 1), b).solution
    return solution[:-1], solution[-1]


@right("join")
def by_means(a, b):
    x, y = a - a.mean(0), b - b.mean(0)
    M = torch.linalg.solve(x.T @ x, x.T @ y)
    return M, b.mean(0) - a.mean(0) @ M


@right("join")
def join_with_numpy(a, b):
    a, b = np.asarray(a), np.asarray(b)
    solution = np.linalg.pinv(np.hstack([np.ones((len(a), 1)), a])) @ b
    return solution[1:], solution[0]


@wrong("join", "without c the map must go through 0")
def no_ones(a, b):
    M = torch.linalg.lstsq(a, b).solution
    return M, torch.zeros(b.shape[1])


@wrong("join", "transpose it")
def columns(a, b):
    M, c = column_of_ones(a, b)
    return M.T, c


@wrong("join", "from b to a")
def backwards_map(a, b):
    ones = torch.cat([b, torch.ones(len(b), 1).to(b)], 1)
    solution = torch.linalg.lstsq(ones, a).solution
    return solution[:-1], solution[-1]


@wrong("join", "the ones stand first")
def ones_first(a, b):
    ones = torch.cat([torch.ones(len(a), 1).to(a), a], 1)
    solution = torch.linalg.lstsq(ones, b).solution
    return solution[:-1], solution[-1]


@wrong("join", "these are covariances")
def covariances(a, b):
    x, y = a - a.mean(0), b - b.mean(0)
    return x.T @ y / len(a), b.mean(0)


@wrong("join", "c is missing")
def no_offset(a, b):
    return by_means(a, b)[0], torch.zeros(b.shape[1])


@wrong("join", "the mean of b alone")
def mean_of_b(a, b):
    return by_means(a, b)[0], b.mean(0)


@wrong("join", "the sign: mean of b")
def offset_turned(a, b):
    M, c = by_means(a, b)
    return M, -c


@wrong("join", "not added")
def offset_added(a, b):
    M, _ = by_means(a, b)
    return M, b.mean(0) + a.mean(0) @ M


@wrong("join", "needed 2 things")
def map_alone(a, b):
    return by_means(a, b)[0]
