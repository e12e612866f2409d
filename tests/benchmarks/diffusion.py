"""What 30 s of training learn of two targets; samplers and a U-Net beside those of diffusers, where it is installed."""

import time

import torch

from gdm_core import ideal, ode, samplers, schedules, train
from gdm_core.data import toy
from gdm_core.models.diffusion import Diffusion
from gdm_core.unet import UNet
from tests.benchmarks._race import race, table


def learned() -> None:
    rows = []
    for name, goal in (("moons", 0.02), ("eight_gaussians", 0.03)):
        target = toy.target(name)
        torch.manual_seed(0)
        model, start = Diffusion(2), time.process_time()
        settings = {"lr": 1e-2, "rate": train.falling, "average": 0.995, "progress": False}
        train.fit(model, target.sample, steps=5000, batch_size=512, **settings)
        seconds = time.process_time() - start
        x = target.sample(4000)
        gap = target.log_prob(x) - model.log_prob(x)
        rows.append((f"{name}, 5,000 steps of 512", gap.mean().item(), gap.std().item() / 4000**0.5, seconds, goal))
    table(("KL(exact, flow), nats", "ours", "std. error", "CPU s (goal 30)", "goal <="), *rows)


def exact() -> None:
    target, rows = toy.target("eight_gaussians"), []
    x = target.sample(4000).double()
    truth = target.log_prob(x)
    denoise = ideal.mixture(target.means, target.std, target.weights, schedules.cosine)
    v = torch.randn(1, *x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype).sign()
    for name, probes in (("exact trace", None), ("Hutchinson, one sign", v)):
        off = ode.log_prob(denoise, schedules.cosine, x, probes=probes) - truth
        rows.append((name, off.mean().item(), off.std().item() / 4000**0.5, off.abs().max().item()))
    table(("log p by the flow less the exact one", "mean", "std. error", "largest"), *rows)


def by_the_paper(x: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
    """Ho et al. (2020, eq. 7), every coefficient computed at each step as tensors, the noise told by a stand-in."""
    bars = torch.cumprod(1 - betas, 0)
    for k in reversed(range(len(betas))):
        bar, before = bars[k], bars[k - 1] if k else torch.ones(())
        mean = (x - (1 - bar).sqrt() * 0.1 * x) / bar.sqrt()
        x = before.sqrt() * betas[k] / (1 - bar) * mean + (1 - betas[k]).sqrt() * (1 - before) / (1 - bar) * x
        if k:
            x = x + (betas[k] * (1 - before) / (1 - bar)).sqrt() * torch.randn_like(x)
    return x


def outside() -> None:
    schedule, x = schedules.linear(1000), torch.randn(2000, 2)
    times = schedules.times(schedule, 1000)
    runs = {
        "ours": lambda: samplers.last(samplers.ddim(lambda x, t: x, schedule, x, times, eta=1.0)),
        "as in the paper": lambda: by_the_paper(x, schedule.betas.float()),
    }
    try:
        from diffusers import DDPMScheduler
    except ImportError:
        print("  diffusers is not installed: its scheduler is not measured")
    else:
        peer = DDPMScheduler(num_train_timesteps=1000, clip_sample=False)

        def theirs() -> None:
            state = x
            for t in peer.timesteps:
                state = peer.step(state, t, state).prev_sample

        runs["diffusers, goal >= 5"] = theirs
    ms = race(runs, rounds=5)
    rows = [(name, value, value / ms["ours"]) for name, value in ms.items()]
    table(("DDPM, 1,000 steps of 2,000 points, no network", "CPU ms", "times ours"), *rows)


def pictures() -> None:
    """A U-Net of as many parameters: one step of training on 32 pictures, and 8 drawn by DDIM in 50 steps."""
    try:
        from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
    except ImportError:
        return
    shape, stairs = (1, 16, 16), ("DownBlock2D", "DownBlock2D")
    blocks = {"down_block_types": stairs, "up_block_types": ("UpBlock2D", "UpBlock2D"), "layers_per_block": 1}
    peer = UNet2DModel(16, 1, 1, block_out_channels=(32, 64), norm_num_groups=8, add_attention=False, **blocks)
    ours, x, t = UNet(shape, widths=(32, 112)), torch.randn(32, *shape), torch.rand(32)
    model = Diffusion(shape, schedule=schedules.linear(), predicts="noise", network=ours)
    pipe = DDIMPipeline(peer, DDIMScheduler(num_train_timesteps=1000, clip_sample=False))
    pipe.set_progress_bar_config(disable=True)
    times = schedules.times(model.schedule, 50)

    def trains(network, answer):
        optimizer = torch.optim.Adam(network.parameters(), 1e-4)

        def step() -> None:
            optimizer.zero_grad()
            (answer() - x).square().mean().backward()
            optimizer.step()

        return step

    draw = lambda: samplers.last(samplers.ddim(model.denoise, model.schedule, torch.randn(8, *shape), times))
    pairs = {
        "a step, goal >= 1.5": (trains(ours, lambda: ours(x, t)), trains(peer, lambda: peer(x, 999 * t).sample)),
        "DDIM-50, goal >= 1.7": (draw, lambda: pipe(batch_size=8, num_inference_steps=50, output_type="np")),
    }
    size = lambda network: sum(p.numel() for p in network.parameters())
    rows = []
    for name, runs in pairs.items():
        ms = race(dict(zip(("ours", "diffusers"), runs)), rounds=7)
        rows.append((name, *ms.values(), ms["diffusers"] / ms["ours"]))
    table((f"U-Nets of {size(ours):,} and {size(peer):,}, CPU ms", "ours", "diffusers", "times ours"), *rows)


def main() -> None:
    learned()
    exact()
    outside()
    pictures()
