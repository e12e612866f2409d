"""Lab 15: the project's tools."""

import numpy as np
import torch

from answers import right, wrong


@right("copied")
def by_topk(y, x):
    near = torch.cdist(y, x).topk(2, largest=False).values
    return (near[:, 0] < near[:, 1] / 3).double().mean()


@right("copied")
def by_loop(y, x):
    count = 0
    for a in y:
        far = sorted(float(((a - b) ** 2).sum()) for b in x)
        count += far[0] < far[1] / 9
    return count / len(y)


@right("copied")
def by_numpy(y, x):
    far = np.sort(np.linalg.norm(np.asarray(y)[:, None] - np.asarray(x), axis=-1), axis=1)
    return np.mean(3 * far[:, 0] < far[:, 1])


def _near(y, x):
    return torch.cdist(y, x).topk(2, largest=False).values


@wrong("copied", "a ninth of its square")
def of_squares(y, x):
    near = _near(y, x) ** 2
    return (near[:, 0] < near[:, 1] / 3).double().mean()


@wrong("copied", "that are no copies")
def originals(y, x):
    near = _near(y, x)
    return (near[:, 0] >= near[:, 1] / 3).double().mean()


@wrong("copied", "always nearer than the next")
def no_third(y, x):
    near = _near(y, x)
    return (near[:, 0] < near[:, 1]).double().mean()


@wrong("copied", "x and y changed places")
def pictures_near_samples(y, x):
    return by_topk(x, y)


@wrong("copied", "two farthest")
def far_first(y, x):
    far = torch.cdist(y, x).topk(2).values
    return (far[:, 0] < far[:, 1] / 3).double().mean()


@wrong("copied", "then divide by the number of samples")
def counted(y, x):
    near = _near(y, x)
    return (near[:, 0] < near[:, 1] / 3).double().sum()


@wrong("copied", "not of training pictures")
def over_the_training_set(y, x):
    near = _near(y, x)
    return (near[:, 0] < near[:, 1] / 3).double().sum() / len(x)


@wrong("copied", "depends on the units")
def fixed(y, x):
    return (_near(y, x)[:, 0] < 1 / 3).double().mean()


@right("coverage")
def by_kthvalue(x, y, k):
    reach = torch.cdist(x, x).kthvalue(k + 1, dim=1).values
    return (torch.cdist(x, y).amin(1) <= reach).double().mean()


@right("coverage")
def coverage_by_loop(x, y, k):
    count = 0
    for i, a in enumerate(x):
        others = sorted(float((a - b).norm()) for j, b in enumerate(x) if j != i)
        count += min(float((a - b).norm()) for b in y) <= others[k - 1]
    return count / len(x)


@right("coverage")
def coverage_by_numpy(x, y, k):
    x, y = np.asarray(x), np.asarray(y)
    apart = lambda a, b: np.linalg.norm(a[:, None] - b, axis=-1)
    return np.mean((apart(x, y) <= np.partition(apart(x, x), k, axis=1)[:, [k]]).any(1))


@wrong("coverage", "its own nearest neighbor")
def oneself(x, y, k):
    reach = torch.cdist(x, x).kthvalue(k, dim=1).values
    return (torch.cdist(x, y).amin(1) <= reach).double().mean()


@wrong("coverage", "this is precision")
def precision(x, y, k):
    reach = torch.cdist(x, x).kthvalue(k + 1, dim=1).values
    return (torch.cdist(y, x) <= reach).any(1).double().mean()


@wrong("coverage", "this is recall")
def recall(x, y, k):
    reach = torch.cdist(y, y).kthvalue(k + 1, dim=1).values
    return (torch.cdist(x, y) <= reach).any(1).double().mean()


@wrong("coverage", "x and y changed places")
def samples_covered(x, y, k):
    return by_kthvalue(y, x, k)


@wrong("coverage", "every real picture is in reach")
def reach_of_samples(x, y, k):
    apart = torch.cdist(x, y)
    return (apart.amin(1) <= apart.kthvalue(k, dim=1).values).double().mean()


@wrong("coverage", "k counts the other")
def one_more(x, y, k):
    reach = torch.cdist(x, x).kthvalue(k + 2, dim=1).values
    return (torch.cdist(x, y).amin(1) <= reach).double().mean()


@wrong("coverage", "not the mean one")
def on_average(x, y, k):
    reach = torch.cdist(x, x).kthvalue(k + 1, dim=1).values
    return (torch.cdist(x, y).mean(1) <= reach).double().mean()


@wrong("coverage", "that is missing")
def missing(x, y, k):
    return 1 - by_kthvalue(x, y, k)


@wrong("coverage", "by the number of real pictures")
def covered_count(x, y, k):
    return by_kthvalue(x, y, k) * len(x)


@wrong("coverage", "a reach of its own")
def one_reach(x, y, k):
    reach = torch.cdist(x, x).kthvalue(k + 1, dim=1).values.mean()
    return (torch.cdist(x, y).amin(1) <= reach).double().mean()


@right("gray")
def by_rounding(v):
    return ((v.clamp(0, 1) * 16).round() / 16).reshape(-1, 1, 8, 8)


@right("gray")
def by_search(v):
    levels = torch.linspace(0, 1, 17, dtype=v.dtype)
    return levels[(v[..., None] - levels).abs().argmin(-1)].reshape(len(v), 1, 8, 8)


@right("gray")
def gray_by_numpy(v):
    return np.clip(np.rint(16 * np.asarray(v)), 0, 16).reshape(-1, 1, 8, 8) / 16


@wrong("gray", "this rounds down")
def down(v):
    return ((v.clamp(0, 1) * 16).floor() / 16).reshape(-1, 1, 8, 8)


@wrong("gray", "below 0 and above 1")
def beyond(v):
    return ((v * 16).round() / 16).reshape(-1, 1, 8, 8)


@wrong("gray", "16 steps between")
def seventeen(v):
    return ((v.clamp(0, 1) * 17).round() / 17).reshape(-1, 1, 8, 8)


@wrong("gray", "divide by 16 again")
def whole_numbers(v):
    return (v.clamp(0, 1) * 16).round().reshape(-1, 1, 8, 8)


@wrong("gray", "no gray levels yet")
def any_number(v):
    return v.clamp(0, 1).reshape(-1, 1, 8, 8)


@wrong("gray", "these are 256 levels")
def bytes_of_gray(v):
    return ((v.clamp(0, 1) * 255).round() / 255).reshape(-1, 1, 8, 8)


@wrong("gray", "on their side")
def turned(v):
    return ((v.clamp(0, 1) * 16).round() / 16).reshape(-1, 1, 8, 8).mT


@wrong("gray", "0 or 1 alone")
def black_and_white(v):
    return v.clamp(0, 1).round().reshape(-1, 1, 8, 8)
