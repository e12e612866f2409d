"""A stage for a page without a kernel and without a network: one fragment of HTML with everything in it.

The page's module is the same; in place of the kernel a model answers from sampled frames, or runs a small decoder.
"""

import base64
import hashlib
import html
import itertools
import json
import zlib

import numpy as np

from gdm_core.validate import bad, choice, integer
from gdm_core.widgets import assets, still
from gdm_core.widgets.controls import spread
from gdm_core.widgets.frames import pack
from gdm_core.widgets.honest import atypical, shell

LIMIT = 4_000_000  # bytes of one fragment
DEFAULT = {"slider": 11, "pad": 11, "button": 4, "timeline": 30}
ON_VIEW = ("handles", "gaussians", "tiles", "brush", "pad")


def to_html(stage, backend: str | None = None, *, blend: bool = False, limit: int = LIMIT, script: bool = True) -> str:
    """A self-contained fragment: the explorer still moves.

    Args:
        backend: "browser" (the stage's `decoder` runs in the page), "sprite" (frames sampled over `sampled`) or
            "still" (a picture); the best that the stage has unless given.
        blend: mix gray and color pictures between samples, where otherwise the nearest one shows.
        limit: of its size in bytes.
        script: bring the module and the style sheet; False for the second and later stages of one page.

    Raises:
        ValueError: a backend that the stage was not made for; a fragment larger than `limit`.
    """
    best = "browser" if stage.decoder else "sprite" if stage.sampled else "still"
    backend = choice("backend", backend or best, ("browser", "sprite", "still"))
    if backend == "browser" and not stage.decoder:
        raise bad(
            "a decoder for the browser backend", None, "Stage(..., decoder=BrowserDecoder(...)) or backend='sprite'"
        )
    encoded, words = base64.b64encode(stage.png(scale=still.SHARP)).decode(), html.escape(stage.words(), quote=True)
    picture = f'<img alt="{words}" style="max-width: 100%" src="data:image/png;base64,{encoded}">'
    if backend == "still":
        return picture
    moving = list(stage.decoder.inputs) if backend == "browser" else list(stage.sampled)
    axes = [] if backend == "browser" else [axis for name in moving for axis in _axes(stage.controls[name], stage)]
    packed = _pack(stage, axes, blend, limit, stage.decoder if backend == "browser" else None)
    spec = dict(stage.spec)
    shown = [c for c in spec["controls"] if c["name"] in moving or c["kind"] in ON_VIEW]
    spec["controls"] = [_kept(c, moving, axes, blend) for c in shown]
    count = int(np.prod([len(axis["values"]) for axis in axes]))
    sampled = f"mixed from {count} samples" if blend else f"{count} sampled pictures"
    what = "decoded in this page" if backend == "browser" else sampled
    labels = ", ".join(stage.controls[name].label for name in moving)
    note = f"On this page you can move: {labels} ({what}). What the text asks beyond that waits in the notebook."
    start = dict(stage.state) if blend else _sampled_start(stage.state, axes)
    spec |= {"initial": start, "trainer": False, "note": note, "caption": stage.exported}
    data = json.dumps({"spec": spec, "blob": base64.b64encode(packed).decode()}, allow_nan=False)
    key = "stage-" + hashlib.blake2b(data.encode(), digest_size=6).hexdigest()
    parts = [f'<div class="gdm-export" data-from="{key}">{picture}</div>']
    parts.append(f'<script type="application/json" id="{key}">{data.replace("</", "<" + chr(92) + "/")}</script>')
    if script:
        parts.append(f"<style>{assets.style()}</style>")
        parts.append(f'<script type="module">{assets.script()}\nopenExports();</script>')
    out = "\n".join(parts)
    if len(out) > limit:
        _too_large(len(out), limit, stage)
    return out


def _kept(control: dict, moving: list[str], axes: list[dict], blend: bool) -> dict:
    """The control as the page gets it: it stops at the samples, so that it always stands where the picture is."""
    if control["name"] not in moving:
        return control | {"frozen": True}
    own = [axis for axis in axes if axis["name"] == control["name"]]
    if not own:  # an input of the decoder moves freely
        return control
    values = [axis["values"] for axis in own]
    if control["kind"] == "choice":
        return control | {"options": values[0]}
    if control["kind"] == "button":
        return control if own[0]["cycle"] else control | {"most": values[0][-1]}
    if blend or control["kind"] == "toggle":
        return control
    return control | {"stops": values if control["kind"] == "pad" else values[0], "follow": False}


def _sampled_start(state: dict, axes: list[dict]) -> dict:
    """The state moved to the nearest samples: what the page opens with is what it can show."""
    state = {name: list(value) if isinstance(value, list) else value for name, value in state.items()}
    for axis in axes:
        name, part, values = axis["name"], axis["part"], axis["values"]
        now = state[name] if part is None else state[name][part]
        if now in values or not isinstance(now, int | float):
            continue
        nearest = values[-1] if axis["last"] and now == -1 else min(values, key=lambda v: abs(v - now))
        if part is None:
            state[name] = nearest
        else:
            state[name][part] = nearest
    return state


def _axes(control, stage) -> list[dict]:
    """Which states of a control are sampled: one axis, two for a pad."""
    count = stage.sampled[control.name]
    count = DEFAULT.get(control.kind) if count is True else count
    counts = list(count) if isinstance(count, list | tuple) else [] if count is None else [count]
    if len(counts) > 1 + (control.kind == "pad") or isinstance(count, list | tuple) and len(counts) != 2:
        raise bad(f"one number of samples for {control.name!r}, or two for a pad", count, f"{control.name}: 11")
    for n in counts:
        integer(f"samples of {control.name!r}", n)
    axis = {"name": control.name, "part": None, "cycle": False, "last": control.kind == "timeline"}
    if control.kind == "pad":
        left, right, bottom, top = control.extent
        nx, ny = count if isinstance(count, list | tuple) else (count, count)
        ends = (left, right, nx), (bottom, top, ny)
        return [axis | {"part": i, "values": sorted(np.linspace(*e).round(6).tolist())} for i, e in enumerate(ends)]
    if control.kind == "slider":
        space = np.geomspace if control.log else np.linspace
        values = space(control.low, control.high, count).tolist()
        values = sorted({round(v) for v in values}) if control.whole else [float(f"{v:.8g}") for v in values]
    elif control.kind == "choice":
        values = control.options[:count]
        if stage.state[control.name] not in values:
            values = [*values[:-1], stage.state[control.name]]
    elif control.kind == "toggle":
        values = [False, True]
    elif control.kind in ("timeline", "tiles"):
        states = control.states() if control.kind == "timeline" else range(control.count)
        values = [states[i] for i in spread(len(states), count or len(states))]
    elif control.kind == "button":
        values, axis["cycle"] = list(range(count)), control.press is None
    else:
        raise bad(f"a control that can be sampled, {control.name!r}", control.kind, "pad, slider, choice, timeline …")
    return [axis | {"values": values}]


def _state(stage, axes: list[dict], picks: tuple) -> dict:
    """The state at one point of the sampled grid; a button that acts is pressed so many times."""
    state = {name: list(v) if isinstance(v, list) else v for name, v in stage.state.items()}
    acts = []
    for axis, value in zip(axes, picks):
        control = stage.controls[axis["name"]]
        if axis["part"] is not None:
            state[axis["name"]][axis["part"]] = value
        else:
            state[axis["name"]] = value
        if control.kind == "button" and control.press is not None:
            acts.append((control, value))
    for button, times in acts:
        for _ in range(times):
            state = stage.clean(button.press(stage.values(state)) or {}, state)
    return state


def _pack(stage, axes: list[dict], blend: bool, limit: int, decoder) -> bytes:
    """Arrays and weights, then JSON that says where they are, then the length of the JSON; deflated as a whole."""
    frames, states, arrays = [], [], {}
    deflate, pieces, raw, packed = zlib.compressobj(9), [], 0, 0

    def keep(data: bytes) -> int:
        nonlocal raw, packed
        at = raw
        data += bytes(-len(data) % 4)  # each begins at a multiple of four bytes
        pieces.append(deflate.compress(data))
        raw, packed = raw + len(data), packed + len(pieces[-1])
        if packed * 4 / 3 > limit:
            _too_large(packed * 4 // 3, limit, stage)
        return at

    for picks in itertools.product(*(axis["values"] for axis in axes)):
        state = _state(stage, axes, picks)
        frame = stage.frame(state)
        header, buffers, _ = pack(frame.encode(), frozenset(arrays))
        for key, found in header.pop("arrays").items():
            data = bytes(buffers[found["buffer"]])
            arrays[key] = {"at": keep(data), "size": len(data), "type": found["type"], "shape": found["shape"]}
        frames.append(header)
        states.append(stage.clean(frame.controls, state))
    sampled = {axis["name"] for axis in axes}
    led = [n for n in stage.controls if n not in sampled and any(s[n] != states[0][n] for s in states)]
    for header, state in zip(frames, states):
        header["set"] = {name: state[name] for name in led}  # what a pressed button moved
    told = {"axes": axes, "frames": frames, "arrays": arrays, "blend": blend}
    if decoder is not None:
        weights = decoder.weights()
        told["decoder"] = _decoder(stage, decoder) | {"at": keep(weights), "size": len(weights)}
    text = json.dumps(told, separators=(",", ":"), allow_nan=False).encode()
    pieces.append(deflate.compress(text + len(text).to_bytes(4, "little")))
    return b"".join(pieces) + deflate.flush()


def _decoder(stage, decoder) -> dict:
    inputs, size = [], 0
    for name in decoder.inputs:
        control = stage.controls[choice("input of the decoder", name, stage.controls)]
        options = control.options if control.kind == "choice" else None
        wide = {"pad": 2, "slider": 1, "toggle": 1, "timeline": 1}.get(control.kind, len(options or []))
        if not wide:
            raise bad("pads, sliders, toggles and choices as inputs of a decoder", control.kind, "sampled={...}")
        inputs.append({"name": name, "options": options})
        size += wide
    needed = decoder.layers[0][0].shape[1]
    if size != needed:
        raise bad(f"{needed} inputs of the decoder", f"{size} from {', '.join(decoder.inputs)}", "other inputs")
    choice("view of the decoder", decoder.view, [v["name"] for v in stage.frame().encode()["views"]])
    latent = None
    if decoder.latent is not None:
        choice("latent of the decoder", decoder.latent, decoder.inputs)
        wide = 2 if stage.controls[decoder.latent].kind == "pad" else 1
        low, _, high = shell(wide, 0.9)
        edge = shell(wide, 0.99)[2]
        latent = {"name": decoder.latent, "low": f"{low:.2f}", "high": f"{high:.2f}", "percent": 90, "edge": edge}
        latent["warning"] = atypical([2 * edge] + [0.0] * (wide - 1))
    layers = [{"inside": w.shape[1], "outside": len(b), "activation": a} for w, b, a in decoder.layers]
    told = {"inputs": inputs, "layers": layers, "shape": list(decoder.shape), "view": decoder.view}
    return told | {"half": decoder.half, "latent": latent}


def _too_large(size: int, limit: int, stage) -> None:
    resolution = ", ".join(f"{name}: {count}" for name, count in stage.sampled.items()) or "a decoder"
    got = f"more than {size / 1e6:.1f} MB with {resolution}"
    raise bad(f"a page of at most {limit / 1e6:.1f} MB", got, "fewer samples, smaller pictures, or limit=...")
