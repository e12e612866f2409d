r"""InfoGAN (Chen et al., 2016): classes that nobody told.

    e ~ N(0, I),   c one of K, all equally likely,   z = (e, c),   x = G(z)

A reader Q(c | x) guesses the class from the sample, seen through fog.  Generator and reader both go down

    the generator's loss - info E log Q(c | G(z)),      E log Q(c | G(z)) + log K <= I(c; x)      (eq. 5 and 6)

so that samples tell c.  Whether c is what a person would call a class is up to the data: no label is ever seen.
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical, Distribution, constraints

from gdm_core import networks
from gdm_core.models.gan import GAN
from gdm_core.validate import bad, batch, integer


class InfoGAN(GAN):
    """A GAN with a class among its latents and a reader of that class.

    Args:
        event_shape: shape of one example, or the number of features.
        noise: size of e.
        classes: K.
        info: weight of the reader's cross-entropy.
        fog: standard deviation of noise on what the reader sees, in units of x.  Without it any cut through the samples
            can be read; through fog only large differences can.
        reader: own module in place of a network like the critic: x -> (B, classes).
        options: of `GAN`, but labels: the classes are found, not told.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        noise: int,
        classes: int,
        *,
        info: float = 1.0,
        fog: float = 0.0,
        reader: nn.Module | None = None,
        **options,
    ):
        if "labels" in options:
            raise bad("no labels: an InfoGAN finds its classes", options["labels"], "GAN(..., labels=10)")
        if not 0 < info < float("inf"):
            raise bad("info > 0", info, "info=1.0")
        if not 0 <= fog < float("inf"):
            raise bad("fog >= 0", fog, "fog=0.5")
        super().__init__(event_shape, integer("noise", noise) + integer("classes", classes, 2), **options)
        self.noise, self.classes, self.info, self.fog = noise, classes, info, fog
        if reader is None and options.get("network") == "conv":
            reader = networks.ConvEncoder(self.event_shape, classes)
        elif reader is None:
            hidden = options.get("hidden") or (128, 128)
            reader = networks.MLPEncoder(self.event_shape, classes, hidden, activation=nn.SiLU)
        self.reader = reader

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The reader moves with the generator: both want the class to be read."""
        players = super().players()
        return players | {"generator": players["generator"] + list(self.reader.parameters())}

    def prior(self) -> Distribution:
        """p(z) over (noise + classes,): normal noise, then a class, one-hot."""
        return Code(self._zero[: self.noise], self.classes)

    def code(self, e: Tensor, c: Tensor | int) -> Tensor:
        """z = (e, c).  e: (..., noise), c: what broadcasts to (...) -> (..., noise + classes)."""
        c = torch.as_tensor(c, device=e.device).expand(e.shape[:-1])
        return torch.cat([e, nn.functional.one_hot(c, self.classes).to(e)], -1)

    def read(self, x: Tensor) -> Categorical:
        """Q(c | x).  x: (B, *event) -> a distribution over K for each."""
        told = self.reader(batch(x, self.event_shape, like=self._zero))
        if told.shape != (len(x), self.classes):
            raise bad(f"a reader whose output is (B, {self.classes})", tuple(told.shape), f"{self.classes} units")
        return Categorical(logits=told, validate_args=False)

    def generator_loss(self, x: Tensor) -> Tensor:
        """What generator and reader pay for as many samples as x has, (); no likelihood."""
        z = self.prior().sample((len(x),))
        made = self.generate(z)
        fake = self.logits(made)
        with torch.no_grad():
            real = self.logits(batch(x, self.event_shape, like=self._zero)) if self.cost.pairs else fake
        unread = -self.read(made + self.fog * torch.randn_like(made)).log_prob(z[:, self.noise :].argmax(1))
        return (self.cost.generator(real, fake) + self.info * unread).mean()


class Code(Distribution):
    """Normal noise beside a one-hot class, all classes equally likely."""

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, zero: Tensor, classes: int):
        super().__init__(event_shape=Size([len(zero) + classes]), validate_args=False)
        self.zero, self.classes = zero, classes

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """(*sample_shape, noise + classes)."""
        like = {"dtype": self.zero.dtype, "device": self.zero.device}
        e = torch.randn(*sample_shape, len(self.zero), **like)
        c = torch.randint(self.classes, tuple(sample_shape), device=self.zero.device)
        return torch.cat([e, nn.functional.one_hot(c, self.classes).to(e)], -1)


def demos() -> dict[str, InfoGAN]:
    """In the plane, and of pictures."""
    return {
        "plane": InfoGAN(2, 1, 3, hidden=(16,)),
        "pairs": InfoGAN(2, 1, 3, hidden=(16,), loss="relativistic", r1=0.1, r2=0.1),
        "pictures": InfoGAN((1, 8, 8), 2, 3, network="conv", unit=True),
    }
