"""Ten named colors on a wheel, and all the colors between them.

Equal steps of hue in HSV hold three greens that few can tell apart.  These ten are stepped by eye, and differ in
lightness as well as in hue.  A real hue in [0, 1) runs once around: k / 10 is exactly the k-th color.
"""

import torch
from torch import Tensor

PALETTE = (  # word, then hue in degrees, saturation and value in HSV
    ("red", -5.0, 0.82, 0.90),
    ("orange", 25.0, 0.88, 0.97),
    ("yellow", 49.0, 0.82, 0.98),
    ("lime", 84.0, 0.72, 0.86),
    ("green", 138.0, 0.76, 0.62),
    ("teal", 172.0, 0.76, 0.74),
    ("azure", 202.0, 0.68, 0.96),
    ("blue", 227.0, 0.78, 0.86),
    ("purple", 272.0, 0.62, 0.76),
    ("pink", 326.0, 0.52, 0.96),
)
WORDS = tuple(word for word, *_ in PALETTE)


def rgb(hue: Tensor) -> Tensor:
    """Color of real hues `(...)` in [0, 1), as on the screen: `(..., 3)` in [0, 1].

    >>> import colorsys
    >>> color = rgb(torch.tensor(0.7))
    >>> hue, saturation, value = colorsys.rgb_to_hsv(*color.tolist())
    >>> round(360 * hue), round(saturation, 2), round(value, 2)
    (227, 0.78, 0.86)
    """
    stops = torch.tensor([row[1:] for row in PALETTE], dtype=hue.dtype, device=hue.device)  # (10, 3)
    stops = torch.cat([stops, stops[:1] + stops.new_tensor([360.0, 0.0, 0.0])])
    place = hue * len(PALETTE)
    low = place.floor().clamp(0, len(PALETTE) - 1)
    h, s, v = torch.lerp(stops[low.long()], stops[low.long() + 1], (place - low)[..., None]).unbind(-1)
    # red, green and blue are the same trapezoid over the wheel, two sextants apart (A. R. Smith, 1978)
    k = torch.remainder(h[..., None] / 60 + h.new_tensor([5.0, 3.0, 1.0]), 6)
    return v[..., None] * (1 - s[..., None] * torch.minimum(k, 4 - k).clamp(0, 1))
