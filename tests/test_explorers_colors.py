"""Explorers of chapters 06 to 08: each mark has the color of what it stands for, and words are told to their end."""

import re

import pytest
import stand_ins
import torch

from gdm_core import explorers, two_sample
from gdm_core.explorers.read_outs import said

stand_in = stand_ins.stand_in
COLORS = {
    "bench": """
        clouds points model y, of q
        clouds points data x, of p
        null bars noise labels exchanged
        null lines noise 1 in 20 is above
        null lines accent
        null text accent""",
    "game_bench": """
        plane lines model
        plane points model states
        plane points exact equilibrium
        plane points model
        eigenvalues lines noise |λ| = 1
        eigenvalues points latent |λ| < 1
        eigenvalues points model |λ| ≥ 1
        distance lines exact predicted
        distance lines model measured
        distance points model""",
    "gan_studio": """
        plane points data data
        plane points model samples
        plane arrows accent pull on a sample
        map points data modes
        map lines latent lines of z under G""",
    "digit_board": """
        plane lines noise 95 % of the prior
        board lines accent class told
        board lines noise read as another""",
}


@pytest.mark.parametrize("name", COLORS)
def test_each_mark_has_the_color_of_what_it_is(stand_in, name):
    frame = getattr(explorers, name)().frame().encode()
    marks = [(view["name"], m["mark"], m["color"], m["label"]) for view in frame["views"] for m in view["marks"]]
    if name == "digit_board":  # as many frames as there are misread classes, of which one is named
        marks = [m for m in marks if m[3]]
    assert [" ".join(m).strip() for m in marks] == [line.strip() for line in COLORS[name].strip().splitlines()]


@pytest.mark.parametrize("statistic", ["means", "energy"])
def test_the_words_of_the_two_sample_bench(statistic):
    frame = explorers.bench().frame({"statistic": statistic, "n": 70})
    y, x = (torch.as_tensor(mark.xy).double() for mark in frame.views["clouds"].overlay)
    T, p = getattr(two_sample, statistic)(x, y).item(), frame.views["null"].overlay[-1].text[0]
    seen = "seen" if float(p[-5:]) <= 0.05 else "not seen"
    known = rf"{p[3:]}: difference {seen} at 5 % · T = {re.escape(said(T, 4))} of 70 and 70 examples"
    assert re.fullmatch(rf"{known} · the exact D\* is right for 0\.\d\d of 4,000 new ones", frame.text)


def test_the_words_of_the_digit_board_and_of_the_studio_end_with_how_far_they_are_trained(stand_in):
    assert explorers.digit_board().frame().text.endswith(" · trained 1,500 steps")
    frame = explorers.gan_studio().frame({"k": 3, "critic_alone": 1})
    assert frame.text.endswith(" · trained 800 steps on the ring · R3GAN · critic 1 step alone")
    assert frame.views["plane"].label == "critic, k = 3: purple bets on data"
