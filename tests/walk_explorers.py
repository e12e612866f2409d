"""What any explorer must stand, whoever wrote it: where its controls can be moved to, and what a frame shows."""

import functools

import numpy as np

from gdm_core.explorers import EXPLORERS


@functools.cache
def stage_of(name: str):
    """The explorer as it opens; it is shared, so tests hand it states and do not move its controls."""
    return EXPLORERS[name].function()


def ends(control) -> list:
    """States at which a control of this kind stands at its ends."""
    spec = control.spec()
    match control.kind:
        case "slider":
            return [control.low, control.high]
        case "pad":
            left, right, bottom, top = control.extent
            return [(left, bottom), (right, top)]
        case "choice":
            return list(control.options)
        case "words":
            return [control.value, control.value[: len(control.value) // 2]]  # not all words make sense
        case "toggle":
            return [False, True]
        case "button":
            return [1, 2]
        case "timeline":
            return [0, -1]
        case "tiles":
            return [0, control.count - 1]
        case "handles":
            return [np.full((control.count, 2), end) for end in (-3.0, 3.0)]
        case "gaussians":
            row = np.arange(control.count)[:, None]
            return [
                np.concatenate([row * side + 0.0, row * 0 + [3.0, 0.05, 1.0]], 1) for side in ([1.0, -2.0], [-3.0, 0.5])
            ]
        case "brush":
            return [np.full((spec["height"], spec["width"]), end) for end in (0.0, 1.0)]
    raise AssertionError(f"needed the ends of a {control.kind}; say here where such a control can be moved to")


def moved(stage, control, end, base: dict) -> dict:
    """The whole state after a hand moved one control there; a button is pressed so often."""
    state = stage.clean({control.name: end}, base)
    times = end if control.kind == "button" else 1
    for _ in range(times if getattr(control, "press", None) else 0):
        state = stage.clean(control.press(stage.values(state)) or {}, state)
    return state


def far(stage) -> dict:
    """A state with every control at its last end, buttons and timelines aside."""
    state = stage.clean({})
    for control in stage.controls.values():
        if control.kind not in ("button", "timeline"):
            state = moved(stage, control, ends(control)[-1], state)
    return state


def alike(first, second) -> bool:
    """Whether two frames show the same but for rounding: in words to the letter, in pictures to a level of gray."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(alike(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(alike, first, second))
    if isinstance(first, np.ndarray):
        step = 1 if first.dtype == np.uint8 else 1e-4
        return first.shape == second.shape and np.allclose(
            first.astype(float), second, rtol=1e-4, atol=step, equal_nan=True
        )
    return abs(first - second) < 1e-4 if isinstance(first, float) else first == second


def shown(stage, state) -> tuple:
    """Everything that a frame shows, in a form that can be compared."""

    def plain(thing):
        if isinstance(thing, dict):
            return tuple((key, plain(value)) for key, value in sorted(thing.items()))
        if isinstance(thing, list | tuple):
            return tuple(map(plain, thing))
        return (thing.shape, thing.tobytes()) if isinstance(thing, np.ndarray) else thing

    encoded = stage.frame(state).encode()
    return plain(encoded["views"]), encoded["text"]
