r"""What a caption says, as numbers: attention over words (Bahdanau et al., 2015; Vaswani et al., 2017).

Each word looks at the words around it, then a few questions, which are learned, look at all words:

    h_i  <-  h_i + sum_j a_ij v_j,    a_i = softmax_j(q_i . k_j / sqrt(w) + b_{j - i}),   then two layers, word by word
    answer_m = sum_j softmax_j(u_m . k'_j / sqrt(w)) v'_j,    m = 1 .. the questions

A question asks every caption the same; what a word answers depends on its neighbors through b, which knows how far and
on which side another word stands (Shaw et al., 2018).  Without b "a red floor, a blue wall" and "a blue floor, a red
wall" are the same words.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from gdm_core.networks import TimeAndLabel, mlp
from gdm_core.validate import bad, captions, integer

LONGEST = 32  # words between which distances are told apart


class Words(nn.Module):
    """Captions (B, L), places in a vocabulary, 0 where there is no word, to (B, out).

    A row of zeros says nothing, and has an answer too.  Equal captions are read once.

    Args:
        vocabulary: how many words there are, place 0 among them.
        out: numbers a caption.
        width: numbers a word, divisible by `heads`.
        heads: of the attention between words.
        questions: that are asked of all words.
    """

    def __init__(self, vocabulary: int, out: int, *, width: int = 64, heads: int = 4, questions: int = 8):
        super().__init__()
        if width % integer("heads", heads):
            raise bad(f"a width that {heads} heads divide", width, f"width={heads * max(width // heads, 1)}")
        self.vocabulary, self.heads, self.width = integer("vocabulary", vocabulary, 2), heads, width
        self.of_word = nn.Embedding(vocabulary, width)
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.near = nn.Parameter(-(torch.arange(2 * LONGEST - 1) - LONGEST + 1.0).abs().expand(heads, -1).clone())
        self.norm_alone, self.alone = nn.LayerNorm(width), mlp(width, (2 * width,), width, nn.GELU)
        self.questions = nn.Parameter(torch.randn(integer("questions", questions), width))
        self.norm_heard, self.heard = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.answer = nn.Linear(questions * width, integer("out", out))

    def forward(self, y: Tensor) -> Tensor:
        rows, same = captions(y, len(y), self.vocabulary).unique(dim=0, return_inverse=True)
        looks, said = self._heard(rows)
        return self.answer((looks @ said).flatten(1))[same]

    def looks(self, y: Tensor) -> Tensor:
        """How much each question looks at each word: (B, L) -> (B, questions, L), sums 1."""
        looks = self._heard(captions(y, len(y), self.vocabulary))[0]
        return nn.functional.pad(looks, (0, y.shape[1] - looks.shape[2]))

    def _heard(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Attention of the questions (B, questions, words), and what the words answer (B, words, width)."""
        y = y[:, : max(1, int((y > 0).any(0).sum()))]  # no further than the longest caption
        if y.shape[1] > LONGEST:
            raise bad(f"captions of at most {LONGEST} words", y.shape[1], f"y[:, :{LONGEST}]")
        blank = y == 0
        blank[:, 0] = False  # whoever says nothing is looked at there
        hidden = torch.zeros(y.shape, dtype=self.near.dtype, device=y.device).masked_fill(blank, -torch.inf)
        place = torch.arange(y.shape[1], device=y.device)
        bias = self.near[:, place - place[:, None] + LONGEST - 1] + hidden[:, None, None]  # (B, heads, L, L)
        h = self.of_word(y)
        q, k, v = (a.unflatten(2, (self.heads, -1)).transpose(1, 2) for a in self.qkv(self.norm(h)).chunk(3, 2))
        h = h + self.out(scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2))
        h = h + self.alone(self.norm_alone(h))
        k, v = self.heard(self.norm_heard(h)).chunk(2, 2)
        return (self.questions @ k.mT / self.width**0.5 + hidden[:, None]).softmax(2), v


class Told(nn.Module):
    """network(x, t, y) -> like x, for vectors: residual layers whose norms time and caption scale and shift.

    Args:
        event_shape: of one example.
        vocabulary: of the captions y, (B, L); see `Words`.
        width: units of a layer.
        depth: residual layers.
        told: numbers that say time and caption.
    """

    def __init__(self, event_shape, vocabulary: int, *, width: int = 256, depth: int = 3, told: int = 64):
        super().__init__()
        features = torch.Size(event_shape).numel()
        self.told = TimeAndLabel(told, Words(vocabulary, told))
        self.enter, self.leave = nn.Linear(features, width), nn.Linear(width, features)
        nn.init.zeros_(self.leave.weight)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.ModuleList(nn.Linear(told, 2 * width) for _ in range(integer("depth", depth)))
        self.layers = nn.ModuleList(mlp(width, (width,), width, nn.SiLU) for _ in range(depth))

    def read(self, y: Tensor) -> Tensor:
        """What captions (B, L) say, (B, told): may stand for them in `forward`, so that many steps read them once."""
        return self.told.of_label(y)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """x: (B, *event), t: (B,), y: captions (B, L) or what was read of them -> like x."""
        c, h = silu(self.told(t, y)), self.enter(x.flatten(1))
        for modulation, layer in zip(self.modulation, self.layers):
            scale, shift = modulation(c).chunk(2, 1)
            h = h + layer(self.norm(h) * (1 + scale) + shift)
        return self.leave(h).reshape(x.shape)
