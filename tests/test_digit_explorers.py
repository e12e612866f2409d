"""Memorizer and denoise by hand: what they draw, whom it follows, and each number against the formulas."""

import numpy as np
import pytest
import torch
from stand_ins import numbers

from gdm_core import data, ideal, kept
from gdm_core.explorers import ch12_denoise_by_hand as by_hand
from gdm_core.explorers import ch12_memorizer as memorizer
from gdm_core.explorers import digit_denoisers
from gdm_core.explorers.digit_denoisers import some_digits
from gdm_core.schedules import cosine
from gdm_core.widgets.view import palette

torch.set_num_threads(1)
DIGITS, LABELS = some_digits(memorizer.MOST)


def view(frame, name):
    return next(v for v in frame["views"] if v["name"] == name)


def told(frame):
    return f"{frame['text']} · {frame['more']}"


def cells(view, top=0):
    """The (8, 8) pictures of a strip, shades in [0, 1]."""
    image = np.asarray(view["image"], float) / 255
    return np.stack([image[top : top + 8, k * 9 : k * 9 + 8] for k in range(image.shape[1] // 9)])


def ink(x):
    return np.clip((1 - np.asarray(x, float)) / 2, 0, 1)


class Smooth:
    """In the network's place: a straight line, and a little darker for each class."""

    line = staticmethod(ideal.gaussian(DIGITS.mean(0), torch.cov(DIGITS.flatten(1).T), cosine))

    def denoise(x_t, t, y):
        return Smooth.line(x_t, t) + 0.02 * y.reshape(-1, 1, 1, 1)


# The network of both


def test_a_network_denoises_new_digits_soon():
    torch.manual_seed(0)
    model, run = digit_denoisers.digit_denoiser(100, steps=30)
    new, t = data.load("digits", "test"), torch.tensor(0.8)
    x, y, (alpha, sigma) = 2 * new.x[:200] - 1, new.labels[:200], cosine(t)
    x_t, off = alpha * x + sigma * torch.randn_like(x), []
    for _ in range(2):
        with torch.no_grad():
            off.append((model.denoise(x_t, t, y) - x).square().mean().item())
        for _ in run:
            pass
    assert off[1] < 0.6 * off[0], off  # .32, .66


@pytest.mark.parametrize("pictures", [10, 100, 1000])
def test_each_picture_is_trained_on_with_its_class(pictures, monkeypatch):
    train = data.load("digits")
    known = {tuple(x): y for x, y in zip((2 * train.flat() - 1).tolist(), train.labels.tolist())}
    handed = []
    monkeypatch.setattr(digit_denoisers.train, "steps", lambda _, pairs, **__: handed.append(pairs))
    digit_denoisers.digit_denoiser(pictures)
    ((x, y),) = handed
    assert len(x) >= 320 and len(x.unique(dim=0)) == pictures
    assert [known[tuple(one.flatten().tolist())] for one in x] == y.tolist()


@pytest.fixture(scope="module")
def hand():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "trained", lambda *_, **__: Smooth)
        yield by_hand.denoise_by_hand()


@pytest.fixture(scope="module")
def stage():
    return memorizer.memorizer()


# Memorizer


def test_who_sees_the_whole_picture_copies_one_and_this_is_framed_said_and_colored(stage):
    frame = stage.frame({"pictures": 30, "reach": 7}).encode()
    drawn, nearest = cells(view(frame, "drawn")), cells(view(frame, "nearest"))
    known = ink(DIGITS[:30, 0])
    off = np.abs(drawn[:, None] - known).max((2, 3)).min(1)
    assert off.max() < 0.01 and np.abs(drawn - nearest).max() < 0.01
    assert len(view(frame, "drawn")["marks"]) == memorizer.DRAWN and numbers("so " + told(frame), "so")[:3] == [
        10,
        10,
        1.0,
    ]
    shades = cells(view(frame, "sources"))
    assert np.ptp(shades, (1, 2)).max() == 0
    bars, line = view(frame, "distances")["marks"]
    assert bars["xy"][:, 1].max() < 0.01 and np.allclose(line["xy"][:, 1], 1 / 3)
    assert "line, 1/3: copies" in view(frame, "distances")["label"]  # no axis says where it lies


def test_few_pixels_make_new_digits_out_of_many(stage):
    frame = stage.frame({"pictures": 500, "reach": 1}).encode()
    copies, _, followed = numbers("so " + told(frame), "so")[:3]
    assert copies <= 1 and followed > 8 and "3 × 3 pixels and knows 500 digits" in told(frame)
    drawn, nearest = cells(view(frame, "drawn")), cells(view(frame, "nearest"))
    assert np.abs(drawn - nearest).max((1, 2)).min() > 0.1 or copies
    share = view(frame, "distances")["marks"][0]["xy"][:, 1]
    x = DIGITS.flatten(1).numpy()
    far = np.sort(np.linalg.norm(1 - 2 * drawn.reshape(-1, 1, 64) - x, axis=2), 1)
    assert np.allclose(share, far[:, 0] / far[:, 1], atol=0.02)
    assert np.allclose(numbers(told(frame), "from the nearest")[:2], far[:, :2].mean(0), atol=0.06)


@pytest.mark.parametrize("step", [3, 8])
def test_each_pixel_has_the_color_of_the_picture_that_weighs_most(stage, step):
    """By the formula at the pixel, on states of a sampler by hand."""
    known, reach = DIGITS[:40].double(), 2
    frame = stage.frame({"pictures": 40, "reach": reach, "step": step}).encode()
    x = memorizer.Noise(0)(0, memorizer.DRAWN, 1, 8, 8).double()
    angles = torch.linspace(1, 0, memorizer.STEPS + 1).double() ** 2  # levels of noise in even steps of their root
    machine = ideal.patches(known, 2 * reach + 1, cosine)
    for t, s in list(zip(angles, angles[1:]))[: min(step, memorizer.STEPS - 1)]:
        (alpha, sigma), (less, left), mean = cosine(t), cosine(s), machine(x, t)
        x = less * mean + left * (x - alpha * mean) / sigma
    alpha, sigma = cosine(angles[min(step, memorizer.STEPS - 1)])
    shades = cells(view(frame, "sources"))
    for k in (0, 7):
        best, colors = {}, {}
        for i, j in np.ndindex(8, 8):
            near = slice(max(i - reach, 0), i + reach + 1), slice(max(j - reach, 0), j + reach + 1)
            miss = (x[k, 0][near] - alpha * known[:, 0, near[0], near[1]]).square().sum((1, 2))
            best[i, j] = miss.argmin().item()
            colors.setdefault(best[i, j], set()).add(tuple(shades[k, i, j].round(3)))
        assert all(len(seen) == 1 for seen in colors.values())  # a picture, a color
        often = sorted(colors, key=lambda n: -list(best.values()).count(n))[:3]
        assert len(set().union(*(colors[n] for n in often))) == len(often)
    if step == memorizer.STEPS:
        assert np.abs(cells(view(frame, "drawn"))[0] - ink(machine(x, angles[-2])[0, 0])).max() < 0.01


def test_steps_go_through_one_drawing_and_a_press_draws_another(stage):
    shown = lambda **state: cells(view(stage.frame({"reach": 7, **state}).encode(), "drawn"))
    assert np.allclose(shown(step=0), ink(memorizer.Noise(0)(0, memorizer.DRAWN, 1, 8, 8)[:, 0]), atol=0.003)
    assert np.array_equal(shown(), shown()) and not np.array_equal(shown(), shown(**{"new noise": 1}))


# Denoise by hand


class By:
    """The state of the explorer by the formulas: network, D, patches at one level."""

    def __init__(self, digit=3, t=0.5, reach=1, label=None, paint=None):
        new = data.load("digits", "test", n=40)
        self.x = 2 * new.x[digit] - 1
        if paint is not None:
            self.x = torch.maximum(self.x, 2 * paint[None] - 1)
        label = int(new.labels[digit]) if label is None else label
        (self.alpha, self.sigma), e = cosine(torch.tensor(t)), by_hand.Noise(0)(0, 1, 1, 8, 8)[0]
        self.x_t = self.alpha * self.x + self.sigma * e
        digits, labels = some_digits(1000)
        of = digits[labels == label]
        told = Smooth.denoise(self.x_t[None], torch.tensor([t]), torch.tensor([label]))[0]
        at = torch.tensor(t)
        self.told = torch.stack(
            [told, ideal.training_set(of, cosine)(self.x_t[None], at)[0]]
            + [ideal.patches(of, 2 * reach + 1, cosine)(self.x_t[None], at)[0]]
        )
        self.off = [(told - self.x).square().mean().sqrt().item() for told in self.told]


CASES = [{}, {"t": 0.2, "digit": 7, "reach": 3}, {"t": 0.9, "digit": 0, "told": "4"}]


@pytest.mark.parametrize("state", CASES, ids=str)
def test_the_three_answers_and_their_errors(hand, state):
    frame = hand.frame(state).encode()
    label = int(state["told"]) if "told" in state else None
    by = By(label=label, **{k: v for k, v in state.items() if k != "told"})
    shown = cells(view(frame, "answers"), by_hand.HEAD)
    assert np.allclose(shown[:3, ..., 0], ink(by.told[:, 0]), atol=0.01)
    assert np.allclose(shown[3, ..., 0], ink(by.x[0]), atol=0.01)
    assert np.allclose(np.asarray(view(frame, "noisy")["image"], float) / 255, ink(by.x_t[0]), atol=0.01)
    assert np.allclose(numbers(told(frame), "digit: ")[:3], by.off, atol=0.006)
    apart = [(one - by.told[0]).square().mean().sqrt().item() for one in by.told[1:]]
    assert np.allclose(numbers(told(frame), "network from ")[:2], apart, atol=0.006)
    dots = view(frame, "errors")["marks"][-1]["xy"]
    assert np.allclose(dots[:, 1], by.off, atol=1e-3) and np.allclose(dots[:, 0], state.get("t", 0.5))


def test_score_and_next_step_are_those_of_the_network(hand):
    by = By(t=0.4)
    shown = cells(view(hand.frame({"t": 0.4}).encode(), "answers"), by_hand.HEAD)
    foretold = (by.x_t - by.alpha * by.told[0]) / by.sigma  # -sigma score
    shade = palette("PuOr")[((-foretold[0] / 3).clamp(-1, 1) * 127.5 + 127.5).round().long().numpy()] / 255
    assert np.abs(shown[4] - shade).max() < 0.03  # the next shade, at most
    less, left = cosine(torch.tensor(0.3))
    assert np.allclose(shown[5, ..., 0], ink((less * by.told[0] + left * foretold)[0]), atol=0.01)


def test_every_level_of_the_chart_has_the_noise_of_the_picture(hand):
    lines = view(hand.frame({}).encode(), "errors")["marks"][:3]
    for i in (0, 9, 23):
        by = By(t=float(by_hand.LEVELS[i]))
        assert np.allclose([line["xy"][i, 1] for line in lines], by.off, atol=1e-3)


def test_paint_is_ink_on_the_digit_before_the_noise(hand):
    paint = torch.zeros(8, 8)
    paint[2:4, 1] = 1
    frame = hand.frame({"paint": paint.numpy()}).encode()
    by = By(paint=paint)
    assert np.allclose(np.asarray(view(frame, "noisy")["image"], float) / 255, ink(by.x_t[0]), atol=0.01)
    assert np.allclose(numbers(told(frame), "digit: ")[:3], by.off, atol=0.006)
