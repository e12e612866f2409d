r"""Deterministic autoencoder (Hinton & Salakhutdinov, 2006).

    z = g(phi, x),     x_hat = f(theta, z),     minimize ||x - x_hat||^2

Nothing here says how z is distributed: there is no prior to draw from, so there is no `sample` either.  With linear
maps its optimum spans the subspace of PCA (Baldi & Hornik, 1989).
"""

from collections.abc import Sequence

from torch import Size, Tensor, nn

from gdm_core import networks
from gdm_core.validate import bad, batch, choice, integer


class Autoencoder(nn.Module):
    """Two networks and a bottleneck.

    Args:
        event_shape: shape of one example, or the number of features.
        latents: size of z.
        hidden: units of the hidden layers of encoder and (reversed) decoder; () makes both linear.
        network: "mlp" or "conv" (pictures (C, H, W)).
        encoder, decoder: own modules in place of these: x -> (B, latents), z -> (B, *event).
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        latents: int,
        *,
        hidden: Sequence[int] = (256,),
        network: str = "mlp",
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ):
        super().__init__()
        self.event_shape = Size([event_shape] if isinstance(event_shape, int) else event_shape)
        self.latents = integer("latents", latents)
        if choice("network", network, ("mlp", "conv")) == "mlp":
            new_encoder = lambda: networks.MLPEncoder(self.event_shape, latents, hidden)
            new_decoder = lambda: networks.MLPDecoder(latents, self.event_shape, 1, tuple(hidden)[::-1])
        else:
            new_encoder = lambda: networks.ConvEncoder(self.event_shape, latents)
            new_decoder = lambda: networks.ConvDecoder(latents, self.event_shape)
        self.encoder = new_encoder() if encoder is None else encoder
        self.decoder = nn.Sequential(new_decoder(), nn.Flatten(1, 2)) if decoder is None else decoder

    def encode(self, x: Tensor) -> Tensor:
        """(B, *event) -> (B, latents)."""
        batch(x, self.event_shape, like=next(self.parameters(), None))
        z = self.encoder(x)
        if z.shape[1:] != (self.latents,):
            raise bad(f"an encoder whose output is (B, {self.latents})", tuple(z.shape), f"{self.latents} units")
        return z

    def decode(self, z: Tensor) -> Tensor:
        """(..., latents) -> (..., *event)."""
        if z.shape[-1:] != (self.latents,):
            raise bad(f"z of shape (..., {self.latents})", tuple(z.shape), "encode(x)")
        x = self.decoder(z.reshape(-1, self.latents))
        if x.shape[1:] != self.event_shape:
            raise bad(f"a decoder whose output is (B, {tuple(self.event_shape)})", tuple(x.shape), "nn.Unflatten")
        return x.reshape(*z.shape[:-1], *self.event_shape)

    def error(self, x: Tensor) -> Tensor:
        """||x - x_hat||^2, summed over the event: (B,)."""
        return (x - self.decode(self.encode(x))).square().flatten(1).sum(1)

    def loss(self, x: Tensor) -> Tensor:
        """Batch mean of `error`, in squared units of the data.  No likelihood."""
        return self.error(x).mean()


def demos() -> dict[str, Autoencoder]:
    """One latent in the plane, and pictures."""
    return {"plane": Autoencoder(2, 1, hidden=(16,)), "convolutional": Autoencoder((1, 6, 6), 2, network="conv")}
