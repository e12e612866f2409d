"""Class by style, and sums of codes: what is drawn is what the model and the pen say."""

import re
from dataclasses import replace

import numpy as np
import pytest
import stand_ins
import torch
from scipy.stats import multivariate_normal
from sklearn.neighbors import NearestNeighbors
from stand_ins import cell, close, decoded, encoded, numbers

from gdm_core import colors, explorers, kept
from gdm_core.data import strokes, three_styles
from gdm_core.explorers import ch05_arithmetic as sums
from gdm_core.explorers import ch05_style_board as styles
from gdm_core.explorers import style_vaes
from gdm_core.explorers.crowd import Crowd

stand_in = stand_ins.stand_in


@pytest.fixture(scope="module")
def board(stand_in):
    return styles.style_board()


@pytest.fixture(scope="module")
def sum_of(stand_in):
    return sums.arithmetic()


# Pictures and crowds


def test_the_pen_draws_the_pictures_again_and_new_ones_are_new():
    d, fresh = style_vaes.pictures("strokes"), style_vaes.pictures("strokes", fresh=True)
    style = torch.stack([d.factors[name] for name in ("slant", "thickness", "width")], 1)
    torch.testing.assert_close(three_styles.draw(d.labels[:40], style[:40]), d.x[:40], rtol=0, atol=0.003)  # 256 levels
    again = strokes.draw(3, slant=0.2, thickness=2.0, width=1.3, jitter=0.0)
    torch.testing.assert_close(three_styles.draw(torch.tensor([3]), torch.tensor([[0.2, 2.0, 1.3]])), again)
    assert not torch.isin(fresh.factors["slant"], d.factors["slant"]).any()


def random_crowd(n=200, model=None) -> Crowd:
    d = style_vaes.pictures("digits")[:n]
    mean = torch.randn(n, 3, generator=torch.Generator().manual_seed(1))
    return Crowd(model, d, mean)


def test_nearest_and_usual_are_those_of_scikit_learn():
    crowd, z = random_crowd(), torch.tensor([0.7, -0.2, 1.1])
    tree = NearestNeighbors(n_neighbors=2).fit(crowd.mean.numpy())
    (away, _), (i, _) = (v[0] for v in tree.kneighbors(z[None].numpy()))
    assert crowd.nearest(z) == (i, pytest.approx(away, rel=1e-5))
    second = tree.kneighbors(crowd.mean.numpy())[0][:, 1]
    np.testing.assert_allclose(crowd.usual, np.quantile(second, [0.5, 0.99]), rtol=1e-2)
    threes = crowd.only(3)
    assert (threes.pictures.labels == 3).all() and len(threes.mean) == (crowd.pictures.labels == 3).sum()
    torch.testing.assert_close(threes.mean, crowd.mean[crowd.pictures.labels == 3])


def test_a_code_far_from_all_others_is_off_the_crowd():
    crowd = random_crowd()
    assert crowd.lost(crowd.mean[crowd.mean.norm(dim=1).argsort()[100]]) == ""
    assert crowd.lost(torch.tensor([0.0, 0.0, 9.0])).startswith("off the crowd")
    half, most = crowd.usual
    places = torch.randn(300, 3, generator=torch.Generator().manual_seed(4))
    between = [z for z in places if half < (crowd.mean - z).norm(dim=1).min() < most and 0.3 < z.norm() < 3]
    assert len(between) > 20 and not any(crowd.lost(z) for z in between)
    edge = crowd.mean[crowd.mean.norm(dim=1).argmax()]
    out = edge / edge.norm()
    assert crowd.lost(edge + 1.1 * most * out).startswith("off the crowd")
    close_by = Crowd(None, crowd.pictures[:3], torch.tensor([[0.0, 0.0, 6.0], [0.0, 0.0, 6.5], [0.0, 0.1, 6.0]]))
    assert close_by.lost(torch.tensor([0.0, 0.0, 6.1])).startswith("far out")  # near a code, outside of the prior


def test_a_picture_in_words():
    d = style_vaes.pictures("strokes", fresh=True)
    assert Crowd(None, d, None).named(int((d.labels == 4).nonzero()[2, 0])) == "a 4"
    assert Crowd(None, replace(d, name="fashion"), None).named(0) == f"class {d.labels[0]}"
    assert random_crowd().named(11) == f"a {style_vaes.pictures('digits').labels[11]}"


def test_codes_are_means_of_q_and_the_label_is_told(stand_in):
    d = style_vaes.pictures("strokes", fresh=True)[:50]
    for recipe, y in ((style_vaes.class_vae, d.labels), (style_vaes.plain_vae, None)):
        model = stand_in(recipe, dataset="strokes")
        torch.testing.assert_close(Crowd.of(model, d).mean, encoded(model, d.x, y), rtol=1e-4, atol=1e-5)
        one = (d.labels + 1) % 10 if y is not None else None
        assert y is None or (encoded(model, d.x, one) - encoded(model, d.x, y)).abs().max() > 0.1


@pytest.mark.parametrize("explorer", [explorers.style_board, explorers.arithmetic])
def test_an_unknown_dataset_is_refused_by_name(explorer):
    with pytest.raises(ValueError, match="dataset.*got 'stroke'; try 'strokes'"):
        explorer("stroke")


# Class by style


@torch.no_grad()
def test_a_column_is_a_class_and_down_it_one_latent_moves(board, stand_in):
    model, z = stand_in(style_vaes.class_vae, dataset="strokes", steps=2000), [0.5, -1.0, 0.25]
    for moved in range(3):
        view = board.frame({"z": z[:2], "z3": z[2], "rows": f"z{moved + 1}"}).views["board"]
        ends = [f"{z[moved] + end:.1f}".replace("-", "−") for end in (-1.6, 1.6)]
        assert view.label.endswith(f"rows: z{moved + 1} from {ends[0]} (top) to {ends[1]}")
        for row, step in enumerate((-1.6, -0.8, 0.0, 0.8, 1.6)):
            place = [v + step * (j == moved) for j, v in enumerate(z)]
            for label in (0, 4, 9):
                close(cell(view.image, row, label), 1 - decoded(model, [place], [label])[0, 0])


def around(mean: np.ndarray, values: np.ndarray, z) -> float:
    """Gaussian weights on codes, one by one; std 0.3."""
    weights = [multivariate_normal(m, 0.3**2 * np.eye(3)).pdf(z) for m in mean]
    return float(np.average(values, weights=weights))


@torch.no_grad()
def test_below_the_board_is_the_pen_in_the_style_of_the_codes_around(board, stand_in):
    model, d = stand_in(style_vaes.class_vae, dataset="strokes", steps=2000), style_vaes.pictures("strokes", fresh=True)
    mean = encoded(model, d.x, d.labels).double().numpy()
    z = np.round(mean[7] + [0.1, -0.1, 0.05], 2).tolist()
    tree = NearestNeighbors(n_neighbors=1).fit(mean)
    (away,), (i,) = (v[0] for v in tree.kneighbors([z]))
    style = {name: around(mean, d.factors[name].numpy(), z) for name in ("slant", "thickness", "width")}
    truth = strokes.draw(torch.arange(10), jitter=0.0, **style)
    frame = board.frame({"z": z[:2], "z3": z[2]})
    view = frame.views["board"]
    for label in (0, 3, 9):
        close(cell(view.image, 0, label, top=5 * 29 + 29 // 5), 1 - truth[label, 0])
    assert [m.label for m in view.overlay] == ["at z", "the pen, in the mean style of the codes around z"]
    assert [m.color for m in view.overlay] == ["accent", "exact"]
    for mark, top in zip(view.overlay, (2 * 29, 5 * 29 + 29 // 5)):  # each frames the row that it names
        assert (mark.xy.min(0), mark.xy.max(0)) == (
            pytest.approx([0, top], abs=2),
            pytest.approx([290, top + 29], abs=2),
        )
    assert f"nearest of 600 new pictures: a {d.labels[i]}, {away:.2f} away" in frame.text
    row = decoded(model, [z] * 10, range(10))
    learned = style_vaes.pictures("strokes")
    average = torch.stack([learned.x[learned.labels == k].mean(0) for k in range(10)])
    assert frame.text.startswith("squared error against the pen, summed over pixels: at z ")
    told = numbers(frame.text, "at z"), numbers(frame.text, "classes")
    assert told[0][0] == pytest.approx((row - truth).square().sum().item() / 10, abs=0.06)
    assert told[1][0] == pytest.approx((average - truth).square().sum().item() / 10, abs=0.06)
    at_z, pen = (np.asarray(mark.xy) for mark in view.overlay)
    assert (at_z.min(0) >= [0, 58]).all() and (at_z.max(0) <= [290, 87]).all()
    assert (pen.min(0) >= [0, 150]).all() and (pen.max(0) <= [290, 179]).all()
    assert np.asarray(view.image).shape == (179, 290)


@torch.no_grad()
def test_the_style_does_not_jump_and_is_not_judged_where_no_code_is(board, stand_in):
    """The pen follows a drag: a small step of z never changes its line as a switch of the nearest code does."""
    model, d = stand_in(style_vaes.class_vae, dataset="strokes", steps=2000), style_vaes.pictures("strokes", fresh=True)
    mean = encoded(model, d.x, d.labels)
    crowd = Crowd(model, d, mean)
    drag = torch.stack([mean[7].lerp(mean[8], t) for t in torch.linspace(0, 1, 400).tolist()])
    style = torch.stack([styles.style_at(crowd, z) for z in drag])
    step = (drag[1] - drag[0]).norm().item()
    spread = torch.stack([d.factors[name] for name in three_styles.STYLES], 1)
    steepest = (spread.amax(0) - spread.amin(0)) * (mean.amax(0) - mean.amin(0)).norm() / (2 * styles.REACH**2)
    assert ((style[1:] - style[:-1]).abs() <= steepest * step).all()  # a softmax has a bounded slope
    seen = set()
    for z in ([*mean[7].tolist()], [3.2, -3.2, 3.2]):
        frame = board.frame({"z": z[:2], "z3": z[2]})
        assert ("error against" in frame.text) != frame.views["board"].warning.startswith("off the crowd")
        seen.add("error against" in frame.text)
    assert seen == {True, False}


@torch.no_grad()
def test_of_a_real_set_the_nearest_of_each_class_is_shown(stand_in):
    stage = styles.style_board("digits")
    model, d = stand_in(style_vaes.class_vae, dataset="digits", steps=2000), style_vaes.pictures("digits", fresh=True)
    mean = encoded(model, d.x, d.labels)
    frame = stage.frame({"z": (0.3, 0.1), "z3": -0.4})
    _, ((i,),) = NearestNeighbors(n_neighbors=1).fit(mean.numpy()).kneighbors([[0.3, 0.1, -0.4]])
    for label in (1, 8):
        tree = NearestNeighbors(n_neighbors=1).fit(mean[d.labels == label].numpy())
        _, ((nearest,),) = tree.kneighbors(mean[i, None].numpy())
        close(cell(frame.views["board"].image, 0, label, side=8, top=46), 1 - d.x[d.labels == label][nearest, 0])
    assert "pen" not in frame.text and "447 new pictures" in frame.text
    assert frame.views["board"].overlay[1].label == "in each class the picture with the nearest code"


@torch.no_grad()
def test_taking_a_code_goes_to_the_chosen_picture(board, stand_in):
    model, d = stand_in(style_vaes.class_vae, dataset="strokes", steps=2000), style_vaes.pictures("strokes", fresh=True)
    for tile in (3, 15):
        i = (d.labels == tile % 10).nonzero()[tile // 10, 0]
        close(cell(board.frame().views["gallery"].image, tile // 10, tile % 10), 1 - d.x[i, 0])
        told = board.controls["given"].press({**board.values(), "given": tile})
        expected = encoded(model, d.x[i, None], d.labels[i, None])[0].clamp(-3.2, 3.2)
        np.testing.assert_allclose(told["z"], expected[:2], atol=0.0051)  # as many digits as a link should carry
        np.testing.assert_allclose(told["z3"], expected[2], atol=0.0251)
        assert all(len(repr(v)) <= 5 for v in [*told["z"], told["z3"]])
        if expected.abs().max() < 3.2:
            assert numbers(board.frame(told).text, "new pictures: a")[1] <= 0.03


def test_the_board_says_when_z_leaves_the_crowd(board):
    warning = lambda z, z3: board.frame({"z": z, "z3": z3}).views["board"].warning
    d = style_vaes.pictures("strokes", fresh=True)
    assert warning((3.2, -3.2), 3.2) != ""
    inside = board.controls["given"].press({**board.values(), "given": 4})
    crowd = Crowd.of(kept.trained(style_vaes.class_vae, dataset="strokes", steps=2000), d)
    z = torch.tensor([*inside["z"], inside["z3"]])
    assert warning(inside["z"], inside["z3"]) == crowd.lost(z)


@pytest.mark.parametrize("z3", [0.0, -0.8])
def test_the_plane_shows_the_codes_near_this_z3(board, stand_in, z3):
    """A slice through the codes: those elsewhere in z3 fade, and the ball of the prior shrinks."""
    model, d = stand_in(style_vaes.class_vae, dataset="strokes", steps=2000), style_vaes.pictures("strokes", fresh=True)
    others, _, own, _, mine, circle = board.frame({"z3": z3, "given": 13}).views["codes"].overlay
    mean, labels = encoded(model, d.x, d.labels).detach().numpy(), d.labels.numpy()
    inside = (np.abs(mean[:, :2]) < 3.2).all(1)
    place = {tuple(m): i for i, m in enumerate(np.round(mean[:, :2], 4))}
    for dots, shade, right in ((others, "#c4c8ce", labels != 3), (own, colors.DATA, labels == 3)):
        found = [place[tuple(m)] for m in np.round(np.asarray(dots.xy), 4)]
        strength = np.exp(-((mean[found, 2] - z3) ** 2))
        missing = np.setdiff1d(np.flatnonzero(inside & right), found)
        assert len(found) > 10 and right[found].all() and (np.exp(-((mean[missing, 2] - z3) ** 2)) < 0.021).all()
        assert (np.diff(strength) >= -1e-6).all()  # the strongest on top
        np.testing.assert_allclose(1 - np.asarray(dots.color), strength[:, None] * (1 - colors.rgb(shade)), atol=1e-4)
    np.testing.assert_allclose(mine.xy, mean[labels == 3][1:2, :2], atol=1e-5)  # of its class the second that is shown
    draws = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0)).numpy()
    ball = np.hypot(np.linalg.norm(circle.xy, axis=1)[0], z3)  # the circle is a cut through it
    assert (np.linalg.norm(draws, axis=1) < ball).mean() == pytest.approx(0.95, abs=0.002)  # 4 standard errors
    assert circle.label == "95 % of the prior, at this z3"


def test_beyond_the_ball_of_the_prior_there_is_no_circle(board):
    assert len(board.frame({"z3": 3.05}).views["codes"].overlay) == 5
    assert len(board.frame({"z3": 0.0}).views["codes"].overlay) == 6


def test_the_legend_names_the_class_that_is_shown_in_ink(board):
    """One class among all others, not ten colors that nobody can tell apart."""
    for tile in (0, 17):
        keys = [(m.label, m.color) for m in board.frame({"given": tile}).views["codes"].overlay if m.label]
        assert keys[:3] == [("other classes", "#c4c8ce"), (f"class {tile % 10}", colors.DATA), ("chosen", "accent")]


def test_a_choice_acts_at_once(board):
    """Whoever presses a picture sees its code and its style, without another button."""
    told = board._act({"state": {"given": 15}, "presses": {"given": 1}})
    expected = board.controls["given"].press({**board.values(), "given": 15})
    assert told[0]["z"] == expected["z"] and told[0]["z3"] == expected["z3"] and set(told[1]) >= {"z", "z3"}
    assert not any(control.kind == "button" for control in board.controls.values())
    opened = board.controls["given"].press(board.values())  # it opens at the code of the picture that is chosen
    assert tuple(opened["z"]) == board.values()["z"] and opened["z3"] == pytest.approx(board.values()["z3"])


def test_the_board_answers_while_the_model_trains_anew(stand_in):
    stage = styles.style_board("digits")
    try:
        kept = stage.frame().views["board"].image
        assert stage.frame().text.endswith("trained 2,000 steps")
        stage.trainer.step(4).wait()
        young = stage.frame()
        assert young.text.endswith("step 4 of 2,000") and not np.array_equal(young.views["board"].image, kept)
        first = stage.frame({"checkpoint": 0})
        assert first.text.endswith("step 0 of 2,000")
        assert not np.array_equal(first.views["board"].image, young.views["board"].image)
        code = lambda checkpoint: stage.controls["given"].press({**stage.values(), "checkpoint": checkpoint})["z"]
        assert code(0) != code(stage.trainer.count() - 1)
        stage.trainer.reset().wait()
        assert np.array_equal(stage.frame().views["board"].image, kept)
    finally:
        stage.trainer.stop()


# a - b + c


def test_the_right_answer_of_a_sum_is_drawn_by_the_pen():
    offered = sums.offer("strokes")
    place = {(int(offered.labels[i]), *offered.style[i].tolist()): i for i in range(20)}
    at = lambda label, slant, thickness: place[label, slant, thickness, 1.0]
    close(offered.x[at(5, 0.5, 3.0), 0], strokes.draw(5, slant=0.5, thickness=3.0, jitter=0.0)[0, 0])
    leaning, upright, seven = at(4, 0.5, 1.5), at(4, 0.0, 1.5), at(7, 0.0, 3.0)
    label, truth, reason = offered.answer(leaning, upright, seven, 1.0)
    assert label == 7 and reason == ""
    torch.testing.assert_close(truth, strokes.draw(7, slant=0.5, thickness=3.0, jitter=0.0)[0])
    label, truth, _ = offered.answer(at(2, 0.5, 1.5), at(2, 0.0, 1.5), at(7, 0.0, 3.0), 0.4)
    torch.testing.assert_close(truth, strokes.draw(7, slant=0.2, thickness=3.0, jitter=0.0)[0])
    label, truth, _ = offered.answer(at(2, 0.5, 3.0), at(4, 0.0, 3.0), at(4, 0.0, 1.5), 1.0)  # a 4 becomes a 2
    assert label == 2
    torch.testing.assert_close(truth, strokes.draw(2, slant=0.5, thickness=1.5, jitter=0.0)[0])
    for a, b, c, amount, why in (
        (at(2, 0.0, 1.5), at(4, 0.0, 1.5), at(4, 0.0, 1.5), 0.5, "part of the way from a 4 to a 2"),
        (at(2, 0.0, 1.5), at(4, 0.0, 1.5), at(7, 0.0, 1.5), 1.0, "what turns a 4 into a 2 means nothing to a 7"),
        (at(2, 0.0, 1.5), at(2, 0.0, 3.0), at(7, 0.0, 1.5), 1.0, "no line is as thin"),
    ):
        _, truth, reason = offered.answer(a, b, c, amount)
        assert truth is None and why in reason
    real, d = sums.offer("digits"), style_vaes.pictures("digits", fresh=True)
    assert real.labels.tolist() == [2, 3, 4, 5, 7] * 4 and real.answer(0, 1, 2, 1.0)[1:] == (None, "")
    torch.testing.assert_close(real.x[8], d.x[d.labels == 5][1])


@torch.no_grad()
@pytest.mark.parametrize("told", [True, False])
def test_codes_and_pixels_are_added(sum_of, stand_in, told):
    recipe, steps = (style_vaes.class_vae, 2000) if told else (style_vaes.plain_vae, 1200)
    model, offered = stand_in(recipe, dataset="strokes", steps=steps), sums.offer("strokes")
    a, b, c, amount = 13, 3, 6, 0.6  # a bold 5, a thin 5, a slanted 3
    assert offered.labels[[a, b, c]].tolist() == [5, 5, 3]
    state = {"a": a, "b": b, "c": c, "amount": amount, "model": sums.TOLD if told else sums.UNTOLD}
    frame = sum_of.frame(state)
    xa, xb, xc = offered.x[[a, b, c]]
    za, zb, zc = encoded(model, offered.x[[a, b, c]], offered.labels[[a, b, c]] if told else None)
    z = amount * (za - zb) + zc
    made = decoded(model, z[None], [3] if told else None)[0]
    truth = strokes.draw(3, slant=0.5, thickness=1.5 + 0.6 * 1.5, jitter=0.0)[0]
    pixels = (amount * (xa - xb) + xc).clamp(0, 1)
    close(frame.views["codes"].image, 1 - made[0])
    close(frame.views["pixels"].image, 1 - pixels[0])
    close(frame.views["truth"].image, 1 - truth[0])
    assert frame.views["truth"].label.startswith("truth")
    wrong = [(p - truth).square().sum().item() for p in (made, pixels, xc)]
    assert frame.text.startswith("squared error, summed over pixels: codes ")
    np.testing.assert_allclose(numbers(frame.text, "codes")[:3], wrong, atol=0.06)
    assert [frame.views[f"gallery {n}"].label for n in "abc"] == ["0.6 (a", "− b)", "+ c"]
    d = style_vaes.pictures("strokes")
    d = d[d.labels == 3] if told else d
    mean = encoded(model, d.x, d.labels if told else None)
    (away,), (i,) = (v[0] for v in NearestNeighbors(n_neighbors=1).fit(mean.numpy()).kneighbors(z[None].numpy()))
    assert numbers(frame.text, "nearest of")[0] == len(d) and f": {away:.2f} away" in frame.text
    close(frame.views["nearest"].image, 1 - d.x[i, 0])
    assert frame.views["nearest"].label.endswith(f"a {d.labels[i]}")
    assert frame.views["codes"].label == "= codes" + " as a 3" * told


@torch.no_grad()
def test_a_step_between_classes_tells_the_decoder_the_new_one(sum_of, stand_in):
    model, offered = stand_in(style_vaes.class_vae, dataset="strokes", steps=2000), sums.offer("strokes")
    frame = sum_of.frame({"a": 0, "b": 2, "c": 12})  # a 2, a 4 and another 4
    z = encoded(model, offered.x[[0, 2, 12]], offered.labels[[0, 2, 12]])
    close(frame.views["codes"].image, 1 - decoded(model, (z[0] - z[1] + z[2])[None], [2])[0, 0])
    assert [frame.views[f"gallery {n}"].label for n in "abc"] == ["a", "− b", "+ c"]
    assert frame.views["codes"].label.endswith("= codes as a 2")


def test_the_truth_keeps_its_place_where_there_is_none(sum_of, stand_in):
    """A picture does not change its meaning: what has no right answer shows none."""
    answered, nothing = sum_of.frame(), sum_of.frame({"a": 0, "b": 4, "c": 12})
    assert nothing.text.startswith("no right answer: what turns") and "error" not in nothing.text
    assert list(nothing.views) == list(answered.views)
    view = nothing.views["truth"]
    assert view.label == "no right answer" and view.image.min() > 0.7 and len(np.unique(view.image)) == 2
    assert [v.size for v in nothing.views.values()] == [v.size for v in answered.views.values()]
    assert "truth" not in sums.arithmetic("digits").frame().views  # nobody knows it of real digits


def test_a_sum_that_leaves_the_crowd_says_so(sum_of, stand_in):
    seen = set()
    for amount in (0.0, 2.0):
        for a, b in ((1, 4), (13, 6), (19, 0)):
            frame = sum_of.frame({"a": a, "b": b, "c": 9, "amount": amount, "model": sums.UNTOLD})
            said = re.search(r"(\S+) away; 99 % of them have a neighbor within (\S+) ", frame.text)
            away, most = map(float, said.groups())
            assert frame.views["codes"].warning.startswith("off the crowd") == (away > most)
            seen.add(away > most)
    assert seen == {True, False}
    model = stand_in(style_vaes.plain_vae, dataset="strokes", steps=1200)
    nothing = sum_of.frame({"a": 3, "b": 3, "c": 9, "model": sums.UNTOLD})  # a - a + c
    z = encoded(model, sums.offer("strokes").x[9, None]).detach()
    close(nothing.views["codes"].image, 1 - decoded(model, z).detach()[0, 0])
