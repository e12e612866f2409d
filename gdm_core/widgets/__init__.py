r"""The stage: a picture that follows the hand, in JupyterLab, in the app and in exported pages.

One callback maps the values of the controls to pictures; the stage draws the controls, keeps up with the hand, and
keeps working while a model trains.

>>> import numpy as np
>>> from gdm_core.widgets import Frame, Noise, Pad, Points, Slider, Stage, View, plane, where_is
>>>
>>> grid = plane(3.0, 64)                                          # (64, 64, 2), row 0 at the top
>>> def draw(controls):
...     z = np.array(controls["z"])
...     field = -((grid - z) ** 2).sum(-1) / (2 * controls["spread"] ** 2)
...     map = View(field, extent=(-3, 3, -3, 3), colormap="cividis", scale="nats", overlay=[Points(z[None], "model")])
...     return Frame({"map": map, "picture": np.exp(field)}, text=where_is(z))
>>>
>>> controls = [Pad("z", limit=3.0, labels=("z1", "z2"), on="map"), Slider("spread", 0.3, 2.0)]
>>> stage = Stage(draw, controls, title="A bump")
>>> stage.set(z=(1.0, 0.5)).state
{'z': [1.0, 0.5], 'spread': 1.15}
>>> stage.words().split(" · ")[0]
'A bump: z = (1.00, 0.50), spread 1.15. log p(z) = −2.46 nats'

**Callback.** `draw(controls: dict) -> array | View | {name: View or array} | Frame`.  Values by control: `Slider` float
(int with int bounds and step), `Pad` (x, y), `Choice` the option, `Sentence` the string, `Toggle` bool, `Button` times
pressed, `Timeline` index, `Handles` (K, 2), `Gaussians` Moments(means, covs), `Tiles` index, `Brush` (H, W) in [0, 1].
No pyplot, no global random numbers: `Noise(seed)(controls["new noise"], *shape)` stays the same until the button is
pressed.

**On a view.** `Pad(on=...)`, `Handles`, `Gaussians`, `Tiles`, `Brush(on=...)` lie over the view of that name, in its
coordinates.  `Button(press=f)` moves other controls: `f(controls) -> {name: new value}` (one EM step).

**Training.** `trainer = Trainer(lambda: steps(model, x), lambda _: kept.frozen(model))`; in `draw` use
`trainer.latest.state`, or with `Timeline("checkpoint", trainer.count, value=-1, follow=True)` the state
`trainer.at(index).state`; `Stage(trainer=...)` shows its buttons and redraws as it goes.

**Without a page.** `stage.png()`, `stage.words()`, `stage.gif("step")`, `stage.code()`, `stage.state`,
`stage.set(...)`, `stage.press("new noise")`.

**Without a kernel.** `stage.to_html()` is a fragment of a page that still moves: with `Stage(sampled={"z": 11})` its
controls stop at the samples, with `Stage(decoder=BrowserDecoder.of(net, ["z"], (28, 28)))` the page decodes.
"""

from gdm_core.widgets.controls import Button, Choice, Pad, Sentence, Slider, Timeline, Toggle
from gdm_core.widgets.decoder import BrowserDecoder
from gdm_core.widgets.handles import Brush, Gaussians, Handles, Moments, Tiles
from gdm_core.widgets.honest import Noise, atypical, log_normal, shell, where_is
from gdm_core.widgets.overlay import Arrows, Bars, Ellipses, Lines, Points, Text
from gdm_core.widgets.stage import Stage
from gdm_core.widgets.trainer import Snapshot, Trainer
from gdm_core.widgets.view import Frame, View, plane, tile

__all__ = [
    "Arrows",
    "Bars",
    "BrowserDecoder",
    "Brush",
    "Button",
    "Choice",
    "Ellipses",
    "Frame",
    "Gaussians",
    "Handles",
    "Lines",
    "Moments",
    "Noise",
    "Pad",
    "Points",
    "Sentence",
    "Slider",
    "Snapshot",
    "Stage",
    "Text",
    "Tiles",
    "Timeline",
    "Toggle",
    "Trainer",
    "View",
    "atypical",
    "log_normal",
    "plane",
    "shell",
    "tile",
    "where_is",
]
