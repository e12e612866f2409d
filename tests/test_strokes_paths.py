"""The pen paths of the strokes: holes, corners, spacing, how many; and the random numbers of a picture."""

import numpy as np
import torch
from scipy import ndimage, stats

from gdm_core.data import strokes
from gdm_core.data.strokes import chance, style
from gdm_core.data.strokes.paths import DENSE, PATHS, pens

PLAIN = {"slant": 0.0, "rotation": 0.0, "curl": 0.0, "jitter": 0.0, "thickness": 2.0}
EVERY = [(label, v) for label in range(10) for v in range(len(strokes.VARIANTS[label]))]
LABELS, PENS = (torch.tensor(column) for column in zip(*EVERY))


def test_paths_have_the_holes_of_their_names():
    """Closed white regions of each variant, counted by a flood fill; a second stroke is seen by its extra ink."""
    pictures = strokes.draw(LABELS, variant=PENS, **PLAIN | {"thickness": 1.0, "width": 1.2})[:, 0].numpy()
    holes = {}
    for (label, v), picture in zip(EVERY, pictures):
        white, count = ndimage.label(np.pad(picture, 1) < 0.3)
        sizes = ndimage.sum_labels(np.ones_like(white), white, range(1, count + 1))
        holes[label, strokes.VARIANTS[label][v]] = int((sizes >= 2).sum()) - 1
    for key in [(0, "round"), (2, "looped"), (2, "big loop"), (4, "closed"), (6, "round"), (9, "straight tail")]:
        assert holes[key] == 1, (key, holes[key])
    for key in [(1, "plain"), (2, "plain"), (3, "round"), (4, "open"), (5, "snake"), (7, "plain"), (7, "barred")]:
        assert holes[key] == 0, (key, holes[key])
    assert holes[8, "two loops"] == holes[8, "one stroke"] == 2
    ink = {(label, strokes.VARIANTS[label][v]): p.sum() for (label, v), p in zip(EVERY, pictures)}
    assert ink[7, "barred"] > 1.15 * ink[7, "plain"] and ink[1, "foot"] > ink[1, "flag"] > ink[1, "plain"]


def test_spline_meets_its_points_and_is_evenly_spaced():
    pen = pens()
    for v, text in enumerate(text for label in range(10) for text in PATHS[label].values()):
        way = pen.spline[v] @ pen.points[v]
        at = 0
        for part in text.split("|"):
            words = [[float(c) / 100 for c in word.rstrip("*").split(",")] for word in part.split()]
            n = next((k + 1 for k in range(at, DENSE - 1) if not pen.down[v, k]), DENSE) - at
            stroke = way[at : at + n]
            torch.testing.assert_close(stroke[[0, -1]], torch.tensor([words[0], words[-1]]))
            nearest = torch.cdist(torch.tensor(words), stroke).amin(1)
            step = stroke.diff(dim=0).norm(dim=1)
            assert nearest.max() < 0.75 * step.max() and step.max() < 0.12
            assert (step > 0.8 * step.median()).float().mean() > 0.8  # shorter only where a corner is cut
            at += n
        assert at == DENSE
    torch.testing.assert_close(pen.spline.sum(2), torch.ones(len(pen.spline), DENSE))  # moves with its points


def test_corners_stay_corners():
    """The pen turns by 100 degrees within two pieces, and goes on straight."""
    pen = pens()
    for label, name in [(7, "plain"), (2, "angular"), (7, "flag")]:
        v = int(pen.first[label]) + strokes.VARIANTS[label].index(name)
        step = (pen.spline[v] @ pen.points[v]).diff(dim=0)[pen.down[v]]
        angle = np.unwrap(torch.atan2(step[:, 1], step[:, 0]).numpy())
        turn = np.abs(angle[2:] - angle[:-2])
        assert np.degrees(turn.max()) > 100 and np.degrees(np.median(turn)) < 10


def test_every_variant_is_drawn_and_differs():
    data = strokes.load()
    for label, names in enumerate(strokes.VARIANTS):
        mine = data[data.labels == label]
        assert len(names) >= 3
        assert stats.binomtest(len(mine), len(data), 0.1).pvalue > 1e-4
        assert stats.chisquare(mine.factors["variant"].bincount(minlength=len(names))).pvalue > 1e-4
        pictures = strokes.draw([label] * len(names), variant=range(len(names)), **PLAIN).flatten(1)
        different = torch.pdist(pictures, p=1) / pictures.sum(1).mean()
        assert different.min() > 0.2


def test_curl_keeps_the_middles_and_the_lengths_of_strokes():
    pen, n = pens(), len(EVERY)
    path, zero = pen.first[LABELS] + PENS, torch.zeros(n)
    straight, curled = (
        style.pen_way(pen, path, torch.zeros(n, dtype=torch.long), zero, zero + 1, zero + c, zero, zero)
        for c in (0.0, 0.5)
    )
    length = [(way.diff(dim=1).norm(dim=2) * pen.down[path]).sum(1) for way in (straight, curled)]
    torch.testing.assert_close(*length)
    for v in range(n):
        lifts = [-1, *np.flatnonzero(~pen.down[path[v]].numpy()), DENSE - 1]
        for low, high in zip(lifts[:-1], lifts[1:]):
            k = low + 1 + (high - low) // 2
            torch.testing.assert_close(curled[v, k], straight[v, k], atol=1e-5, rtol=0)
    assert (straight - curled).abs().amax((1, 2)).min() > 0.01


def test_hash_loses_no_word_and_flips_half_the_bits():
    words = torch.randint(1 << 32, (1 << 20,), generator=torch.Generator().manual_seed(2)).unique()
    assert len(chance.mix(words).unique()) == len(words)
    words = words[: 1 << 16]
    for bit in range(32):
        flipped = chance.mix(words) ^ chance.mix(words ^ (1 << bit))
        share = torch.stack([(flipped >> k) & 1 for k in range(32)]).double().mean(1)
        assert (flipped != 0).all() and (share - 0.5).abs().max() < 0.05
    draws = chance.uniform(chance.keys(4000, 7), 0, 8)
    r = np.corrcoef(torch.cat([draws[:-1], draws[1:]], 1).double().numpy().T)  # of one key, and of neighboring keys
    assert np.abs(r - np.eye(16)).max() < 5 / np.sqrt(4000)
