"""What explorers say and color, computed anew by other means: words, numbers, shades, places, legends."""

import numpy as np
import pytest
import stand_ins
import torch
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal
from sklearn.decomposition import PCA
from stand_ins import cell, close, numbers

from gdm_core import colors, data, explorers
from gdm_core.data import four_factors, scenes
from gdm_core.explorers import ch01_mixtures as mixture
from gdm_core.explorers import ch04_latent_pad as pad
from gdm_core.explorers import class_names, room_vaes

stand_in = stand_ins.stand_in
COMPONENTS = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colors.COMPONENTS]) / 255
CYCLE = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colors.CYCLE]) / 255


def array(thing) -> np.ndarray:
    return np.asarray(thing.detach() if hasattr(thing, "detach") else thing)


# EM by hand


@pytest.fixture(scope="module")
def em():
    return explorers.mixtures(points=80)


def em_by_numpy(x: np.ndarray, stage, steps: int) -> list:
    """(weights, means, covs, responsibilities) after 0, 1, ... M steps, in the words of Bishop (2006, section 9.2)."""
    means, covs = stage.values()["start"]
    weights, states = np.full(3, 1 / 3), []
    for _ in range(steps + 1):
        joint = np.stack([np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(weights, means, covs)], 1)
        q = np.exp(joint - logsumexp(joint, 1, keepdims=True))
        states.append((weights, means, covs, q, logsumexp(joint, 1).mean()))
        n = q.sum(0)
        weights, means = n / len(x), q.T @ x / n[:, None]
        covs = [(q[:, k, None] * (x - m)).T @ (x - m) / n[k] for k, m in enumerate(means)]
    return states


def bound_by_numpy(x, q, weights, means, covs) -> float:
    joint = np.stack([np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(weights, means, covs)], 1)
    return (q * (joint - np.log(np.maximum(q, 1e-300)))).sum(1).mean()


@pytest.mark.parametrize("half", [0, 1, 2, 9, 60, 61])
def test_em_says_and_shows_where_it_is(em, half):
    frame = em.frame({"step": half})
    dots, *ellipses = frame.views["data"].overlay[:4]
    x = array(dots.xy)
    states = em_by_numpy(x, em, 31)
    m, e = half // 2, (half + 1) // 2
    weights, means, covs, _, likelihood = states[m]
    q = states[e - 1][3] if e else np.full((len(x), 3), 1 / 3)
    np.testing.assert_allclose(array(dots.color), q @ COMPONENTS[:3], atol=1e-6)
    for k, ring in enumerate(ellipses):
        np.testing.assert_allclose(array(ring.means)[0], means[k], atol=1e-6)
        np.testing.assert_allclose(array(ring.covs)[0], covs[k], atol=1e-6)
        np.testing.assert_allclose(ring.color, COMPONENTS[k, None])  # as the dots
        assert ring.radii == (2.0,)
    bound = bound_by_numpy(x, q, weights, means, covs)
    truth = mixture.world()
    known = [array(p) for p in (truth.weights, truth.means, truth.covariances)]
    ceiling = bound_by_numpy(x, known_q(x, *known), *known)
    assert numbers(frame.text, "log-likelihood")[:2] == [
        pytest.approx(likelihood, abs=6e-4), pytest.approx(abs(ceiling - likelihood), abs=6e-4)
    ]  # fmt: skip
    assert (" below the truth · " in frame.text, " above the truth · " in frame.text) == (
        likelihood < ceiling, likelihood >= ceiling
    )  # fmt: skip
    assert numbers(frame.text, "bound")[0] == pytest.approx(bound, abs=6e-4)
    assert numbers(frame.text, "posterior)")[0] == pytest.approx(likelihood - bound, abs=6e-5)
    assert numbers(frame.text, "truth ")[-1] == pytest.approx(ceiling, abs=6e-4)
    road = frame.views["road"].overlay
    assert [m.color for m in road[:6]] == ["exact", "model", "latent", "accent", "model", "latent"]
    assert [m.label for m in road[:3]] == ["truth", "log-likelihood", "bound"]
    assert road[0].xy[0][1] == pytest.approx(ceiling, abs=1e-6)
    floor = frame.views["road"].extent[2]  # a far start is cut off, and said
    for dot, value in ((road[4], likelihood), (road[5], bound)):
        np.testing.assert_allclose(dot.xy, [[half, max(value, floor)]], atol=1e-6)
    assert em.frame({"responsibilities": False}).views["data"].overlay[0].color == "data"
    keys = [mark for mark in frame.views["data"].overlay if mark.label]
    assert [(mark.label, getattr(mark, "dash", False)) for mark in keys] == [("start", True), ("now", False)]


def test_where_em_beats_the_truth_on_its_own_examples_that_is_said(em):
    """A fit is likelier on what it has learned from than the density these come from."""
    start = em.controls["k-means++"].press({**em.values(), "k-means++": 1})
    assert " above the truth · " in em.frame({**start, "step": 61}).text


def known_q(x, weights, means, covs):
    joint = np.stack([np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(weights, means, covs)], 1)
    return np.exp(joint - logsumexp(joint, 1, keepdims=True))


@pytest.mark.parametrize("half", [0, 1, 2, 4, 9, 60, 61])
def test_the_slice_lies_between_the_states_and_its_dots_are_where_the_text_says(em, half):
    """At its two ends stand two states of EM, and the dots say the numbers of the read-out."""
    frame = em.frame({"step": half})
    x, view = array(frame.views["data"].overlay[0].xy), frame.views["slice"]
    states, (m, e) = em_by_numpy(x, em, 31), (half // 2, (half + 1) // 2)
    start = min(m if e > m or half == 0 else m - 1, 29)  # the way to come after an E step, else the way just gone
    likelihood, bound, gap, high, low = view.overlay
    t = array(likelihood.xy)[:, 0]
    mixed = lambda v: [
        (1 - v) * np.asarray(a) + v * np.asarray(b) for a, b in zip(states[start][:3], states[start + 1][:3])
    ]
    q = states[e - 1][3] if e else np.full((len(x), 3), 1 / 3)
    for v in (0.0, 0.5, 1.0):
        i = np.abs(t - v).argmin()
        assert t[i] == pytest.approx(v, abs=1e-9)
        expected = bound_by_numpy(x, known_q(x, *mixed(v)), *mixed(v)), bound_by_numpy(x, q, *mixed(v))
        np.testing.assert_allclose([likelihood.xy[i, 1], bound.xy[i, 1]], expected, atol=1e-6)
    place = float(m > start)
    assert high.xy[0][0] == low.xy[0][0] == gap.xy[0][0] == pytest.approx(place, abs=1e-9)
    assert high.xy[0][1] == gap.xy[1][1] == pytest.approx(numbers(frame.text, "log-likelihood")[0], abs=6e-4)
    assert low.xy[0][1] == gap.xy[0][1] == pytest.approx(numbers(frame.text, "bound")[0], abs=6e-4)
    assert [mark.color for mark in view.overlay] == ["model", "latent", "accent", "model", "latent"]
    assert gap.label == "gap = KL(q ‖ posterior)" and view.axes[0] == "0: before the M step, 1: after it"
    assert view.label == ("close-up of the M step, q held fixed" if e else "before the first E step")


@pytest.mark.parametrize("half", [0, 2, 4, 20, 60])
def test_the_gap_before_an_e_step_is_seen(em, half):
    """A sixth of the chart or more, however small in nats; after the E step there is none."""
    apart = lambda view: np.ptp(view.overlay[2].xy, axis=0)[1] / (view.extent[3] - view.extent[2])
    assert apart(em.frame({"step": half}).views["slice"]) > 0.1
    assert apart(em.frame({"step": half + 1}).views["slice"]) < 1e-6


def test_a_run_that_ended_early_stands_at_its_last_state():
    stage = explorers.mixtures(points=12)
    point = stage.frame().views["data"].overlay[0].xy[0]
    start = [[*point, 0.08, 0.08, 0.0], [0.0, 3.0, 0.08, 0.08, 0.0], [0.5, -0.5, 3.0, 3.0, 0.0]]
    frame = stage.frame({"start": start, "step": 60})
    assert frame.views["data"].warning.startswith("EM ends here: component ")
    for mark, name in zip(frame.views["slice"].overlay[3:5], ("log-likelihood", "bound")):
        assert mark.xy[0][1] == pytest.approx(numbers(frame.text, name)[0], abs=6e-4)


def test_the_starts_are_what_their_buttons_say(em):
    press = lambda name, **state: em.controls[name].press({**em.values(), name: 1, **state})["start"]
    means, covs = press("copies")
    assert (means == means[0]).all() and (covs == 0.5 * np.eye(2)).all()
    bad, _ = press("bad")
    np.testing.assert_allclose(bad, em.values()["start"].means)
    x = array(em.frame().views["data"].overlay[0].xy)
    first, second = press("k-means++")[0], press("k-means++", **{"k-means++": 2})[0]
    assert not np.allclose(first, second)
    owner = ((x[:, None] - first) ** 2).sum(-1).argmin(1)  # means of the points nearest to each seed
    spread = lambda m: ((x[:, None] - m) ** 2).sum(-1).min(1).mean()
    assert len(set(owner)) == 3 and spread(first) < spread(np.array(mixture.COPIES))


# Six numbers, one picture


def test_both_sizes_show_the_same_room_and_say_their_size():
    frame = explorers.scenes(size=96).frame({"floor": 36.0, "shape": "capsule", "scale": 0.8})
    table = torch.tensor([[0.1, 40 / 360, 0.0, 0.8, scenes.SHAPES.index("capsule"), 10.0]])
    for name, side in (("scene", 96), ("picture", 64)):
        np.testing.assert_allclose(
            array(frame.views[name].image), scenes.render(table, side)[0].permute(1, 2, 0), atol=1e-6
        )
        assert f"{side} × {side}" in frame.views[name].label


# A linear latent space


@pytest.fixture(scope="module")
def plane_of_digits():
    return explorers.ppca()


@pytest.mark.parametrize("digit, latents, turn, noise", [(3, 5, 0.0, 1.0), (9, 12, 50.0, 4.0)])
def test_the_plane_of_digits_against_scikit_learn(plane_of_digits, digit, latents, turn, noise):
    stage = plane_of_digits
    state = {"digit": digit, "latents": latents, "turn": turn, "noise": noise, "z": (0.5, -1.0)}
    frame, view = stage.frame(state), stage.frame(state).views["latents"]
    generator, d = torch.Generator().manual_seed(0), data.load("digits")
    x = (16 * d.flat().double() + torch.rand(d.flat().shape, generator=generator, dtype=torch.float64)).numpy()
    gallery = torch.randperm(len(x), generator=generator)[:16].sort().values.numpy()
    pca = PCA(latents).fit(x)
    n = len(x)
    values, var = pca.explained_variance_ * (n - 1) / n, pca.noise_variance_ * (n - 1) / n
    W = pca.components_.T * np.sqrt(values - var)
    W *= np.sign(W[np.abs(W).argmax(0), range(latents)])
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    W[:, :2] = W[:, :2] @ np.array([[c, -s], [s, c]])
    M = W.T @ W + noise * var * np.eye(latents)
    codes, covariance = (x - x.mean(0)) @ W @ np.linalg.inv(M), noise * var * np.linalg.inv(M)
    i, labels = gallery[digit], d.labels.numpy()
    ring, others, same, posterior = view.overlay
    np.testing.assert_allclose(others.xy, codes[labels != labels[i], :2], atol=1e-6)
    np.testing.assert_allclose(same.xy, codes[labels == labels[i], :2], atol=1e-6)
    assert (others.color, same.color, same.label) == ("noise", "data", f"all {labels[i]}s")
    np.testing.assert_allclose(posterior.means, codes[i, None, :2], atol=1e-6)
    np.testing.assert_allclose(posterior.covs, covariance[None, :2, :2], atol=1e-6)
    assert posterior.color == "exact" and posterior.radii == (1, 2) and posterior.label == "posterior, 1 and 2 std"
    np.testing.assert_allclose(np.linalg.norm(ring.xy, axis=1) ** 2, chi2.ppf(0.95, 2), rtol=1e-6)
    np.testing.assert_allclose(ring.xy[0], ring.xy[-1], atol=1e-6)  # it closes
    density = multivariate_normal(x.mean(0), W @ W.T + noise * var * np.eye(64)).logpdf(x[i])
    assert numbers(frame.text, "posterior std")[:2] == pytest.approx(np.sqrt(covariance.diagonal()[:2]), abs=0.006)
    assert numbers(frame.text, "log p(x) =")[0] == pytest.approx(density, abs=0.06)
    assert numbers(frame.text, "noise std")[0] == pytest.approx(np.sqrt(noise * var), abs=0.006)
    assert numbers(frame.text, "log p(z) =")[0] == pytest.approx(-0.625 - np.log(2 * np.pi), abs=0.006)
    assert numbers(frame.text, "radius")[0] == pytest.approx(1.25**0.5, abs=0.006)
    close(cell(frame.views["digits"].image, digit // 4, digit % 4, side=8), 1 - x[i].reshape(8, 8) / 16)
    told = stage.controls["digit"].press(stage.values(state))["z"]
    np.testing.assert_allclose(told, codes[i, :2], atol=1e-6)
    noisy = [
        cell(stage.frame({**state, "draw": True, "new noise": k}).views["pictures"].image, 0, 0, side=8) for k in (0, 1)
    ]
    clean = cell(frame.views["pictures"].image, 0, 0, side=8)
    kept = (noisy[0] > 0) & (noisy[0] < 1) & (clean > 0) & (clean < 1)
    assert (noisy[0] != noisy[1]).any()
    assert (16 * (noisy[0] - clean))[kept].std() == pytest.approx(np.sqrt(noise * var), rel=0.4)


# The latent pad


def test_names_part_no_further_than_they_must():
    crowd = np.array([[0.0, 0.0], [0.0, 0.0], [0.3, 0.1], [3.0, -3.0]])
    found = class_names.apart(crowd, 0.6)
    gaps = np.linalg.norm(found[:, None] - found, axis=2) + 9 * np.eye(4)
    assert gaps.min() > 0.59 and np.abs(found - crowd).max() < 0.9
    np.testing.assert_allclose(found[3], crowd[3], atol=1e-3)  # nobody is near
    free = torch.tensor([[-2.0, 1.0], [0.0, 0.5], [2.0, -1.0]]).repeat(5, 1)
    names = class_names.names(free, torch.tensor([4, 0, 7] * 5), 3.0)
    assert names.text == ["0", "4", "7"]
    np.testing.assert_allclose(names.xy, free[[1, 0, 2]], atol=1e-3)
    codes, labels = torch.zeros(30, 2) + torch.tensor([2.9, -2.9]), torch.arange(30) % 10
    told = class_names.names(codes, labels, 3.0)
    assert np.abs(told.xy).max() < 3.0 and told.text == [str(k) for k in range(10)]


@pytest.fixture(scope="module")
def young_pad(stand_in):
    return explorers.latent_pad("digits")


@pytest.fixture(scope="module")
def placed(stand_in):
    """Codes and labels of the pictures that the pad shows."""
    d = pad.pictures("digits")[: pad.CODES]
    model = stand_in(pad.picture_vae, dataset="digits", steps=1500)
    with torch.no_grad():
        codes = model.encoder.net(d.x.flatten(1))[:, :2].numpy()
    return model, d, codes


def test_every_class_of_the_pad_has_its_color_and_its_name_in_its_middle(young_pad, placed):
    _, d, codes = placed
    labels, inside = d.labels.numpy(), (np.abs(codes) < pad.LIMIT).all(1)
    rings, dots, names = young_pad.frame().views["codes"].overlay
    np.testing.assert_allclose(dots.xy, codes[inside], atol=1e-5)
    shades = np.concatenate([CYCLE, [[0xF0, 0xE4, 0x42], [0x8C, 0x51, 0x0A]]]).astype(float)
    shades[8:] /= 255
    np.testing.assert_allclose(array(dots.color), shades[labels[inside]], atol=1e-6)
    assert names.text == [str(k) for k in range(10)]
    middles = [np.sort(codes[labels == k], 0) for k in range(10)]  # torch takes the lower of two middles
    middles = np.clip([own[(len(own) - 1) // 2] for own in middles], -pad.LIMIT, pad.LIMIT)
    away = np.linalg.norm(middles[:, None] - middles, axis=2) + 9 * np.eye(10)
    free = away.min(1) > 0.61
    np.testing.assert_allclose(array(names.xy)[free], middles[free], atol=2e-3 if free.all() else 0.6)
    assert np.linalg.norm(array(names.xy) - middles, axis=1).max() < 2.0
    assert (
        rings.color == "noise"
        and young_pad.frame({"ground": pad.GROUNDS[1]}).views["codes"].overlay[0].color == "accent"
    )


@pytest.mark.parametrize("z", [(0.3, -0.4), (-1.5, 2.0)])
def test_the_pad_says_whose_code_is_nearest(young_pad, placed, z):
    _, d, codes = placed
    away = np.linalg.norm(codes - z, axis=1)
    nearest = int(away.argmin())
    frame = young_pad.frame({"z": z, "beside": pad.NEAREST})
    assert frame.text.startswith(f"nearest code: a {d.labels[nearest]}, {away[nearest]:.2f} away · ")
    np.testing.assert_allclose(frame.views["nearest"].image, 1 - d.x[nearest, 0], atol=1e-6)
    assert numbers(frame.text, "radius")[0] == pytest.approx(np.hypot(*z), abs=0.006)
    assert frame.views["nearest"].label == "data, nearest code" and frame.views["picture"].label == "mean of p(x | z)"
    drawn = young_pad.frame({"z": z, "beside": pad.DRAW}).views
    np.testing.assert_array_equal(drawn["picture"].image, frame.views["picture"].image)  # the mean stays beside it
    assert drawn["draw"].label == "a draw: mean + noise, std 0.20"


def test_the_grounds_of_the_pad_are_what_their_names_say(young_pad, placed):
    model, _, codes = placed
    decoded = young_pad.frame({"ground": pad.GROUNDS[1]}).views["codes"]
    step = 2 * pad.LIMIT / pad.BOARD
    for row, column in ((0, 0), (3, 11)):
        z = torch.tensor([-pad.LIMIT + (column + 0.5) * step, pad.LIMIT - (row + 0.5) * step])
        expected = 1 - torch.sigmoid(model.decoder[0](z)).detach().reshape(8, 8)
        np.testing.assert_allclose(
            array(decoded.image)[9 * row : 9 * row + 8, 9 * column : 9 * column + 8], expected, atol=1e-5
        )
    field = young_pad.frame({"ground": pad.GROUNDS[2]}).views["codes"].encode("codes")
    assert (field["scale"]["low"], field["scale"]["high"]) == ("−4", "4")
    first, last = field["palette"][0].astype(int), field["palette"][-1].astype(int)
    assert first[0] > first[2] and last[2] > last[0]  # brown where codes are missing, purple where they crowd
    assert not [m for m in young_pad.frame({"ground": pad.GROUNDS[2]}).views["codes"].overlay if hasattr(m, "text")]


# Six latents, four factors


@pytest.fixture(scope="module")
def young_rooms(stand_in):
    return explorers.traversal()


def test_the_table_of_effects_says_its_rows_columns_and_colors(young_rooms, monkeypatch):
    from gdm_core.explorers import ch05_traversal as traversal

    monkeypatch.setattr(traversal, "apart", lambda x, u: torch.zeros(1))  # as if every picture were a room
    view = young_rooms.frame({"beta": "β = 6"}).views["effects"]
    cells, rows, columns = view.overlay
    assert list(rows.text) == [f"z{j + 1}" for j in range(6)] and list(columns.text) == [
        "floor",
        "wall",
        "scale",
        "turn",
    ]
    assert four_factors.FACTORS[:3] == tuple(columns.text[:3]) and cells.color == "data"
    np.testing.assert_allclose([y for _, y in rows.xy], np.arange(6) + 0.5)
    np.testing.assert_allclose([x for x, _ in columns.xy], [cells.xy[k][0] for k in range(4)])
    told = view.encode("effects")
    red, _, blue = told["palette"][told["image"]].astype(int).transpose(2, 0, 1)
    seen = 0
    for (x, y), text in zip(cells.xy, cells.text):
        value = float(text.replace("−", "-"))
        i, j = (int(v / extent * side) for v, extent, side in zip((y, x), (view.extent[2], view.extent[1]), blue.shape))
        if abs(value) > 0.3:  # a rise in purple, a fall in brown
            assert (blue[i, j] > red[i, j]) == (value > 0)
            seen += 1
    assert seen > 3 and view.label == "at z: one unit of a latent moves a factor by … std"


@torch.no_grad()
def test_the_error_of_the_measurement_is_that_of_the_worst_factor(young_rooms, stand_in):
    fresh, factors = four_factors.sample(400, seed=1)
    found = stand_in(room_vaes.room_meter, steps=900)(fresh).numpy()
    true = torch.stack(list(factors.values()), 1).numpy()
    worst = max(np.sqrt(((found - true) ** 2).mean(0))) * np.sqrt(12)
    assert numbers(young_rooms.frame().text, "measurement on new rooms:")[0] == pytest.approx(worst, abs=0.006)
