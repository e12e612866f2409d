"""Captions as conditions: attention over words, dropping, guidance; components as latents; the painter of rooms."""

import pytest
import torch
from oracles import off_init

from gdm_core import schedules
from gdm_core.components import Components
from gdm_core.data import scenes
from gdm_core.data.scenes import captions
from gdm_core.explorers import room_painter
from gdm_core.models.diffusion import Diffusion
from gdm_core.unet import UNet
from gdm_core.words import LONGEST, Told, Words

WORDS = len(captions.VOCABULARY)
RED_FLOOR = "a cube on a red floor, between blue walls"
BLUE_FLOOR = "a cube on a blue floor, between red walls"


@pytest.fixture
def words():
    torch.manual_seed(0)
    return off_init(Words(WORDS, 5, width=16, questions=3)).double()


def test_the_attention_is_its_formula(words):
    """Sums over words, one caption at a time, without the blanks behind it."""
    sentences = [RED_FLOOR, "a small ball"]
    found, looks = words(captions.tokens(sentences)), words.looks(captions.tokens(sentences))
    for i, sentence in enumerate(sentences):
        y = captions.tokens([sentence])[0]
        h = words.of_word(y[y > 0])
        n, wide = len(h), 16 // words.heads
        mixed = []
        for j in range(n):
            q = words.qkv(words.norm(h))[j, :16]
            parts = []
            for head in range(words.heads):
                own = slice(head * wide, (head + 1) * wide)
                k, v = words.qkv(words.norm(h))[:, 16:32][:, own], words.qkv(words.norm(h))[:, 32:][:, own]
                bias = torch.stack([words.near[head, other - j + LONGEST - 1] for other in range(n)])
                parts.append((k @ q[own] / wide**0.5 + bias).softmax(0) @ v)
            mixed.append(torch.cat(parts))
        h = h + words.out(torch.stack(mixed))
        h = h + words.alone(words.norm_alone(h))
        k, v = words.heard(words.norm_heard(h)).split(16, 1)
        a = (words.questions @ k.T / 4).softmax(1)
        torch.testing.assert_close(found[i], words.answer((a @ v).flatten()))
        torch.testing.assert_close(looks[i, :, :n], a)
        assert (looks[i, :, n:] == 0).all()


def test_a_word_looks_first_at_itself_and_as_far_to_the_left_as_to_the_right():
    near = Words(WORDS, 5).near
    assert (near.argmax(1) == LONGEST - 1).all() and torch.equal(near, near.flip(1))


def test_word_order_matters(words):
    red, blue = words(captions.tokens([RED_FLOOR, BLUE_FLOOR]))
    assert sorted(captions.tokens([RED_FLOOR])[0]) == sorted(captions.tokens([BLUE_FLOOR])[0])
    assert (red - blue).abs().max() > 1e-2


def test_blanks_and_company_do_not_matter(words):
    y = captions.tokens([RED_FLOOR, "a ball", "a ball"])
    alone = words(y[1:2])
    torch.testing.assert_close(words(y)[1:], alone.expand(2, -1))
    torch.testing.assert_close(words(y[1:2, :2]), alone)
    nothing = torch.zeros(1, 4, dtype=torch.long)
    assert torch.isfinite(words(nothing)).all() and (words(nothing) - alone).abs().max() > 1e-3


def test_gradients_reach_every_parameter_and_every_word(words):
    y = captions.tokens([RED_FLOOR, BLUE_FLOOR])
    words(y).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in words.parameters())
    assert (words.of_word.weight.grad[y.unique()[1:]].abs().sum(1) > 0).all()


class Repeats(torch.nn.Module):
    """Answers with the caption's first word, and keeps what it was asked."""

    def __init__(self):
        super().__init__()
        self.scale, self.asked = torch.nn.Parameter(torch.ones(())), []

    def forward(self, x, t, y):
        self.asked.append(y)
        return self.scale * y[:, :1].to(x).expand_as(x)


def told(drop=0.0, repeat=1, network=None):
    return Diffusion(3, schedule=schedules.line, network=network or Repeats(), words=9, drop=drop, repeat=repeat)


def test_captions_are_dropped_as_wholes_at_the_rate_that_is_asked():
    torch.manual_seed(0)
    y = torch.tensor([[2, 5, 0]]).repeat(2000, 1)
    for drop in (0.1, 0.4):
        model = told(drop)
        model.loss(torch.randn(2000, 3), y)
        (asked,) = model.network.asked
        gone = (asked == 0).all(1)
        assert torch.equal(asked[~gone], y[~gone])
        assert gone.double().mean().item() == pytest.approx(drop, abs=5 * (drop * (1 - drop) / 2000) ** 0.5)
    model = told()
    model.loss(torch.randn(2000, 3), y)
    assert torch.equal(model.network.asked[0], y)


def test_each_example_meets_several_noises_with_its_caption():
    model, y = told(repeat=3), torch.tensor([[1, 0], [2, 3]])
    seen = []
    model.network.register_forward_pre_hook(lambda _, given: seen.append(given))
    model.loss(torch.tensor([[0.0] * 3, [1e6] * 3]), y)
    ((x, t, asked),) = seen
    assert torch.equal(asked, y.repeat(3, 1)) and len(t.unique()) == 6 and len(x.unique(dim=0)) == 6
    assert torch.equal(x.amax(1) > 100, asked[:, 0] == 2)


def test_sampling_takes_one_caption_for_all_or_one_each():
    model = told(drop=0.1)
    for y in (torch.tensor([4, 2]), torch.tensor([[4, 2], [1, 0]])):
        model.network.asked.clear()
        assert model.sample(2, y, steps=2).shape == (2, 3)
        assert all(torch.equal(asked, y.expand(2, 2)) for asked in model.network.asked)
    model.network.asked.clear()
    model.sample(2, steps=1)
    assert (model.network.asked[0] == 0).all()
    assert torch.isfinite(model.elbo(torch.randn(2, 3), y, steps=4)).all()


def test_a_unet_reads_captions_too():
    torch.manual_seed(0)
    network = off_init(UNet((1, 4, 4), widths=(4, 8), labels=Words(WORDS, 16, width=8, heads=2)))
    model = Diffusion((1, 4, 4), network=network, words=WORDS)
    x, t = torch.randn(2, 1, 4, 4), torch.full((2,), 0.5)
    red, blue = (model.denoise(x, t, captions.tokens([said, said])) for said in (RED_FLOOR, BLUE_FLOOR))
    assert (red - blue).abs().max() > 1e-4


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: captions.tokens(["a crimson cube"]), "words of the vocabulary, got 'crimson'.*azure.*scarlet"),
        (lambda: captions.tokens(["  "]), "a caption"),
        (lambda: Words(WORDS, 4, width=10), "4 heads divide"),
        (lambda: Words(WORDS, 4)(torch.tensor([WORDS, 1])[None]), "captions y"),
        (lambda: Words(WORDS, 4)(torch.ones(1, 40).long()), "at most 32 words"),
        (lambda: told().loss(torch.zeros(2, 3)), "captions y"),
        (lambda: told().loss(torch.zeros(2, 3), torch.tensor([1, 2])), "captions y"),
        (lambda: told(0.1).loss(torch.zeros(2, 3), torch.tensor([[1], [0]])), "one word or more"),
        (lambda: told().denoise(torch.zeros(1, 3), torch.tensor(0.5)), "captions y"),
        (lambda: Diffusion(3, words=-1), "integer words"),
        (lambda: Diffusion(3, words=9), "network that reads captions"),
        (lambda: Diffusion(3, words=9, labels=2, network=Repeats()), "no labels"),
        (lambda: Diffusion(3, drop=0.1), "labels to drop"),
        (lambda: Components((2,), 1).encode(torch.zeros(3, 3)), "x of shape"),
        (lambda: Components((2,), 1).decode(torch.zeros(3, 2)), "codes"),
        (lambda: Components((2,), 3), "count"),
        (lambda: room_painter.Painter(16, 4).pictures(["a cube"], weight=-1.0), "weight of guidance"),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, said):
    with pytest.raises(ValueError, match=f"(?s)needed .*{said}"):
        call()


def test_components_are_those_of_the_covariance():
    torch.manual_seed(0)
    x = (torch.randn(400, 6).double() * torch.tensor([5, 3, 2, 1, 0.5, 0.1]).double()) @ torch.randn(6, 6).double() + 2
    model = Components((2, 3), 2).double().fit(x.reshape(-1, 2, 3))
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    top = vectors[:, [-1, -2]]
    torch.testing.assert_close(model.basis.mT @ model.basis, top @ top.T)
    z = model.encode(x.reshape(-1, 2, 3))
    std = values[[-1, -2]].sqrt()
    torch.testing.assert_close(z.square().mean(0), std / std.mean())
    nearest = x.mean(0) + (x - x.mean(0)) @ top @ top.T
    torch.testing.assert_close(model.decode(z).flatten(1), nearest)


def test_what_was_read_of_captions_stands_for_them():
    network = off_init(Told((5,), 9))
    model = Diffusion(5, schedule=schedules.line, network=network, words=9, drop=0.1)
    x, t, y = torch.randn(3, 5), torch.rand(3), torch.tensor([[1, 2], [3, 0], [0, 0]])
    torch.testing.assert_close(model.denoise(x, t, network.read(y)), model.denoise(x, t, y))
    with pytest.raises(ValueError, match="needed captions"):
        model.denoise(x, t, network.read(y)[:2])


def test_a_layer_hears_time_and_caption_as_scale_and_as_shift():
    network = off_init(Told((5,), 9, width=8, depth=2, told=16))
    x, t, y = torch.randn(3, 5), torch.rand(3), torch.tensor([[1, 2], [3, 0], [0, 0]])
    c = torch.nn.functional.silu(network.told(t, y))
    h = x @ network.enter.weight.T + network.enter.bias
    for modulation, layer in zip(network.modulation, network.layers):
        scale, shift = (c @ modulation.weight.T + modulation.bias).split(8, 1)
        level = (h - h.mean(1, keepdim=True)) / (h.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        h = h + layer(level + level * scale + shift)
    torch.testing.assert_close(network(x, t, y), h @ network.leave.weight.T + network.leave.bias)


# The painter


def test_what_training_never_sees():
    table, sentences = room_painter.rooms(300)
    pairs = set(map(tuple, table[:, [2, 4]].tolist()))
    assert not pairs & {(0, 0), (7, 1), (4, 2), (1, 3)} and len(pairs) == 36
    assert captions.fits(table, captions.meaning(sentences)).all()
    whole = scenes.factors(torch.arange(0, scenes.COUNT, 7))
    assert room_painter.never(whole).double().mean().item() == pytest.approx(0.1, abs=0.002)


def test_guidance_leans_away_from_nothing_said():
    """At w = 0 the caption has no say, at 1 it alone, beyond as far on the other side, and above `until` it alone."""
    torch.manual_seed(0)
    painter = off_init(room_painter.Painter(16, 4)).eval()
    y, noise = captions.tokens([RED_FLOOR] * 3), torch.randn(3, 4)
    end = lambda w, **o: list(painter.paint(y, noise, weight=w, steps=1, **o))[-1]  # one step, where the answer is D
    with torch.no_grad():
        with_caption, without = (painter.diffusion.denoise(noise, torch.tensor(1.0), said) for said in (y, None))
    assert (with_caption - without).abs().max() > 1e-3
    torch.testing.assert_close(end(0.0), without)
    torch.testing.assert_close(end(1.0), with_caption)
    torch.testing.assert_close(end(3.0), without + 3 * (with_caption - without))
    torch.testing.assert_close(end(3.0, until=0.9), with_caption)


def test_pictures_follow_seed_and_sentence():
    torch.manual_seed(0)
    painter = room_painter.Painter(16, 4).eval()
    torch.nn.init.normal_(painter.diffusion.network.leave.weight, std=0.1)
    painter.components.mean.fill_(0.5)
    painter.components.size.fill_(0.1)
    draw = lambda sentence, seed=0: painter.pictures([sentence], seed=seed, steps=2)
    red = draw(RED_FLOOR)
    assert red.shape == (1, 3, 16, 16) and torch.equal(red, draw(RED_FLOOR))
    assert not torch.equal(red, draw(BLUE_FLOOR)) and not torch.equal(red, draw(RED_FLOOR, 1))


@pytest.mark.slow
def test_the_recipe_learns():
    """A few steps: the loss falls below that of a network that answers 0, whose loss is 2 a latent."""
    torch.manual_seed(0)
    model, steps = room_painter.room_painter(steps=30, pictures=300, size=16)
    *_, history = steps
    assert sum(history.loss[-10:]) / 10 < 1.9 * room_painter.LATENTS
    assert model.components.basis.abs().sum() > 0


def test_the_rate_goes_up_for_a_thirtieth_of_the_way_and_down_to_nothing():
    rate = room_painter.warm
    assert rate(0.0) == 0 and rate(1 / 60) == pytest.approx(0.5, abs=0.01) and rate(1.0) == pytest.approx(0)
    assert rate(1 / 30) > 0.99 and rate(0.5) == pytest.approx(0.5) and rate(0.75) == pytest.approx((2 - 2**0.5) / 4)
