"""Two solvers, one denoiser.

Do two ways from the same noise end at the same points?

Every state of both solvers, from noise to data, with the exact denoiser of two classes.
"""

import torch
from gdm_core.models.denoiser import Denoiser
from solvers import ancestral, ddim

from gdm_core import devices
from gdm_core.explorers import headers
from gdm_core.widgets import Button, Choice, Frame, Noise, Points, Slider, Stage, View

STEPS = 20


def solvers(seed: int = 0, device: str = "auto") -> Stage:
    """Explorer of DDIM and ancestral sampling.

    Args:
        seed: of the noise.
        device: see `devices.pick`.
    """
    device = devices.pick(device)
    noise, schedule = Noise(seed, device), Denoiser(2, labels=2).schedule
    times = torch.linspace(0.99, 0, STEPS + 1, device=device)

    def draw(controls) -> Frame:
        center = 2.0 if controls["side"] == "right" else -2.0

        def denoise(x, t):  # E[x | x_t, y] for x ~ N((center, 0), 1/4)
            alpha, sigma = schedule(t)
            mean = torch.tensor([center, 0.0]).to(device)
            return mean + 0.25 * alpha / (0.25 * alpha**2 + sigma**2) * (x - alpha * mean)

        draws = noise(controls["new noise"], STEPS + 1, 60, 2)
        views = {}
        for name, solver in (("DDIM", ddim), ("ancestral", ancestral)):
            x = list(solver(denoise, schedule, times, lambda i: draws[i]))[int(controls["step"])]
            views[name] = View(None, [Points(x.cpu().numpy(), "model", size=4)], (-5, 5, -4, 4), name)
        return Frame(views, f"t = {times[int(controls['step'])].item():.2f} · mean x {x[:, 0].mean().item():.2f}")

    return Stage(
        draw,
        [Slider("step", 0, STEPS, STEPS, step=1), Choice("side", ["left", "right"]), Button("new noise")],
        title=headers.title(__doc__),
        caption="Go back to the noise and forward again.",
        source=f"from gdm_core import explorers\n\nexplorers.solvers(seed={seed})",
        sampled={"step": 5},
        name="solvers",
    )
