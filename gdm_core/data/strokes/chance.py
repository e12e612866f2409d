"""Random numbers that belong to a picture, not to a call.

Each draw is a hash of (the picture's own key, the number of the draw): counter-based, as in Salmon et al. (2011).  So
a picture comes out the same alone or in a batch, on every device, and with one factor changed all else stays.
"""

import math

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF


def mix(x: Tensor) -> Tensor:
    """Scramble 32-bit words held in int64; one to one.  Xor-shift-multiply, constants found by C. Wellons' search."""
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & _WORD
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & _WORD
    return x ^ (x >> 15)


def keys(n: int, *stream: int, device="cpu") -> Tensor:
    """`(n,)` int64 keys, distinct within a stream; the first n of a longer run are the same."""
    high = torch.zeros((), dtype=torch.long)
    for word in stream:
        high = mix((high + 0x9E3779B9 + (word & _WORD)) & _WORD)
        high = mix(high ^ ((word >> 32) & _WORD))
    return ((high.to(device) & 0x7FFFFFFF) << 32) | torch.arange(n, device=device)


def uniform(key: Tensor, first: int, count: int) -> Tensor:
    """`(N, count)` float32 draws number `first`, `first + 1`, ... of each key `(N,)`, inside (0, 1)."""
    draw = torch.arange(first, first + count, device=key.device) * 0x3C6EF372
    low, high = (key & _WORD)[:, None], (key >> 32)[:, None]
    word = mix(mix((mix((low + draw) & _WORD) ^ high) & _WORD) ^ (draw & _WORD))
    return ((word >> 8).float() + 0.5) * 2.0**-24


def normal(key: Tensor, first: int, count: int) -> Tensor:
    """`(N, count)` standard normal draws (Box & Muller, 1958); each uses two uniform draws."""
    u = uniform(key, 2 * first, 2 * count)
    return (-2 * u[:, ::2].log()).sqrt() * (2 * math.pi * u[:, 1::2]).cos()
