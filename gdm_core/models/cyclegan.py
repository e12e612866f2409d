r"""CycleGAN (Zhu et al., 2017): two domains, examples of each, no pairs.

    there: X -> Y,   back: Y -> X,   a critic in each domain
    both maps go down   their critics' cost + cycle (E |back(there(x)) - x| + E |there(back(y)) - y|)      (eq. 3)

An example is a picture of each domain that need not belong together: tensors (B, 2, C, H, W).  The losses see two
marginal distributions and that the maps undo each other.  Any way to pair the domains that respects both is as good as
the true one.
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn

from gdm_core import networks
from gdm_core.adversarial import LOSSES, slopes
from gdm_core.validate import bad, batch, choice


class CycleGAN(nn.Module):
    """Two maps and two critics.

    Args:
        event_shape: (C, H, W) of a picture with values in [0, 1]; anything, where all four modules are given.
        cycle: weight of the cycle's error, which is a mean over pixels.
        loss: one of `adversarial.LOSSES`; the paper's is "least squares".
        r1: weight of the penalty on the critics' slopes at data, as in `gan`.
        width: channels inside the maps.
        maps: own modules (there, back), (B, *event) -> (B, *event).
        critics: own modules (of X, of Y), (B, *event) -> (B, 1).
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        cycle: float = 10.0,
        loss: str = "least squares",
        r1: float = 0.0,
        width: int = 24,
        maps: tuple[nn.Module, nn.Module] | None = None,
        critics: tuple[nn.Module, nn.Module] | None = None,
    ):
        super().__init__()
        for name, weight in (("cycle", cycle), ("r1", r1)):
            if not 0 <= weight < float("inf"):
                raise bad(f"{name} >= 0", weight, f"{name}=1.0")
        self.event_shape, self.cycle, self.r1 = Size([2, *event_shape]), cycle, r1
        self.cost = LOSSES[choice("loss", loss, LOSSES)]
        self.there, self.back = maps or (Repaint(event_shape[0], width) for _ in range(2))
        self.critics = nn.ModuleList(
            critics or (networks.ConvEncoder(event_shape, 1, width=16, hidden=64) for _ in range(2))
        )
        if critics is None and self.cost.differences:
            for critic in self.critics:
                critic.net[-1].register_parameter("bias", None)  # which would learn nothing

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Both critics on one side, both maps on the other."""
        maps = [*self.there.parameters(), *self.back.parameters()]
        return {"critic": list(self.critics.parameters()), "generator": maps}

    def critic_loss(self, x: Tensor) -> Tensor:
        """What the critics pay for telling translations from data, (); no likelihood.  x: (B, 2, C, H, W)."""
        x, y = self._domains(x)
        with torch.no_grad():
            made = self.back(y), self.there(x)
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.critics.parameters())
        total = 0.0
        with torch.enable_grad():
            for critic, real, fake in zip(self.critics, (x, y), made):
                real = real.detach().requires_grad_()
                logits = critic(real)[:, 0]
                loss = self.cost.critic(logits, critic(fake)[:, 0])
                total = total + (loss + self.r1 / 2 * slopes(logits, real) ** 2 if self.r1 else loss).mean()
        return total if learns else total.detach()

    def generator_loss(self, x: Tensor) -> Tensor:
        """What the maps pay to their critics and for a cycle that does not close, (); no likelihood."""
        x, y = self._domains(x)
        in_x, in_y = self.back(y), self.there(x)
        total = self.cycle * ((self.back(in_y) - x).abs() + (self.there(in_x) - y).abs()).mean()
        for critic, real, fake in zip(self.critics, (x, y), (in_x, in_y)):
            told = critic(fake)[:, 0]
            with torch.no_grad():
                other = critic(real)[:, 0] if self.cost.pairs else told
            total = total + self.cost.generator(other, told).mean()
        return total

    def _domains(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return batch(x, self.event_shape, like=next(self.parameters())).unbind(1)


class Repaint(nn.Module):
    """A picture (B, C, H, W) in [0, 1] to another: a few convolutions that see 7 x 7 pixels around each."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1, padding_mode="replicate"),
        )

    def forward(self, x: Tensor) -> Tensor:
        return (self.net(x) + 4 * x - 2).sigmoid()  # it begins near the picture itself


def demos() -> dict[str, CycleGAN]:
    """Of pictures, with a loss of pairs and a penalty, and of points."""
    networks_of = lambda out: tuple(networks.mlp(2, (8,), out, nn.SiLU) for _ in range(2))
    return {
        "pictures": CycleGAN((1, 8, 8), width=4),
        "pairs": CycleGAN((1, 8, 8), width=4, loss="relativistic", r1=0.5),
        "plane": CycleGAN((2,), maps=networks_of(2), critics=networks_of(1)),
    }
