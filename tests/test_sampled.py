"""What an exported page carries, taken apart again: samples, starts, arrays, weights, words that cannot break out."""

import base64
import itertools
import json
import re
import zlib

import numpy as np
import pytest
from scipy import stats

from gdm_core import widgets as w
from gdm_core.widgets import export
from gdm_core.widgets.stage import Stage

CONTROLS = {
    "z": lambda: w.Pad("z", (0, 1, 0, 3)),
    "level": lambda: w.Slider("level", 0, 10, step=1, value=4),
    "kind": lambda: w.Choice("kind", ["a", "b", "c", "d"], value="d"),
    "on": lambda: w.Toggle("on"),
    "noise": lambda: w.Button("noise"),
    "more": lambda: w.Button("more", press=lambda c: {"level": c["level"] + 2}),
    "step": lambda: w.Timeline("step", 9, value=5),
}


def draw(controls):
    """A picture and a curve that show every control."""
    z, kind = controls["z"], "abcd".index(controls["kind"])
    numbers = [*z, controls["level"], kind, controls["on"], controls["noise"], controls["more"], controls["step"]]
    image = np.resize(np.array(numbers) / 16, (3, 5))  # 15 bytes: what comes after it must be moved to a multiple of 4
    return w.Frame({"v": w.View(image, [w.Lines(np.stack([np.arange(8), numbers], 1))])}, text=f"{numbers}")


def stage(**sampled):
    return Stage(draw, [make() for make in CONTROLS.values()], title="T", sampled=sampled)


def apart(fragment):
    """The spec and the packed part of a fragment, and its bytes."""
    (text,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', fragment, re.DOTALL)
    data = json.loads(text)
    raw = zlib.decompress(base64.b64decode(data["blob"]))
    size = int.from_bytes(raw[-4:], "little")
    return data["spec"], json.loads(raw[-4 - size : -4]), raw


def array(packed, raw, node):
    told = packed["arrays"][node["array"]]
    assert told["at"] % 4 == 0  # a page can look at floats without copying them
    kind = {"u1": np.uint8, "f4": "<f4"}[told["type"]]
    return np.frombuffer(raw[told["at"] : told["at"] + told["size"]], kind).reshape(told["shape"])


@pytest.mark.parametrize(
    "sampled, expected",
    [
        ({"z": (2, 3)}, {"z": ([0, 1], [0, 1.5, 3])}),
        ({"level": 4}, {"level": [0, 3, 7, 10]}),
        ({"kind": 2}, {"kind": ["a", "d"]}),  # the option that is chosen is among them
        ({"on": True}, {"on": [False, True]}),
        ({"noise": 3}, {"noise": [0, 1, 2]}),
        ({"more": 3}, {"more": [0, 1, 2]}),
        ({"step": 3}, {"step": [0, 4, 8]}),
        ({"step": True}, {"step": [*range(9)]}),
        ({"level": 2, "on": True, "more": 2}, {"level": [0, 10], "on": [False, True], "more": [0, 1]}),
    ],
)
def test_a_page_holds_the_frame_of_every_sampled_state(sampled, expected):
    made = stage(**sampled)
    spec, packed, raw = apart(made.to_html("sprite"))
    values = [v for name in sampled for v in (expected[name] if name == "z" else [expected[name]])]
    assert [axis["values"] for axis in packed["axes"]] == values
    assert [axis["cycle"] for axis in packed["axes"]] == [axis["name"] == "noise" for axis in packed["axes"]]
    picks = list(itertools.product(*values))
    assert len(packed["frames"]) == len(picks)
    for pick, found in zip(picks, packed["frames"]):
        given = {"z": list(pick)} if "z" in sampled else dict(zip(sampled, pick))
        base = {**made.state, **given}
        state = {**base, "level": min(10, base["level"] + 2 * given.get("more", 0))}
        wanted = made.frame(state).encode()
        assert found["text"] == wanted["text"]
        (seen,), (view,) = found["views"], wanted["views"]
        np.testing.assert_array_equal(array(packed, raw, seen["image"]), view["image"])
        np.testing.assert_allclose(array(packed, raw, seen["marks"][0]["xy"]), view["marks"][0]["xy"])
        assert found["set"] == ({"level": state["level"]} if "more" in sampled and "level" not in sampled else {})


def test_what_a_frame_moved_by_itself_is_told_with_it():
    draw = lambda c: w.Frame(np.zeros((2, 2)), controls={"z": (c["s"], 1.0)})
    made = Stage(draw, [w.Slider("s", 0.0, 2.0), w.Pad("z", 3.0)], sampled={"s": 3})
    assert [f["set"] for f in apart(made.to_html())[1]["frames"]] == [{"z": [s, 1.0]} for s in (0.0, 1.0, 2.0)]


def test_samples_of_a_logarithmic_slider_are_equal_ratios():
    slider = w.Slider("rate", 1e-3, 10.0, log=True, value=0.02)
    made = Stage(lambda c: np.zeros((2, 2)), [slider], sampled={"rate": 5})
    spec, packed, _ = apart(made.to_html("sprite"))
    assert packed["axes"][0]["values"] == pytest.approx([1e-3, 1e-2, 0.1, 1.0, 10.0])
    assert spec["initial"]["rate"] == pytest.approx(0.01)  # the nearest, not the first


def test_a_page_opens_at_the_nearest_samples_unless_it_mixes():
    made = stage(z=(2, 3), level=4, step=3).set(z=(0.8, 1.2), level=6)
    spec, _, _ = apart(made.to_html("sprite"))
    assert spec["initial"] == {**made.state, "z": [1.0, 1.5], "level": 7, "step": 4}
    assert made.state["z"] == [0.8, 1.2]  # the stage itself stays where it is
    mixed, packed, _ = apart(made.to_html("sprite", blend=True))
    assert mixed["initial"] == made.state and packed["blend"]
    newest = Stage(lambda c: np.zeros((2, 2)), [w.Timeline("t", 9, value=-1, follow=True)], sampled={"t": 2})
    assert newest.state == {"t": -1} and apart(newest.to_html())[0]["initial"] == {"t": 8}


def test_controls_stop_at_their_samples_and_others_are_gone():
    made = stage(z=(2, 3), level=4, noise=3, more=3, kind=2)
    kept = {c["name"]: c for c in apart(made.to_html("sprite"))[0]["controls"]}
    assert kept.keys() == {"z", "level", "noise", "more", "kind"}
    assert kept["z"]["stops"] == [[0, 1], [0, 1.5, 3]] and kept["level"]["stops"] == [0, 3, 7, 10]
    assert kept["more"]["most"] == 2 and "most" not in kept["noise"] and kept["kind"]["options"] == ["a", "d"]
    blended = {c["name"]: c for c in apart(made.to_html("sprite", blend=True))[0]["controls"]}
    assert "stops" not in blended["z"] and "stops" not in blended["level"]


def test_words_of_a_stage_cannot_break_out_of_the_page():
    bad = "</script><script>alert('1')</script> \"quoted\" <b>"
    made = Stage(lambda c: np.zeros((2, 2)), [w.Slider("s", 0, 1, label=bad)], title=bad, caption=bad, sampled={"s": 2})
    fragment = made.to_html("sprite", script=False)
    assert fragment.count("</script>") == 1 and "<b>" not in fragment.split("<script")[0]
    assert apart(fragment)[0]["title"] == bad  # and yet it is all there
    (alt,) = re.findall(r'<img alt="([^"]*)" style', fragment)
    assert "&quot;quoted&quot;" in alt and "&lt;b&gt;" in alt


def test_a_page_that_decodes_has_its_weights_and_its_latent():
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(5, 5)), rng.normal(size=5), "relu"), (rng.normal(size=(6, 5)), np.ones(6), "sigmoid")]
    decoder = w.BrowserDecoder(layers, ["z", "on", "level", "step"], (2, 3), view="v", latent="z", half=False)
    made = Stage(draw, [make() for make in CONTROLS.values()], decoder=decoder)
    _, packed, raw = apart(made.to_html("browser"))
    told = packed["decoder"]
    assert told["layers"] == [
        {"inside": 5, "outside": 5, "activation": "relu"},
        {"inside": 5, "outside": 6, "activation": "sigmoid"},
    ]
    assert told["at"] % 4 == 0 and raw[told["at"] : told["at"] + told["size"]] == decoder.weights()
    assert [i["name"] for i in told["inputs"]] == ["z", "on", "level", "step"] and told["shape"] == [2, 3]
    low, high, edge = stats.chi.ppf([0.05, 0.95, 0.995], 2)
    assert (told["latent"]["low"], told["latent"]["high"]) == (f"{low:.2f}", f"{high:.2f}")
    assert told["latent"]["edge"] == pytest.approx(edge) and told["latent"]["warning"].startswith("far out: only 0.5 %")
    wide = w.BrowserDecoder([(np.ones((6, 4)), np.zeros(6), "relu")], ["kind"], (2, 3), view="v")
    _, packed, _ = apart(Stage(draw, [make() for make in CONTROLS.values()], decoder=wide).to_html("browser"))
    assert packed["decoder"]["inputs"] == [{"name": "kind", "options": ["a", "b", "c", "d"]}]


def test_a_page_that_grows_too_large_is_stopped_while_it_grows(monkeypatch):
    drawn = []
    noise = np.random.default_rng(0)
    made = Stage(lambda c: drawn.append(1) or noise.random((64, 64)), [w.Slider("s", 0, 1)], sampled={"s": 200})
    drawn.clear()
    with pytest.raises(ValueError, match="a page of at most 0.1 MB"):
        made.to_html(limit=100_000)
    assert len(drawn) < 60
    assert export.LIMIT == 4_000_000
