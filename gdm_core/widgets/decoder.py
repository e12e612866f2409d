"""A small decoder as numbers, so that a page without a kernel can run it: 118,000 weights take it 0.2 ms a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from gdm_core.validate import bad, choice
from gdm_core.widgets.overlay import array


def _gelu(v: np.ndarray) -> np.ndarray:
    from scipy.special import erf  # each page would wait for its import

    return 0.5 * v * (1 + erf(v / np.sqrt(2)))


ACTIVATIONS = {
    "identity": lambda v: v,
    "relu": lambda v: np.maximum(v, 0),
    "leaky_relu": lambda v: np.where(v > 0, v, 0.01 * v),
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "silu": lambda v: v / (1 + np.exp(-v)),
    "softplus": lambda v: np.logaddexp(0, v),
    "elu": lambda v: np.where(v > 0, v, np.expm1(np.minimum(v, 0))),
    "gelu": _gelu,
}
MODULES = {
    nn.ReLU: ("relu", {}),
    nn.LeakyReLU: ("leaky_relu", {"negative_slope": 0.01}),
    nn.Tanh: ("tanh", {}),
    nn.Sigmoid: ("sigmoid", {}),
    nn.SiLU: ("silu", {}),
    nn.Softplus: ("softplus", {"beta": 1.0}),
    nn.ELU: ("elu", {"alpha": 1.0}),
    nn.GELU: ("gelu", {"approximate": "none"}),
}
NEUTRAL = (nn.Identity, nn.Dropout, nn.Flatten, nn.Unflatten)


@dataclass
class BrowserDecoder:
    """Dense layers from the values of some controls to one picture.

    Args:
        layers: (weight (out, in), bias (out,), activation), first to last; the last gives intensities in [0, 1].
        inputs: names of the controls that go in, one after the other: a pad gives two numbers, a slider one, a toggle
            0 or 1, a choice one for each of its options (1 at the chosen one).
        shape: of the picture, (H, W) or (H, W, 3).
        view: which view shows it.
        latent: name of the pad or slider that is a standard normal latent; the page then says how likely it is.
        half: weights in half precision, half the size, an error of about one gray level.
    """

    layers: Sequence
    inputs: Sequence[str]
    shape: Sequence[int]
    view: str = "picture"
    latent: str | None = None
    half: bool = True

    def __post_init__(self):
        layers = []
        for weight, bias, activation in self.layers:
            weight = array("weight", weight, (None, None))
            bias = array("bias", bias, (len(weight),))
            layers.append((weight, bias, choice("activation", activation, ACTIVATIONS)))
        for (before, _, _), (after, _, _) in zip(layers, layers[1:]):
            if len(before) != after.shape[1]:
                raise bad("layers that fit", f"{len(before)} outputs into {after.shape[1]} inputs", "their order")
        if not layers or len(layers[-1][0]) != np.prod(self.shape):
            got = len(layers[-1][0]) if layers else "no layer"
            raise bad(f"{np.prod(self.shape)} outputs for a picture {tuple(self.shape)}", got, "another shape")
        self.layers = layers

    @classmethod
    def of(cls, module: nn.Module, inputs: Sequence[str], shape: Sequence[int], *, final: str | None = None, **options):
        """From an `nn.Sequential` (nested ones too) of Linear layers and activations.

        Args:
            module: in the end its output is the picture, or becomes it by `final`.
            final: one more activation, "sigmoid" for a network that gives logits.

        Raises:
            ValueError: a layer that cannot run in the page, named.
        """
        layers: list[list] = []
        for part in _flat(module):
            if isinstance(part, nn.Linear):
                bias = np.zeros(part.out_features) if part.bias is None else part.bias
                layers.append([part.weight, bias, "identity"])
                continue
            kind, settings = MODULES.get(type(part), (None, {}))
            wrong = [f"{k}={getattr(part, k)}" for k, v in settings.items() if getattr(part, k) != v]
            if kind is None or wrong or not layers:
                listed = ", ".join(m.__name__ for m in MODULES)
                got = f"{type(part).__name__}({', '.join(wrong)})" + ("" if layers else " before the first Linear")
                raise bad(f"Linear layers, each with one of {listed}", got, "sampled={...} in place of a decoder")
            _activate(layers, kind)
        if final is not None:
            _activate(layers, final)
        return cls(layers, inputs, shape, **options)

    def __call__(self, x) -> np.ndarray:
        """The same computation here: numbers (inputs,) -> uint8 picture."""
        for weight, bias, activation in self.layers:
            x = ACTIVATIONS[activation](weight @ np.asarray(x, dtype=float) + bias)
        return np.rint(255 * np.clip(x, 0, 1)).astype(np.uint8).reshape(tuple(self.shape))

    def weights(self) -> bytes:
        """All weights and biases, layer by layer, in the order in which the page reads them."""
        flat = np.concatenate([part.ravel() for weight, bias, _ in self.layers for part in (weight, bias)])
        if self.half and np.abs(flat).max() > 65000:
            raise bad("weights that half precision holds", f"one of {np.abs(flat).max():.3g}", "half=False")
        return flat.astype("<f2" if self.half else "<f4").tobytes()


def _flat(module: nn.Module):
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _flat(part)
    elif not isinstance(module, NEUTRAL):
        yield module


def _activate(layers: list[list], kind: str) -> None:
    if layers[-1][2] == "identity":
        layers[-1][2] = kind
    else:  # two in a row: the second after a layer that changes nothing
        size = len(layers[-1][1])
        layers.append([np.eye(size), np.zeros(size), kind])
