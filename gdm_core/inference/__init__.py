"""Variational inference for any model with a prior, a decoder and some q.

bounds          elbo, iwae_bound, kl
grid            exact posterior and log p(x) of one or two latents
per_datapoint   own parameters nu_i for every x_i, alone or together with the decoder
gap             what the family of q loses, what the encoder loses
gradients       score function against reparameterization
"""

from gdm_core.inference.bounds import elbo, iwae_bound, kl, log_weights
from gdm_core.inference.gap import Gap, Mean, inference_gap, mean_and_error
from gdm_core.inference.gradients import gradient_samples
from gdm_core.inference.grid import GridPosterior, grid_posterior
from gdm_core.inference.per_datapoint import PerDatapoint, State, fit_jointly, fit_per_datapoint

__all__ = [
    "Gap",
    "GridPosterior",
    "Mean",
    "PerDatapoint",
    "State",
    "elbo",
    "fit_jointly",
    "fit_per_datapoint",
    "gradient_samples",
    "grid_posterior",
    "inference_gap",
    "iwae_bound",
    "kl",
    "log_weights",
    "mean_and_error",
]
