r"""One feature after the other: z_i = map(x_i; net(x_1 ... x_{i-1})), a triangular Jacobian.

Density in one pass, samples in d passes (Papamakarios et al., 2017; `Swapped`: the other way, Kingma et al., 2016).
The network keeps the order by masks (Germain et al., 2015, eq. 12-13), or is a transformer (Zhai et al., 2024).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from gdm_core.bijections.bijection import Bijection
from gdm_core.bijections.coupling import told
from gdm_core.bijections.elementwise import Affine
from gdm_core.causal.attention import Block
from gdm_core.validate import bad, integer


class MaskedAutoregressive(Bijection):
    """Every feature is moved as the ones before it say.

    Args:
        features: d.
        map: of `bijections.elementwise`.
        hidden: units of the masked network's hidden layers.
        context: numbers that the network is told beside x.
        net: own network in place of it, (B, d) and c -> (B, d, map.parameters), whose row i sees x_1 ... x_{i-1} alone.
    """

    def __init__(
        self,
        features: int,
        map: Affine | None = None,
        *,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        net: nn.Module | None = None,
    ):
        super().__init__()
        self.features, self.map = integer("features", features), Affine() if map is None else map
        self.net = MaskedMLP(features, self.map.parameters, hidden, context) if net is None else net

    def to_latent(self, x, c=None):
        z, log_slope = self.map(x, self.net(x, c))
        return z, log_slope.sum(1)

    def to_data(self, z, c=None):
        x = torch.zeros_like(z)
        for i in range(self.features):  # what is behind i is 0 still, and the net does not look at it
            here = self.map.inverse(z[:, i], self.net(x, c)[:, i])
            x = torch.cat([x[:, :i], here[:, None], x[:, i + 1 :]], 1)
        return x


class MaskedMLP(nn.Module):
    """(B, d) -> (B, d, out), row i of x_1 ... x_{i-1} and of the context.

    Unit j of a layer has a degree m_j: it sees inputs of degree m_j at most.  Input i has degree i, the context 0.
    """

    def __init__(self, features: int, out: int, hidden: Sequence[int] = (64, 64), context: int = 0):
        super().__init__()
        self.features, self.context, self.out = features, context, out
        degrees = torch.cat([torch.arange(1, features + 1), torch.zeros(context, dtype=torch.long)])
        low = 0 if context or features == 1 else 1
        self.layers, masks = nn.ModuleList(), []
        for n in hidden:
            mine = low + torch.arange(n) % (features - low)
            self.layers.append(nn.Linear(len(degrees), n))
            masks.append(mine[:, None] >= degrees)
            degrees = mine
        self.layers.append(nn.Linear(len(degrees), features * out))
        masks.append(torch.arange(1, features + 1).repeat_interleave(out)[:, None] > degrees)
        for i, mask in enumerate(masks):
            self.register_buffer(f"mask{i}", mask.float())
        with torch.no_grad():
            self.layers[-1].weight.mul_(0.01)
            self.layers[-1].bias.mul_(0.01)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        a = told(x, c, self.context)
        for i, layer in enumerate(self.layers):
            a = linear(silu(a) if i else a, layer.weight * getattr(self, f"mask{i}"), layer.bias)
        return a.unflatten(1, (self.features, self.out))


class CausalTransformer(nn.Module):
    """(B, d) -> (B, d, out), row i of x_1 ... x_{i-1} and of the context: each feature is a token, shifted by one."""

    def __init__(
        self, features: int, out: int = 2, *, width: int = 32, heads: int = 2, blocks: int = 2, context: int = 0
    ):
        super().__init__()
        if integer("width", width) % integer("heads", heads):
            raise bad(f"a width that {heads} heads can share", width, f"width={heads * 16}")
        self.context = integer("context", context, 0)
        self.read, self.place = nn.Linear(1, width), nn.Parameter(0.1 * torch.randn(features, width))
        self.tell = nn.Linear(context, width) if context else None
        self.blocks = nn.ModuleList(Block(width, heads, wider=4) for _ in range(blocks))
        self.norm, self.write = nn.LayerNorm(width), nn.Linear(width, out)
        with torch.no_grad():
            self.write.weight.mul_(0.01)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        a = self.read(torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)[..., None]) + self.place  # (B, d, width)
        if self.tell is not None:
            a = a + self.tell(told(x[:, :0], c, self.context))[:, None]
        for block in self.blocks:
            a = block(a)
        return self.write(self.norm(a))
