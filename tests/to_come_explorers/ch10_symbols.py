"""A chain of symbols.

How likely is what comes next?

All events of a chain of three symbols, from the most to the least likely, and a sample of it.
"""

import torch
from gdm_core.models.chain import Chain

from gdm_core import devices, kept
from gdm_core.explorers import headers
from gdm_core.widgets import Choice, Frame, Lines, Slider, Stage, View


def symbols(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of an autoregressive model whose events can be listed.

    Args:
        seed: of the table.
        device: see `devices.pick`.
    """
    device = devices.pick(device)
    with kept.own_draws(seed):
        model = kept.frozen(Chain(3, 3, labels=2)).to(device)
    events = torch.cartesian_prod(*[torch.arange(3)] * 3).to(device)

    def draw(controls) -> Frame:
        y = torch.full((len(events),), {"a": 0, "b": 1}[controls["label"]]).to(device)
        p = (model.log_prob(events, y) * controls["sharpness"]).softmax(0).sort(descending=True).values
        curve = torch.stack([torch.arange(27.0).to(device), p], 1).cpu().numpy()
        entropy = torch.special.entr(p).sum().item()
        view = View(None, [Lines(curve, "model")], (0, 26, 0, 1), "probability of each event", axes=True)
        return Frame({"events": view}, f"entropy {entropy:.3f} nats of {27:d} events, at most 3.296")

    return Stage(
        draw,
        [Choice("label", ["a", "b"]), Slider("sharpness", 0.1, 4.0, 1.0)],
        title=headers.title(__doc__),
        caption="Sharpen the probabilities.",
        source=f"from gdm_core import explorers\n\nexplorers.symbols(seed={seed})",
        sampled={"sharpness": 4},
        name="symbols",
    )
