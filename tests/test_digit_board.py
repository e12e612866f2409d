"""The digit board around players that nobody trained: which picture stands where, and what is read of it."""

import numpy as np
import pytest
import stand_ins
import torch
from stand_ins import cell, close, numbers
from torch.nn.functional import one_hot

from gdm_core import kept
from gdm_core.explorers import ch08_digit_board as board
from gdm_core.explorers import digit_gans

stand_in = stand_ins.stand_in
EVERY = torch.arange(10)


@pytest.fixture(scope="module")
def shown(stand_in):
    """The board, its generator and its classifier, which reads much as it pleases."""
    return (
        board.digit_board(),
        kept.trained(digit_gans.class_gan, steps=1500),
        kept.trained(digit_gans.class_reader, steps=400),
    )


def drawn(gan, z, y) -> torch.Tensor:
    """Without the model's own code: the network of z and a one-hot class, through a logistic function."""
    z, y = torch.as_tensor(z, dtype=torch.float32), torch.as_tensor(y)
    return torch.sigmoid(gan.generator.net(torch.cat([z.expand(len(y), 2), one_hot(y, 10).float()], 1))).view(
        -1, 14, 14
    )


def read(reader, x) -> np.ndarray:
    logits = reader.net.net(x.flatten(1)).double()
    return (logits.exp() / logits.exp().sum(1, keepdim=True)).numpy()


def test_ten_classes_stand_in_order_at_the_z_of_the_hand(shown):
    stage, gan, _ = shown
    image = stage.frame({"z": [0.7, -1.1], "digit": "6"}).views["board"].image
    for k, x in enumerate(drawn(gan, [0.7, -1.1], EVERY)):
        close(cell(image, k // 5, k % 5, side=14), 1 - x)


@pytest.mark.parametrize("row, column", [(0, 0), (0, 8), (5, 2)])
def test_the_plane_holds_the_class_that_is_told_at_the_z_under_it(shown, row, column):
    stage, gan, _ = shown
    view = stage.frame({"digit": "4"}).views["plane"]
    side = 2 * board.LIMIT / board.CELLS
    z = [-board.LIMIT + (column + 0.5) * side, board.LIMIT - (row + 0.5) * side]  # the top row has the largest z2
    close(cell(view.image, row, column, side=14), 1 - drawn(gan, z, [4])[0])


@pytest.mark.parametrize("k", [1, 8])
def test_the_frame_is_around_the_class_that_is_told_and_dashes_around_what_is_misread(shown, k):
    stage, gan, reader = shown
    view = stage.frame({"z": [0.2, 0.4], "digit": str(k)}).views["board"]
    at = lambda mark: tuple(((mark.xy.min(0) + mark.xy.max(0)) / 2 // 15).astype(int))  # (column, row)
    told, *others = view.overlay
    assert at(told) == (k % 5, k // 5)
    wrong = read(reader, drawn(gan, [0.2, 0.4], EVERY)).argmax(1) != EVERY.numpy()
    assert [at(mark) for mark in others] == [(i % 5, i // 5) for i in np.flatnonzero(wrong)]


def test_its_words_are_what_the_classifier_reads(shown):
    stage, gan, reader = shown
    z = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    x, y = digit_gans.pen(600, 1)
    for k in (2, *set(read(reader, drawn(gan, [0.5, -0.5], EVERY)).argmax(1).tolist())):
        text = stage.frame({"z": [0.5, -0.5], "digit": str(k)}).text
        p = read(reader, drawn(gan, [0.5, -0.5], EVERY))
        told, sure = numbers(text, "read as")[:2]
        assert told == p[k].argmax() and sure == pytest.approx(p[k].max(), abs=0.0051)
        assert numbers(text, "with probability")[1] == (p.argmax(1) == EVERY.numpy()).sum()
        share = np.mean([read(reader, drawn(gan, one, [k])).argmax() == k for one in z])
        assert numbers(text, f"100 draws of a {k}:")[0] == pytest.approx(share, abs=0.0051)
        assert numbers(text, "right on")[0] == pytest.approx(
            (read(reader, x).argmax(1) == y.numpy()).mean(), abs=5.1e-4
        )


def test_an_eight_takes_an_n(shown):
    """Whichever class is told: the article is that of what is read."""
    stage, gan, reader = shown
    for z in ([0.5, -0.5], [-1.0, 1.2], [1.5, 0.3]):
        for k, p in enumerate(read(reader, drawn(gan, z, EVERY))):
            text = stage.frame({"z": z, "digit": str(k)}).text
            assert f"the {k} at z is read as {'an' if p.argmax() == 8 else 'a'} {p.argmax()} with" in text


def test_the_ring_holds_95_of_100_draws_of_the_prior(shown):
    (ring,) = shown[0].frame().views["plane"].overlay
    assert np.allclose(np.linalg.norm(ring.xy, axis=1), (-2 * np.log(0.05)) ** 0.5, rtol=1e-4)


def test_far_from_the_prior_it_warns(shown):
    at = lambda z: shown[0].frame({"z": z}).views["board"].warning
    assert "far out" in at([2.9, 2.9]) and not at([0.1, 0.1])


def test_the_reader_learns_to_tell_classes_by_their_logarithms():
    reader = digit_gans.Reader()
    x, y = torch.rand(7, 1, 14, 14), torch.arange(7)
    truth = -np.log(read(reader.requires_grad_(False), x)[np.arange(7), y]).mean()
    assert reader.loss(x, y).item() == pytest.approx(truth, abs=1e-5)
