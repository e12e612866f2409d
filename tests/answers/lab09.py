"""Lab 09: normalizing flows."""

import math

import numpy as np
import torch
from torch.nn.functional import softplus

from answers import right, wrong


@right("planar")
def by_the_lemma(x, w, u, b):
    h = torch.tanh(x @ w + b)
    return x + h[:, None] * u, torch.log(torch.abs(1 + (1 - h**2) * (w @ u)))


@right("planar")
def by_whole_jacobians(x, w, u, b):
    h = torch.tanh((x * w).sum(1) + b)
    J = torch.eye(len(w)).to(x) + torch.einsum("b,i,j->bij", 1 - h**2, u, w)
    return x + torch.outer(h, u), torch.linalg.slogdet(J)[1]


@right("planar")
def by_numpy(x, w, u, b):
    x, w, u = (np.asarray(a) for a in (x, w, u))
    h = np.tanh(x @ w + b)
    return x + h[:, None] * u, np.log(np.abs(1 + (1 - h**2) * (w @ u)))


@wrong("planar", "b is missing")
def no_b(x, w, u, b):
    return by_the_lemma(x, w, u, 0.0)


@wrong("planar", "x itself stays")
def move_alone(x, w, u, b):
    return torch.tanh(x @ w + b)[:, None] * u, by_the_lemma(x, w, u, b)[1]


@wrong("planar", "u and w are exchanged")
def exchanged(x, w, u, b):
    return by_the_lemma(x, u, w, b)


@wrong("planar", "the tanh is missing")
def straight(x, w, u, b):
    return x + (x @ w + b)[:, None] * u, by_the_lemma(x, w, u, b)[1]


@wrong("planar", "this is the determinant")
def no_log(x, w, u, b):
    z, log_det = by_the_lemma(x, w, u, b)
    return z, log_det.exp()


@wrong("planar", "the sign is turned")
def minus(x, w, u, b):
    z, log_det = by_the_lemma(x, w, u, b)
    return z, -log_det


@wrong("planar", "h itself stands")
def value_for_slope(x, w, u, b):
    h = torch.tanh(x @ w + b)
    return x + h[:, None] * u, torch.log(torch.abs(1 + h * (w @ u)))


@wrong("planar", "the 1 is missing")
def no_one(x, w, u, b):
    h = torch.tanh(x @ w + b)
    return x + h[:, None] * u, torch.log(torch.abs((1 - h**2) * (w @ u)))


@wrong("planar", "not squared")
def not_squared(x, w, u, b):
    h = torch.tanh(x @ w + b)
    return x + h[:, None] * u, torch.log(torch.abs(1 + (1 - h) * (w @ u)))


@wrong("planar", "w'w stands")
def w_with_itself(x, w, u, b):
    h = torch.tanh(x @ w + b)
    return x + h[:, None] * u, torch.log(torch.abs(1 + (1 - h**2) * (w @ w)))


@right("unfolded")
def by_softplus(w, u):
    a = w @ u
    return u + (softplus(a) - 1 - a) * w / (w @ w)


@right("unfolded")
def by_projection(w, u):
    unit = w / w.norm()
    across = u - (unit @ u) * unit
    return across + (torch.log(1 + torch.exp(w @ u)) - 1) / w.norm() * unit


@right("unfolded")
def by_logaddexp(w, u):
    w, u = np.asarray(w), np.asarray(u)
    return u + (np.logaddexp(0, w @ u) - 1 - w @ u) * w / (w**2).sum()


@wrong("unfolded", "was not moved")
def as_it_was(w, u):
    return u


@wrong("unfolded", "was not moved")
def only_where_it_folds(w, u):
    return by_softplus(w, u) if w @ u < -1 else u


@wrong("unfolded", "divide by |w|²")
def no_length(w, u):
    a = w @ u
    return u + (softplus(a) - 1 - a) * w


@wrong("unfolded", "not by |w|")
def one_length(w, u):
    a = w @ u
    return u + (softplus(a) - 1 - a) * w / w.norm()


@wrong("unfolded", "old w'u stays")
def added_on_top(w, u):
    return u + (softplus(w @ u) - 1) * w / (w @ w)


@wrong("unfolded", "softplus alone")
def above_zero(w, u):
    a = w @ u
    return u + (softplus(a) - a) * w / (w @ w)


@wrong("unfolded", "turned around")
def other_way(w, u):
    a = w @ u
    return u - (softplus(a) - 1 - a) * w / (w @ w)


@right("couple")
def by_chunks(s, t, x):
    a, b = x.chunk(2, 1)
    return torch.cat([a, b * s(a).exp() + t(a)], 1), s(a).sum(1)


@right("couple")
def in_place(s, t, x):
    half = x.shape[1] // 2
    z = x.clone()
    z[:, half:] = x[:, half:] * torch.exp(s(x[:, :half])) + t(x[:, :half])
    return z, s(x[:, :half]).sum(-1)


@right("couple")
def by_arrays(s, t, x):
    x = np.asarray(x)
    a, b = np.split(x, 2, axis=1)
    return np.concatenate([a, b * np.exp(np.asarray(s(a))) + np.asarray(t(a))], 1), np.asarray(s(a)).sum(1)


def _coupled(second):
    """What a wrong second half makes of it, with the right log|det|."""

    def couple(s, t, x):
        a, b = x.chunk(2, 1)
        return torch.cat([a, second(b, s(a), t(a))], 1), s(a).sum(1)

    return couple


@wrong("couple", "s is a logarithm")
def plain_s(s, t, x):
    return _coupled(lambda b, s, t: b * s + t)(s, t, x)


@wrong("couple", "behind the scale")
def shift_first(s, t, x):
    return _coupled(lambda b, s, t: (b + t) * s.exp())(s, t, x)


@wrong("couple", "this goes back")
def backward(s, t, x):
    return _coupled(lambda b, s, t: (b - t) * (-s).exp())(s, t, x)


@wrong("couple", "t is missing")
def no_t(s, t, x):
    return _coupled(lambda b, s, t: b * s.exp())(s, t, x)


@wrong("couple", "halves are exchanged")
def other_order(s, t, x):
    a, b = x.chunk(2, 1)
    return torch.cat([b * s(a).exp() + t(a), a], 1), s(a).sum(1)


@wrong("couple", "the other way round")
def second_decides(s, t, x):
    a, b = x.chunk(2, 1)
    return torch.cat([a * s(b).exp() + t(b), b], 1), s(b).sum(1)


@wrong("couple", "reads itself")
def reads_itself(s, t, x):
    a, b = x.chunk(2, 1)
    return torch.cat([a, b * s(b).exp() + t(b)], 1), s(b).sum(1)


def _told(log_det):
    def couple(s, t, x):
        a = x.chunk(2, 1)[0]
        return by_chunks(s, t, x)[0], log_det(s(a), t(a))

    return couple


@wrong("couple", "the sign is turned")
def minus_s(s, t, x):
    return _told(lambda s, t: -s.sum(1))(s, t, x)


@wrong("couple", "this is the determinant")
def product(s, t, x):
    return _told(lambda s, t: s.exp().prod(1))(s, t, x)


@wrong("couple", "the mean over the features")
def mean_s(s, t, x):
    return _told(lambda s, t: s.mean(1))(s, t, x)


@wrong("couple", "a scale counts")
def scales(s, t, x):
    return _told(lambda s, t: s.exp().sum(1))(s, t, x)


@wrong("couple", "stretches nothing")
def shift_counted(s, t, x):
    return _told(lambda s, t: (s + t).sum(1))(s, t, x)


@right("uncouple")
def back_by_chunks(s, t, z):
    a, b = z.chunk(2, 1)
    return torch.cat([a, (b - t(a)) * torch.exp(-s(a))], 1)


@right("uncouple")
def back_by_division(s, t, z):
    half = z.shape[1] // 2
    a = z[:, :half]
    return torch.hstack([a, (z[:, half:] - t(a)) / s(a).exp()])


@right("uncouple")
def back_by_arrays(s, t, z):
    a, b = np.split(np.asarray(z), 2, axis=1)
    return np.concatenate([a, (b - np.asarray(t(a))) / np.exp(np.asarray(s(a)))], 1)


def _back(second):
    def uncouple(s, t, z):
        a, b = z.chunk(2, 1)
        return torch.cat([a, second(b, s(a), t(a))], 1)

    return uncouple


@wrong("uncouple", "t goes first")
def scale_first(s, t, z):
    return _back(lambda b, s, t: b * (-s).exp() - t)(s, t, z)


@wrong("uncouple", "divide by it")
def multiplied(s, t, z):
    return _back(lambda b, s, t: (b - t) * s.exp())(s, t, z)


@wrong("uncouple", "take it away")
def added(s, t, z):
    return _back(lambda b, s, t: (b + t) * (-s).exp())(s, t, z)


@wrong("uncouple", "not back")
def there(s, t, z):
    return _back(lambda b, s, t: b * s.exp() + t)(s, t, z)


@wrong("uncouple", "s is a logarithm")
def by_plain_s(s, t, z):
    return _back(lambda b, s, t: (b - t) / s)(s, t, z)


@wrong("uncouple", "read the first half")
def reads_the_second(s, t, z):
    a, b = z.chunk(2, 1)
    return torch.cat([a, (b - t(b)) * torch.exp(-s(b))], 1)


@wrong("uncouple", "want one half")
def one_feature_for_a_half(s, t, z):
    a, b = z[:, :1], z[:, 1:]
    return torch.cat([a, (b - t(a)) * torch.exp(-s(a))], 1)


@wrong("uncouple", "nothing moved")
def unmoved(s, t, z):
    return z


@right("bits")
def by_formula(log_p, pixels, levels):
    return (pixels * math.log(levels) - log_p.mean()) / (pixels * math.log(2))


@right("bits")
def by_log2(log_p, pixels, levels):
    return math.log2(levels) - log_p.mean() / pixels / math.log(2)


@right("bits")
def by_examples(log_p, pixels, levels):
    each = [math.log2(levels) - float(v) / pixels / math.log(2) for v in log_p]
    return sum(each) / len(each)


@wrong("bits", "these are nats")
def in_nats(log_p, pixels, levels):
    return by_formula(log_p, pixels, levels) * math.log(2)


@wrong("bits", "bits a picture")
def of_a_picture(log_p, pixels, levels):
    return by_formula(log_p, pixels, levels) * pixels


@wrong("bits", "its volume is missing")
def no_volume(log_p, pixels, levels):
    return -log_p.mean() / (pixels * math.log(2))


@wrong("bits", "not log levels")
def one_cell(log_p, pixels, levels):
    return (math.log(levels) - log_p.mean()) / (pixels * math.log(2))


@wrong("bits", "sign of the volume")
def volume_turned(log_p, pixels, levels):
    return (-log_p.mean() - pixels * math.log(levels)) / (pixels * math.log(2))


@wrong("bits", "bits are what it costs")
def negative(log_p, pixels, levels):
    return -by_formula(log_p, pixels, levels)


@wrong("bits", "take the mean")
def summed(log_p, pixels, levels):
    return by_formula(log_p, pixels, levels) * len(log_p)
