"""A game that learns a ring.

What does the average of the weights see that the last weights do not?

Samples of a GAN, three moves of the critic a step, as it was kept or as it learns again.
"""

import torch

from gdm_core import devices, kept, train
from gdm_core.explorers import headers
from gdm_core.explorers.learning import Learned
from gdm_core.models.gan import GAN
from gdm_core.widgets import Button, Frame, Noise, Points, Slider, Stage, View


def ring(n: int, device) -> torch.Tensor:
    """(n, 2) points at distance 2, with a little noise."""
    angle = 6.2832 * torch.rand(n)
    return (2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(n, 2)).to(device)


def duel(steps: int = 60, device="cpu"):
    """Recipe of the game."""
    model = GAN(2, 2).to(device)
    draw = lambda n: ring(n, device)
    return model, train.steps(model, draw, steps=steps, moves={"critic": 3}, average=0.9, batch_size=64)


def critic(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of a GAN.

    Args:
        seed: of the model and of the noise.
        device: see `devices.pick`.
    """
    device = devices.pick(device)
    learned, noise = Learned(duel, lambda model: model, seed=seed, device=device, steps=60), Noise(seed, device)
    with kept.own_draws(seed, device):
        data = ring(200, "cpu").numpy()

    def draw(controls) -> Frame:
        model, when = learned.at(controls["checkpoint"])
        with torch.no_grad():
            x = model.generate(controls["spread"] * noise(controls["new noise"], 200, 2))
        radius = x.square().sum(1).sqrt().mean().item()
        marks = [Points(data, "data", size=3, label="data"), Points(x.cpu().numpy(), "model", size=4, label="samples")]
        return Frame({"plane": View(None, marks, (-3, 3, -3, 3), "data and samples")}, f"radius {radius:.2f} · {when}")

    return Stage(
        draw,
        [learned.timeline(), Slider("spread", 0.2, 2.0, 1.0, label="spread of the noise"), Button("new noise")],
        title=headers.title(__doc__),
        caption="Start the training and watch the samples find the ring.",
        trainer=learned.trainer,
        source=f"from gdm_core import explorers\n\nexplorers.critic(seed={seed})",
        sampled={"new noise": 2},
        name="critic",
    )
