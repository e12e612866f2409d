"""Traversal of rooms: decoded pictures, rendered ones, and how far the two are apart."""

import copy

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import cell, close, decoded, encoded, numbers

from gdm_core import kept
from gdm_core.data import four_factors, scenes
from gdm_core.explorers import ch05_traversal as traverse
from gdm_core.explorers import room_vaes

stand_in = stand_ins.stand_in


@pytest.fixture(scope="module")
def rooms(stand_in):
    return traverse.traversal()


def test_rooms_have_the_factors_they_are_said_to_have():
    u = torch.tensor([[0.25, 0.5, 4 / 9, 3 / 14], [1.0, 0.0, 1.0, 0.0]])
    table = torch.tensor([[0.4, 0.2, 0.8, 0.6 + 4 / 9, 2, -30 + 60 * 3 / 14], [0.7, 0.0, 0.8, 1.6, 2, -30.0]])
    torch.testing.assert_close(four_factors.draw(u), scenes.render(table, size=24), atol=1e-5, rtol=0)
    x, factors = four_factors.sample(200, seed=3)
    assert list(factors) == ["floor", "wall", "scale", "orientation"] and x.shape == (200, 3, 24, 24)
    torch.testing.assert_close(four_factors.draw(torch.stack(list(factors.values()), 1)), x)
    assert all(v.min() >= 0 and v.max() <= 1 and 0.2 < v.std() < 0.38 for v in factors.values())


class Curved(torch.nn.Module):
    """A decoder of one number a pixel, quadratic in z."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)

    def decode(self, z):
        return torch.distributions.Normal(z @ self.a + z.square() @ self.b, 1.0)


def test_effects_are_the_jacobian_in_standard_deviations():
    """A central difference is exact for a quadratic, whatever its step."""
    model, meter = Curved(), torch.nn.Linear(5, 4).double()
    z = torch.tensor([0.4, -1.0, 0.3], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: meter(model.decode(v[None]).mean)[0], z)  # (4, 3)
    std = torch.rand(200000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).std()
    torch.testing.assert_close(room_vaes.effects(model, meter, z), jacobian.T / std, rtol=0.01, atol=1e-3)


def test_each_row_keeps_one_factor():
    u = torch.tensor([0.1, 0.2, 0.3, 0.4])
    found = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0))
    found[1] = u + 0.04 * torch.rand(5, 4, generator=torch.Generator().manual_seed(1))  # a row in which nothing moves
    found[2, :, 2] = torch.linspace(-0.5, 1.4, 5)
    alone, main = room_vaes.one_each(u, found)
    assert main == [int((found[0].max(0).values - found[0].min(0).values).argmax()), -1, 2]
    for row in range(3):
        for k in range(4):
            expected = found[row, :, k].clamp(0, 1) if k == main[row] else u[k].expand(5)
            torch.testing.assert_close(alone[row, :, k], expected)


def room_pictures(frame) -> list[np.ndarray]:
    return [cell(frame.views["pictures"].image, 0, i, side=24) for i in range(4)]


@torch.no_grad()
def test_a_room_its_twin_and_what_is_left_between_them(rooms, stand_in):
    meter = stand_in(room_vaes.room_meter, steps=900)
    fresh, _ = four_factors.sample(400, seed=1)
    for name, beta in (("β = 1", 1.0), ("β = 20", 20.0)):
        model, z = stand_in(room_vaes.room_vae, beta=beta, steps=900), [0.5, -1.0, 0.25, 1.0, 0.0, -0.5]
        frame = rooms.frame({**{f"z{j + 1}": v for j, v in enumerate(z)}, "beta": name, "another": 403})
        x = decoded(model, [z])
        twin = four_factors.draw(meter(x).clamp(0, 1))
        given, made, like, rest = room_pictures(frame)
        for picture, expected in ((given, fresh[3]), (made, x[0]), (like, twin[0])):
            close(picture, expected.permute(1, 2, 0))
        close(rest[..., 0], (2 * (x - twin)[0].abs().mean(0)).clamp(max=1))
        assert frame.views["pictures"].image[-1].max() < 150  # between dark pictures a white frame would glare
        assert numbers(frame.text, "rendered differ by")[0] == pytest.approx(
            (x - twin).square().mean().item() ** 0.5, abs=0.006
        )
        back = decoded(model, encoded(model, fresh))
        away = (back - four_factors.draw(meter(back).clamp(0, 1))).square().mean((1, 2, 3)).sqrt()
        assert numbers(frame.text, "by at most")[0] == pytest.approx(np.quantile(away, 0.99), abs=0.006)


@torch.no_grad()
def test_a_latent_that_tells_next_to_nothing_is_called_idle(stand_in, monkeypatch):
    """By its KL from the prior, in closed form: one of six tells less than 0.05 nats, another little more."""
    fresh, _ = four_factors.sample(400, seed=1)
    model = copy.deepcopy(stand_in(room_vaes.room_vae, beta=1.0, steps=900))
    last = [m for m in model.encoder.net if isinstance(m, torch.nn.Linear)][-1]
    for j, mean in ((1, 0.25), (3, 0.4)):  # KL of N(m, 1) from N(0, 1): m^2 / 2 = 0.031 and 0.08
        for row in (j, 6 + j):
            last.weight[row], last.bias[row] = 0.0, 0.0
        last.bias[j] = mean
    q = model.encode(fresh)
    kl = (q.mean**2 + q.stddev**2 - 1 - 2 * q.stddev.log()).mean(0) / 2
    assert kl[1].item() == pytest.approx(0.25**2 / 2, abs=1e-3) and kl[3].item() == pytest.approx(0.08, abs=1e-3)
    meter = stand_in(room_vaes.room_meter, steps=900)
    monkeypatch.setattr(kept, "trained", lambda recipe, **_: meter if recipe is room_vaes.room_meter else model)
    idle = [f"z{j + 1}" for j in range(6) if kl[j] < 0.05]
    assert idle == ["z2"]
    assert traverse.traversal().frame().text.split(" · ")[1] == "idle latents: z2"


@torch.no_grad()
def test_a_row_of_the_board_is_a_latent_beside_its_main_factor(rooms, stand_in):
    meter, model = stand_in(room_vaes.room_meter, steps=900), stand_in(room_vaes.room_vae, beta=1.0, steps=900)
    z = [0.5, -1.0, 0.25, 1.0, 0.0, -0.5]
    frame = rooms.frame({f"z{j + 1}": v for j, v in enumerate(z)})
    board = frame.views["boards"]
    left, start = 15, 15 + 125 + 30  # margins of 0.6 and 1.2 cells of 25 pixels
    rows = torch.tensor(z).expand(6, 5, 6).clone()
    for j in range(6):
        rows[j, :, j] = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    made = decoded(model, rows.flatten(0, 1)).unflatten(0, (6, 5))
    found = meter(made.flatten(0, 1)).unflatten(0, (6, 5))
    alone, main = room_vaes.one_each(meter(decoded(model, [z]))[0], found)
    truth = four_factors.draw(alone.flatten(0, 1)).unflatten(0, (6, 5))
    for j, i in ((0, 0), (2, 4), (5, 1)):
        close(cell(board.image, j, i, 24, left=left), made[j, i].permute(1, 2, 0))
        close(cell(board.image, j, i, 24, left=start), truth[j, i].permute(1, 2, 0))
    names, rulers, steps = board.overlay
    assert names.text == ["z1", "z2", "z3", "z4", "z5", "z6"] and steps.text == ["−2", "−1", "0", "+1", "+2"] * 2
    for column, middle in ((names, left / 2), (rulers, start - 15)):  # in the margins, beside their rows
        np.testing.assert_allclose(column.xy, [[middle / 25, j + 0.5] for j in range(6)], atol=1e-6)
    short = ("floor", "wall", "scale", "turn")
    assert rulers.text == [short[k] if k >= 0 else "–" for k in main]
    assert board.extent[1] == pytest.approx(len(board.image[0]) / 25)  # square cells
    assert steps.xy[7][0] == pytest.approx((start + 2.5 * 25) / 25)  # under the middle of the second board


@torch.no_grad()
def test_the_table_shows_the_effects(rooms, stand_in):
    meter, model = stand_in(room_vaes.room_meter, steps=900), stand_in(room_vaes.room_vae, beta=6.0, steps=900)
    z = torch.tensor([0.5, -1.0, 0.25, 1.0, 0.0, -0.5])
    view = rooms.frame({**{f"z{j + 1}": v for j, v in enumerate(z.tolist())}, "beta": "β = 6"}).views["effects"]
    expected = room_vaes.effects(model, meter, z)
    told = [float(t.replace("−", "-")) for t in view.overlay[0].text]
    np.testing.assert_allclose(told, expected.flatten(), atol=0.051)
    for j, k in ((0, 0), (5, 1), (3, 3)):
        x, y = view.overlay[0].xy[4 * j + k]
        place = int(y / view.extent[2] * len(view.image)), int(x / view.extent[1] * len(view.image[0]))
        assert abs(place[0] - (20 * j + 10)) <= 1 and abs(place[1] - (12 + 30 * k + 15)) <= 1
        shown = 1.0 if view.label.startswith("at z") else 0.0
        assert view.image[place] == pytest.approx(shown * expected[j, k].item(), abs=1e-5)
    assert [traverse._signed(v) for v in (-0.04, 0.06, -1.26)] == ["0", "+0.1", "−1.3"]


def test_z_goes_to_the_room_in_the_model_that_is_chosen(rooms, stand_in):
    fresh, _ = four_factors.sample(400, seed=1)
    for name, beta in (("β = 1", 1.0), ("β = 20", 20.0)):
        model = stand_in(room_vaes.room_vae, beta=beta, steps=900)
        for button in ("again", "another"):
            told = rooms.controls[button].press({**rooms.values(), "beta": name, "another": 5})
            expected = encoded(model, fresh[5, None])[0].detach()
            z = [told[f"z{j + 1}"] for j in range(6)]
            np.testing.assert_allclose(z, expected, atol=0.0251)  # half a step of the sliders
            np.testing.assert_allclose(np.multiply(z, 20), np.rint(np.multiply(z, 20)), atol=1e-9)
            assert all(len(repr(v)) <= 6 for v in z)  # as a link carries them


def test_off_the_rooms_and_off_the_prior_are_said(rooms, stand_in, monkeypatch):
    warning = lambda frame: frame.views["pictures"].warning
    assert warning(rooms.frame({f"z{j}": 3.0 for j in range(1, 7)})).startswith("far out")
    assert warning(rooms.frame({f"z{j}": 0.1 for j in range(1, 7)})).startswith("too central")
    monkeypatch.setattr(traverse, "atypical", lambda z: "")
    fresh, _ = four_factors.sample(400, seed=1)
    own = encoded(stand_in(room_vaes.room_vae, beta=1.0, steps=900), fresh[:20]).detach().clamp(-3, 3)
    seen = set()
    for z in [*own, *(3.0 * torch.randn(20, 6, generator=torch.Generator().manual_seed(0))).clamp(-3, 3)]:
        frame = rooms.frame({f"z{j + 1}": v for j, v in enumerate(z.tolist())})
        difference, most = numbers(frame.text, "rendered differ by")[0], numbers(frame.text, "by at most")[0]
        if abs(difference - most) > 0.01:  # the text rounds
            assert warning(frame).startswith("like no room") == (difference > most)
            table = frame.views["effects"]
            assert table.label.startswith("not to be trusted") == (difference > most)  # the meter saw no such picture
            assert (np.abs(table.image).max() == 0) == (difference > most)
            seen.add(difference > most)
    assert seen == {True, False}


def test_who_presses_train_sees_the_model_that_trains(stand_in, monkeypatch):
    stage = traverse.traversal()
    try:
        assert stage.frame({"beta": "β = 6"}).text.endswith("trained 900 steps")
        stage.trainer.step(2).wait()
        assert stage.frame({"beta": "β = 6"}).text.endswith("step 2 of 900")
        assert stage.frame({"beta": "β = 6", "checkpoint": 0}).text.endswith("step 0 of 900")
        assert stage.frame({"beta": "β = 1"}).text.endswith("trained 900 steps")
        running = [True]
        monkeypatch.setattr(type(stage.trainer), "running", property(lambda self: running[0]))
        for _ in range(2):  # each time that it begins
            frame = stage.frame({"beta": "β = 1"})
            assert frame.controls == {"beta": "β = 6"} and frame.text.endswith("step 2 of 900")
            frame = stage.frame({"beta": "β = 1"})  # but then the choice is free
            assert frame.controls == {"beta": "β = 1"} and frame.text.endswith("trained 900 steps")
            running[0] = False
            assert stage.frame({"beta": "β = 20"}).controls == {"beta": "β = 20"}
            running[0] = True
    finally:
        monkeypatch.undo()
        stage.trainer.stop()
