"""Six numbers, one picture.

What does each factor of a room change?  Six factors on six sliders, one rendered picture.
"""

import torch

from gdm_core import devices
from gdm_core.data import scenes as rooms
from gdm_core.explorers import headers
from gdm_core.widgets import Choice, Frame, Slider, Stage, View

NAMES = list(rooms.SHAPES)
VISIBLE = 1 / 255  # a change of a color, the least that a picture can show


def scenes(size: int = 160, device: str = "auto") -> Stage:
    """Explorer of the rendered rooms: what each of the six factors does.

    Args:
        size: pixels on a side of the large picture; the data set's 64 are shown beside it.
        device: where they are rendered; see `devices.pick`.
    """
    device = devices.pick(device)
    low, high = rooms.SCALES
    opening = torch.tensor([[200 / 360, 40 / 360, 0.0, (low + high) / 2, NAMES.index("sphere"), 10.0]])
    first = rooms.render(opening, 64, device)[0].permute(1, 2, 0)

    def draw(controls) -> Frame:
        hues = [controls[name] / 360 % 1.0 for name in ("floor", "wall", "object")]
        factors = torch.tensor([[*hues, controls["scale"], NAMES.index(controls["shape"]), controls["orientation"]]])
        large, small = (rooms.render(factors, s, device)[0].permute(1, 2, 0) for s in (size, 64))
        moved = ((small - first).abs().amax(-1) > VISIBLE).float().mean().item()
        views = {
            "scene": View(large, label=f"the room, {size} × {size}", smooth=True, size=1.6),
            "picture": View(small, label="what a model sees, 64 × 64"),
        }
        text = (
            f"{rooms.caption(factors)[0]} Six numbers here, {small.numel():,} in the picture · "
            f"changed since the first room: {100 * moved:.0f} % of the pixels"
        )
        return Frame(views, text)

    return Stage(
        draw,
        [
            Slider("floor", 0.0, 350.0, 200.0, step=2, label="floor hue", unit="°"),
            Slider("wall", 0.0, 350.0, 40.0, step=2, label="wall hue", unit="°"),
            Slider("object", 0.0, 350.0, 0.0, step=2, label="object hue", unit="°"),
            Slider("scale", low, high, label="object scale"),
            Choice("shape", NAMES, "sphere", label="object shape"),
            Slider("orientation", -30.0, 30.0, 10.0, step=0.5, label="orientation", unit="°"),
        ],
        title=headers.title(__doc__),
        caption="Move one slider at a time: each is one factor. Which changes the most pixels? "
        "All is exact, nothing is learned.",
        exported="Turn the room, then change the shape. Which changes more pixels? All is exact, nothing is learned.",
        source=f"from gdm_core import explorers\n\nexplorers.scenes(size={size})",
        sampled={"orientation": 13, "shape": 4},
        name="scenes",
    )
