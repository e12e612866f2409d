"""Lab 10: autoregressive and masked models."""

import math

import numpy as np
import torch

from answers import right, wrong


def before(size, center):
    place = torch.arange(size * size).reshape(size, size)
    return ((place < size * size // 2) | ((place == size * size // 2) & center)).double()


@right("mask")
def by_place(size, first):
    return before(size, not first)


@right("mask")
def by_loops(size, first):
    k = size // 2
    fine = lambda r, c: r < k or (r == k and (c < k or (c == k and not first)))
    return [[float(fine(r, c)) for c in range(size)] for r in range(size)]


@right("mask")
def by_numpy(size, first):
    keep = np.ones((size, size))
    keep[size // 2, size // 2 + (not first) :] = 0
    keep[size // 2 + 1 :] = 0
    return keep


@wrong("mask", "exchanged")
def exchanged(size, first):
    return before(size, first)


@wrong("mask", "would see itself")
def b_everywhere(size, first):
    return before(size, True)


@wrong("mask", "later layers may")
def a_everywhere(size, first):
    return before(size, False)


@wrong("mask", "the other side")
def mirrored(size, first):
    return before(size, not first).flip(0, 1)


@wrong("mask", "to the left alone")
def corner(size, first):
    keep = before(size, not first)
    keep[:, size // 2 + 1 :] = 0
    return keep


@wrong("mask", "not all")
def whole_row(size, first):
    keep = before(size, True)
    keep[size // 2] = 1
    return keep


@wrong("mask", "is missing to the left")
def rows_alone(size, first):
    keep = before(size, not first)
    keep[size // 2, : size // 2] = 0
    return keep


@right("from_noise")
def by_counting(log_p, u):
    return (log_p.exp().cumsum(1) < u[:, None]).sum(1)


@right("from_noise")
def by_search(log_p, u):
    return torch.searchsorted(log_p.exp().cumsum(1), u[:, None].contiguous())[:, 0]


@right("from_noise")
def by_numpy_loop(log_p, u):
    return np.array(
        [int(np.searchsorted(np.exp(row).cumsum(), at)) for row, at in zip(np.asarray(log_p), np.asarray(u))]
    )


@wrong("from_noise", "begin at 0")
def from_one(log_p, u):
    return (log_p.exp().cumsum(1) < u[:, None]).sum(1) + 1


@wrong("from_noise", "one value too low")
def one_low(log_p, u):
    return ((log_p.exp().cumsum(1) < u[:, None]).sum(1) - 1).clamp_min(0)


@wrong("from_noise", "most likely")
def greedy(log_p, u):
    return log_p.argmax(1)


@wrong("from_noise", "want `exp`")
def logs_summed(log_p, u):
    return (log_p.cumsum(1) < u[:, None]).sum(1)


@wrong("from_noise", "without `cumsum`")
def each_alone(log_p, u):
    return (log_p.exp() < u[:, None]).sum(1)


@wrong("from_noise", "values above u")
def those_above(log_p, u):
    return (log_p.exp().cumsum(1) >= u[:, None]).sum(1)


@wrong("from_noise", "the other way")
def other_way(log_p, u):
    return (log_p.exp().cumsum(1) < 1 - u[:, None]).sum(1)


def mass(mean, scale, levels, ends=(0.0, 1.0), shift=0.5, F=torch.sigmoid):
    edges = torch.arange(levels - 1).to(mean) + shift
    inner = F((edges - mean[:, None]) / scale[:, None])
    end = torch.ones_like(mean[:, None])
    return torch.cat([ends[0] * end, inner, ends[1] * end], 1).diff(dim=1)


@right("logistic_mass")
def by_differences(mean, scale, levels):
    return mass(mean, scale, levels)


@right("logistic_mass")
def by_levels(mean, scale, levels):
    F = lambda a: 1 / (1 + torch.exp(-(a - mean) / scale))
    columns = []
    for k in range(levels):
        high = torch.ones_like(mean) if k == levels - 1 else F(k + 0.5)
        low = torch.zeros_like(mean) if k == 0 else F(k - 0.5)
        columns.append(high - low)
    return torch.stack(columns, 1)


@right("logistic_mass")
def by_numpy_edges(mean, scale, levels):
    edges = np.concatenate([[-np.inf], np.arange(levels - 1) + 0.5, [np.inf]])
    with np.errstate(over="ignore"):
        F = 1 / (1 + np.exp(-(edges - np.asarray(mean)[:, None]) / np.asarray(scale)[:, None]))
    return np.diff(F, axis=1)


@wrong("logistic_mass", "not open")
def closed(mean, scale, levels):
    edges = torch.arange(levels + 1).to(mean) - 0.5
    return torch.sigmoid((edges - mean[:, None]) / scale[:, None]).diff(dim=1)


@wrong("logistic_mass", "halfway between")
def at_the_levels(mean, scale, levels):
    return mass(mean, scale, levels, shift=1.0)


@wrong("logistic_mass", "a level too low")
def below(mean, scale, levels):
    return mass(mean, scale, levels, shift=0.0)


@wrong("logistic_mass", "multiplied here")
def times_scale(mean, scale, levels):
    return mass(mean, 1 / scale, levels)


@wrong("logistic_mass", "the scale is missing")
def no_scale(mean, scale, levels):
    return mass(mean, torch.ones_like(scale), levels)


@wrong("logistic_mass", "density at the level")
def densities(mean, scale, levels):
    a = (torch.arange(levels).to(mean) - mean[:, None]) / scale[:, None]
    return torch.sigmoid(a) * torch.sigmoid(-a) / scale[:, None]


@wrong("logistic_mass", "logarithms")
def logs(mean, scale, levels):
    return mass(mean, scale, levels).log()


@wrong("logistic_mass", "a Gaussian")
def gaussian(mean, scale, levels):
    return mass(mean, scale, levels, F=torch.special.ndtr)


@right("erased_bound")
def by_where(told, erased):
    return told.shape[1] / erased.sum(1) * torch.where(erased, told, 0).sum(1)


@right("erased_bound")
def by_mean(told, erased):
    return torch.stack([told.shape[1] * row[gone].mean() for row, gone in zip(told, erased)])


@right("erased_bound")
def by_product(told, erased):
    told, gone = np.asarray(told), np.asarray(erased).astype(float)
    return (told * gone).sum(1) * told.shape[1] / gone.sum(1)


@wrong("erased_bound", "weight d / m is missing")
def unweighted(told, erased):
    return torch.where(erased, told, 0).sum(1)


@wrong("erased_bound", "over what is known")
def of_the_known(told, erased):
    return told.shape[1] / erased.sum(1) * torch.where(erased, 0, told).sum(1)


@wrong("erased_bound", "nothing was left out")
def of_all(told, erased):
    return told.shape[1] / erased.sum(1) * told.sum(1)


@wrong("erased_bound", "mean over what is erased")
def a_mean(told, erased):
    return torch.where(erased, told, 0).sum(1) / erased.sum(1)


@wrong("erased_bound", "turned round")
def turned(told, erased):
    return erased.sum(1) / told.shape[1] * torch.where(erased, told, 0).sum(1)


@wrong("erased_bound", "from example to example")
def one_count(told, erased):
    return told.shape[1] / erased.sum(1).double().mean() * torch.where(erased, told, 0).sum(1)


@wrong("erased_bound", "not what is left")
def count_of_the_known(told, erased):
    return told.shape[1] / (~erased).sum(1) * torch.where(erased, told, 0).sum(1)


@wrong("erased_bound", "minus the bound")
def a_loss(told, erased):
    return -told.shape[1] / erased.sum(1) * torch.where(erased, told, 0).sum(1)


def entropy(p):
    return torch.special.entr(p).sum()


@right("together")
def by_entropies(joint):
    return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint)


@right("together")
def by_cells(joint):
    joint = np.asarray(joint)
    apart = np.outer(joint.sum(1), joint.sum(0))
    return (joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum()


@right("together")
def by_xlogy(joint):
    return torch.xlogy(joint, joint).sum() - sum(torch.xlogy(p, p).sum() for p in (joint.sum(0), joint.sum(1)))


@wrong("together", "minus the loss")
def negative(joint):
    return entropy(joint) - entropy(joint.sum(1)) - entropy(joint.sum(0))


@wrong("together", "bits")
def bits(joint):
    return by_entropies(joint) / math.log(2)


@wrong("together", "the other way round")
def reversed_kl(joint):
    apart = joint.sum(1)[:, None] * joint.sum(0)
    return (apart * (apart / joint).log()).sum()


@wrong("together", "this is the entropy")
def of_the_pair(joint):
    return entropy(joint)


@wrong("together", "is missing")
def no_pair(joint):
    return entropy(joint.sum(1)) + entropy(joint.sum(0))


@wrong("together", "H(a, b) - H(a)")
def given_a(joint):
    return entropy(joint) - entropy(joint.sum(1))


@wrong("together", "H(a, b) - H(b)")
def given_b(joint):
    return entropy(joint) - entropy(joint.sum(0))


@wrong("together", "mean over the cells")
def mean_of_cells(joint):
    return by_entropies(joint) / joint.numel()


@wrong("together", "0 log 0")
def zero_log_zero(joint):
    apart = joint.sum(1)[:, None] * joint.sum(0)
    return (joint * (joint / apart).log()).sum()
