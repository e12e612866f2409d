"""Small stages, and a page played by a test: it sends requests to a stage of this process and keeps the answers."""

import numpy as np

from gdm_core import widgets as w
from gdm_core.widgets.stage import Stage


class Page:
    """What a page does: sends requests, keeps the answers."""

    def __init__(self, stage):
        self.stage, self.sent, self.n = stage, [], 0
        stage.send = lambda content, buffers=None: self.sent.append((content, list(buffers or [])))

    def draw(self, state=None, **rest):
        self.n += 1
        message = {"kind": "draw", "view": "a", "n": self.n, "state": state or {}, **rest}
        self.stage._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
        return self.sent[-1]

    def picture(self, state=None, **rest):
        """The first view's image of an answer, as an array."""
        content, buffers = self.draw(state, fresh=True, **rest)
        frame = content["frame"]
        told = frame["arrays"][frame["views"][0]["image"]["array"]]
        return np.frombuffer(buffers[told["buffer"]], np.uint8).reshape(told["shape"])


def gray(controls):
    """An image that shows the slider: all pixels equal to it."""
    return np.full((4, 6), controls["level"], np.uint8)


def levels(**options):
    return Stage(gray, [w.Slider("level", 0, 255, value=7, step=1)], **options)


def scene(controls):
    """Left view: a red point at (1, 1) of a white picture; right view: gray."""
    image = np.full((10, 10), 255, np.uint8)
    view = w.View(image, extent=(-2, 2, -2, 2), overlay=[w.Points([[1.0, 1.0]], "#ff0000", size=20)], label="")
    return w.Frame({"left": view, "right": w.View(np.full((10, 10), controls["level"], np.uint8), label="")}, "said")


def staged(**options):
    return Stage(scene, [w.Slider("level", 0, 255, value=100, step=1)], title="Scene", **options)
