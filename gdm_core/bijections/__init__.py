"""Invertible layers of normalizing flows: `to_latent(x, c) -> z, log|det dz/dx|` and `to_data(z, c) -> x`."""

from gdm_core.bijections.autoregressive import CausalTransformer, MaskedAutoregressive, MaskedMLP
from gdm_core.bijections.bijection import Bijection, Chain, Swapped
from gdm_core.bijections.coupling import Coupling
from gdm_core.bijections.elementwise import Affine, Spline
from gdm_core.bijections.linear import ActNorm, Mix, Permutation
from gdm_core.bijections.pictures import ChannelNet, Logit, MultiScale, Squeeze, shapes
from gdm_core.bijections.planar import Planar, Radial, solve, unfolded
from gdm_core.bijections.pushed import Pushed

__all__ = [
    "ActNorm",
    "Affine",
    "Bijection",
    "CausalTransformer",
    "Chain",
    "ChannelNet",
    "Coupling",
    "Logit",
    "MaskedAutoregressive",
    "MaskedMLP",
    "Mix",
    "MultiScale",
    "Permutation",
    "Planar",
    "Pushed",
    "Radial",
    "Spline",
    "Squeeze",
    "Swapped",
    "shapes",
    "solve",
    "unfolded",
]
