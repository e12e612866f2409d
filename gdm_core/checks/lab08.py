r"""Lab 08, GANs: what both pay, how hard they are pulled, penalties that reach the critic, turns, labels, modes.

Truths come from plain numbers, from a critic whose slope has a formula, from games of two numbers played by hand.
"""

import math

import torch
from torch import Generator, Tensor, nn

from gdm_core.checks.answers import Answer
from gdm_core.checks.compare import equal, parts, require, tensor
from gdm_core.checks.exercise import Exercise

RATE = 0.3
ADDED = "gradients of earlier moves were added: zero_grad before each backward"
NO_GRAPH = "it does not reach the critic's parameters: torch.autograd.grad(..., create_graph=True)"


@Exercise.worth(critic=2, minimax=1, non_saturating=1, far_away=1)
def pays(answer: Answer, numbers: Generator) -> None:
    """-log s(D(x)) - log(1 - s(D(G(z)))), and both losses of the generator (Goodfellow et al., 2014)."""
    for n, far in ((6, 0.0), (4, 300.0)):
        real, fake = 1.5 * _normal(numbers, n) + far, 1.5 * _normal(numbers, n) + 0.5 + far
        critic, minimax, other = parts(answer(real, fake), "critic", "minimax", "non-saturating")
        if far:
            answer.part("far away")
            for value in (critic, minimax, other):
                got = tensor(value, (), "()")
                require(bool(torch.isfinite(got)), "logits of 300 give log(0): softplus(a) = log(1 + e^a) stays finite")
        yes, no = _log_s(real).mean(), _log_s(-fake).mean()  # log s(D(x)), log(1 - s(D(G(z))))
        fooled = _log_s(fake).mean()
        if not far:
            answer.part("critic")
        equal(tensor(critic, (), "()", "the critic's loss"), -yes - no, {
            "the critic goes down what it pays: minus both logarithms": yes + no,
            "the half on samples is missing": -yes,
            "the half on data is missing": -no,
            "data and samples are swapped: the critic bets on data": -_log_s(-real).mean() - fooled,
            "take a mean over examples, not a sum": -n * (yes + no),
            "both halves count whole: here they were averaged": -(yes + no) / 2,
            "of samples it wants log(1 - s(D)), not log s(D)": -yes - fooled,
        }, "the critic's loss")  # fmt: skip
        if not far:
            answer.part("minimax")
        equal(tensor(minimax, (), "()", "the minimax loss"), no, {
            "the minimax generator goes down log(1 - s(D)) itself: no minus": -no,
            "this is the non-saturating loss: both were swapped": -fooled,
            "the minimax loss takes log(1 - s(D)), not log s(D)": fooled,
            "the generator's loss is of samples, not of data": _log_s(-real).mean(),
            "take a mean over examples, not a sum": n * no,
        }, "the minimax loss")  # fmt: skip
        if not far:
            answer.part("non saturating")
        equal(tensor(other, (), "()", "the non-saturating loss"), -fooled, {
            "the non-saturating generator goes down -log s(D): the minus is missing": fooled,
            "the non-saturating loss takes log s(D), not log(1 - s(D))": -no,
            "this is the minimax loss: it is not the same": no,
            "the non-saturating loss is of samples, not of data": -yes,
            "take a mean over examples, not a sum": -n * fooled,
        }, "the non-saturating loss")  # fmt: skip


@Exercise.worth(minimax=1, non_saturating=1)
def pull(answer: Answer, numbers: Generator) -> None:
    """Slope of both generator losses by the logit: -s(a) and s(a) - 1."""
    logits = torch.cat([torch.tensor([-40.0, -8.0, 0.0, 8.0, 40.0]).double(), 2 * _normal(numbers, 5)])
    s = torch.tensor([1 / (1 + math.exp(-a)) for a in logits.tolist()], dtype=torch.float64)
    minimax, other = parts(answer(logits), "minimax", "non-saturating")
    answer.part("minimax")
    form = (10,), "(B,)"
    equal(tensor(minimax, *form, "the minimax slope"), -s, {
        "the sign: log(1 - s(a)) falls as a grows": s,
        "both are swapped: where D is sure, the minimax slope is about 0": s - 1,
        "this is the slope of s itself: the logarithm is missing": s * (1 - s),
        "this is the slope of 1 - s: the logarithm is missing": -s * (1 - s),
        "this is the loss, not its slope": (1 - s).log(),
        "the slope by s, not by the logit: multiply by s (1 - s)": -1 / (1 - s),
        "the slope of -log s is the other one: this is of log(1 - s)": 1 - s,
    }, "the minimax slope")  # fmt: skip
    answer.part("non saturating")
    equal(tensor(other, *form, "the non-saturating slope"), s - 1, {
        "the sign: -log s(a) falls as a grows": 1 - s,
        "both slopes are the same here: -log s(a) has another": -s,
        "this is the loss, not its slope": -s.log(),
        "the slope by s, not by the logit: multiply by s (1 - s)": -1 / s,
    }, "the non-saturating slope")  # fmt: skip


@Exercise.worth(value=3, reaches=2)
def gradient_penalty(answer: Answer, numbers: Generator) -> None:
    """Mean of (|grad D| - 1)^2 between data and samples (Gulrajani et al., 2017, eq. 3)."""
    answer.part("value")
    x, fake = _normal(numbers, 7, 2) + 1, _normal(numbers, 7, 2) - 1
    u = torch.rand(7, generator=numbers, dtype=torch.float64)
    critic, a, b, slope = _curved()
    result = answer.with_gradients(critic, x.clone(), fake.clone(), u.clone())
    between = lambda u: slope(u[:, None] * x + (1 - u[:, None]) * fake)
    cost = lambda length: ((length - 1) ** 2).mean()
    length = between(u)
    got = tensor(result.detach() if isinstance(result, Tensor) else result, (), "()", "the penalty")
    equal(got, cost(length), {
        "this is at the data: take points between data and samples": cost(slope(x)),
        "this is at the samples: take points between data and samples": cost(slope(fake)),
        "this is at data and samples: one point between each pair": (cost(slope(x)) + cost(slope(fake))) / 2,
        "each pair has a u of its own": cost(between(u[:1].expand(7))),
        "all points lie in the middle: use u": cost(between(torch.full((7,), 0.5).double())),
        "u belongs to the data, 1 - u to the samples": cost(between(1 - u)),
        "the slope's length should be 1, not 0": (length**2).mean(),
        "square the difference to 1": (length - 1).mean(),
        "the absolute difference was taken: square it": (length - 1).abs().mean(),
        "the squared length was compared with 1: take the root": ((length**2 - 1) ** 2).mean(),
        "a mean over examples, not a sum": 7 * cost(length),
        "the length of each example's slope by itself: first norm, then mean": (length.mean() - 1) ** 2,
        "one norm of all examples together: norm over the features alone": ((length**2).sum().sqrt() - 1) ** 2,
    }, "the penalty")  # fmt: skip
    answer.part("reaches")
    wanted = torch.autograd.grad(cost(between(u)), (a, b))
    equal(_reached(result, a, b), torch.stack(wanted), {}, "the gradient of the penalty by the critic's parameters")


@Exercise.worth(pairs=2, penalties=2, reaches=1)
def paired(answer: Answer, numbers: Generator) -> None:
    """R3GAN (Huang et al., 2024): relativistic losses of index pairs, R1 and R2 for the critic."""
    x, fake = _normal(numbers, 6, 2) + 0.7, _normal(numbers, 6, 2) - 0.7
    critic, a, b, slope = _curved()
    real, made = critic(x).detach(), critic(fake).detach()
    loss = lambda gap: -_log_s(gap).mean()
    answer.part("pairs")
    for gamma in (0.0, 1.5):
        result = answer.with_gradients(critic, x.clone(), fake.clone(), gamma)
        of_critic, of_generator = parts(result, "critic", "generator")
        told = [tensor(_plain(r), (), "()", name) for r, name in zip(result, ("the critic's loss", "the generator's"))]
        if gamma:
            answer.part("penalties")
        r1, r2 = (gamma / 2 * slope(s).square().mean().detach() for s in (x, fake))
        plain = loss(real - made)
        table = real[:, None] - made[None, :]
        equal(told[0], plain + r1 + r2, {
            "the critic's pairs are turned around: it wants D(x) above D(G(z))": loss(made - real) + r1 + r2,
            "all pairs were compared: here the first with the first, the second with the second":
                -_log_s(table.flatten()).mean() + r1 + r2,
            "means were compared, not pairs": -_log_s((real.mean() - made.mean())[None])[0] + r1 + r2,
            "this is the loss of single logits: compare D(x) with D(G(z))":
                loss(real) + loss(-made) + r1 + r2,
            "take a mean over pairs, not a sum": 6 * plain + r1 + r2,
            "the logarithm is missing: -log s": -torch.sigmoid(real - made).mean() + r1 + r2,
            "the penalty on samples, R2, is missing": plain + r1,
            "the penalty on data, R1, is missing": plain + r2,
            "both penalties are missing": plain,
            "the penalties have a factor 1/2": plain + 2 * (r1 + r2),
            "the slope's length is squared in R1 and R2":
                plain + gamma / 2 * sum(slope(s).mean() for s in (x, fake)).detach(),
            "a slope of 1 is wanted here: that is another penalty":
                plain + gamma / 2 * sum(((slope(s) - 1) ** 2).mean() for s in (x, fake)).detach(),
            "penalties are paid, not earned: plus": plain - r1 - r2,
            "one penalty at points between: here it is on data and on samples":
                plain + gamma * slope((x + fake) / 2).square().mean().detach(),
            "a sum over examples in the penalties: take the mean": plain + 6 * (r1 + r2),
            "the mean over all entries: sum over the features, then the mean over examples": plain + (r1 + r2) / 2,
        }, "the critic's loss", f"for gamma = {gamma:g}")  # fmt: skip
        equal(told[1], loss(made - real), {
            "the generator's loss is minus the critic's: that is not what R3GAN does": -plain,
            "the generator's loss is the critic's: turn the pair around": plain,
            "the generator pays no penalty": loss(made - real) + r1 + r2,
            "the generator, too, is compared with data": loss(made),
        }, "the generator's loss", f"for gamma = {gamma:g}")  # fmt: skip
    answer.part("reaches")
    pay = _pairs(critic, x, fake) + 0.75 * (slope(x).square().mean() + slope(fake).square().mean())
    wanted = torch.stack(torch.autograd.grad(pay, (a, b)))
    equal(_reached(of_critic, a, b), wanted, {}, "the gradient of the critic's loss by its parameters")


def _pairs(critic, x: Tensor, fake: Tensor) -> Tensor:
    return torch.log1p(torch.exp(critic(fake) - critic(x))).mean()


@Exercise.worth(moves=1, critic=3, generator=2)
def turn(answer: Answer, numbers: Generator) -> None:
    """k moves of the critic, each on a new batch, then one of the generator; two numbers each, played by hand."""
    for k in (1, 3):
        seed = int(torch.randint(1000, (), generator=numbers))
        game = _Game(seed)
        if k == 1:
            answer.part("moves")
        answer.with_gradients(*game.pieces(), k)
        moved = [game.moves.count(name) for name in ("critic", "generator")]
        require(moved[0] > 0, "the critic never moved: its optimizer has to step")
        require(moved[1] > 0, "the generator never moved: its optimizer has to step")
        require(game.moves[0] == "critic", "the generator moved first: the critic learns before it is asked")
        if moved[0] != k:
            known = {1: "the critic moved once: k times", k * k: "the critic moved too often"}
            require(False, known.get(moved[0], f"needed {k} moves of the critic, got {moved[0]}"))
        require(not game.leaked, "the critic's loss reached the generator: detach the samples")
        require(moved[1] == 1, "the generator moves once, after all moves of the critic")
        by_hand = lambda **mistake: _by_hand(seed, k, **mistake)
        if k == 1:
            answer.part("critic")
        equal(_numbers(game.D), by_hand()[0], {
            ADDED: by_hand(cleared=False)[0],
            "all moves saw one batch: draw a new one for each": by_hand(fresh=False)[0],
            "the data were new at each move, but the noise was not": by_hand(new_noise=False)[0],
            "the critic went up what it should go down": by_hand(sign=-1)[0],
            "data and samples are swapped: the critic bets on data": by_hand(swapped=True)[0],
            "the half on samples is missing": by_hand(half=True)[0],
        }, "the critic", f"after a turn with k = {k}")  # fmt: skip
        if k == 1:
            answer.part("generator")
        equal(_numbers(game.G), by_hand()[1], {
            "this is the minimax generator: take the non-saturating loss": by_hand(minimax=True)[1],
            "the generator went up: it goes down -log s(D(G(z)))": by_hand(up=True)[1],
            "the generator saw the noise of the critic's last move: draw new noise": by_hand(old_noise=True)[1],
        }, "the generator", f"after a turn with k = {k}")  # fmt: skip
        answer.with_gradients(*game.pieces(), k)
        left = "what the generator's backward left in the critic was not cleared: zero_grad before each backward"
        known = {left: by_hand(turns=2, left=True)[0], ADDED: by_hand(turns=2, cleared=False)[0]}
        equal(_numbers(game.D), by_hand(turns=2)[0], known, "the critic", f"after two turns with k = {k}")


@Exercise.worth(generator=1, critic=2, values=2)
def told(answer: Answer, numbers: Generator) -> None:
    """Both losses of a conditional GAN, whose players are told one and the same label (Mirza & Osindero, 2014)."""
    n, classes = 6, 4
    x, z = _normal(numbers, n, 2), _normal(numbers, n, 3)
    y = torch.tensor([2, 0, 3, 1, 1, 2])
    W, A, c, C = (_normal(numbers, *s) for s in ((3, 2), (classes, 2), (2,), (classes,)))
    calls: dict[str, list[Tensor]] = {"generator": [], "critic": []}

    def one_hot(label, who: str) -> Tensor:
        fine = isinstance(label, Tensor) and tuple(label.shape) == (n, classes)
        got = tuple(label.shape) if isinstance(label, Tensor) else type(label).__name__
        require(fine, f"the {who} wants labels of shape (B, classes), one-hot, got {got}")
        calls[who].append(label.detach().double())
        return label.double()

    def generator(z, label):
        return torch.tanh(z.double() @ W + one_hot(label, "generator") @ A)

    def critic(x, label):
        return (x.double() @ c) * (1 + one_hot(label, "critic") @ C)

    answer.part("generator")
    of_critic, of_generator = parts(answer.with_gradients(generator, critic, x, y, z, classes), "critic", "generator")
    truth = torch.eye(classes, dtype=torch.float64)[y]
    require(bool(calls["generator"]), "the generator was never asked")
    right = lambda labels: all(torch.equal(label, truth) for label in labels)
    require(right(calls["generator"]), "the generator was told other labels than those of the data: y, one-hot")
    answer.part("critic")
    require(bool(calls["critic"]), "the critic was never asked")
    require(right(calls["critic"]), "the critic was told other labels than the generator: of data and samples alike, y")
    answer.part("values")
    label = truth
    real = (x @ c) * (1 + label @ C)
    fake = (torch.tanh(z @ W + label @ A) @ c) * (1 + label @ C)
    loss = lambda a: -_log_s(a).mean()
    equal(tensor(_plain(of_critic), (), "()", "the critic's loss"), loss(real) + loss(-fake), {
        "data and samples are swapped: the critic bets on data": loss(-real) + loss(fake),
        "the half on samples is missing": loss(real),
        "the half on data is missing": loss(-fake),
        "take a mean over examples, not a sum": n * (loss(real) + loss(-fake)),
        "both halves count whole: here they were averaged": (loss(real) + loss(-fake)) / 2,
    }, "the critic's loss")  # fmt: skip
    equal(tensor(_plain(of_generator), (), "()", "the generator's loss"), loss(fake), {
        "this is the minimax loss: take the non-saturating one": -loss(-fake),
        "the generator's loss is of samples, not of data": loss(real),
        "the sign: the generator wants to be taken for data": loss(-fake),
        "take a mean over examples, not a sum": n * loss(fake),
    }, "the generator's loss")  # fmt: skip


@Exercise.worth(modes=3, quality=1)
def covered(answer: Answer, numbers: Generator) -> None:
    """How many modes have a fifth of their fair share of all samples, and the share of samples near one."""
    centers = 4 * torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1], [2, 0], [2, 1], [0, 2]], dtype=torch.float64)
    std, least = 0.3, 0.2  # of 140 samples and 7 modes 4 are enough
    away = ((53, 1.0), (4, 2.0), (3, 1.0), (12, 2.6), (64, 3.6), (3, 0.5), (1, 1.0))  # how many, at how many std
    heaps = [c + far * std * _circle(numbers, n) for c, (n, far) in zip(centers, away)]
    samples = torch.cat(heaps)[torch.randperm(140, generator=numbers)]
    apart = torch.tensor([[math.dist(s, c) for c in centers.tolist()] for s in samples.tolist()]).double()  # (S, K)
    near = apart <= 3 * std
    modes, quality = parts(answer(samples, centers, std, least), "modes", "quality")
    hits, nearest = near.sum(0), torch.bincount(apart.argmin(1), minlength=7)
    count = lambda hits: hits.sum().double()
    answer.part("modes")
    equal(tensor(modes, (), "()", "the number of modes"), count(hits >= 4), {
        "what lies far from all modes covers none: noise is near to something, too": count(nearest >= 4),
        "one sample is no mode: it takes a share of the fair share": count(hits > 0),
        "just as many as asked for are enough: >=, not >": count(hits > 4),
        "a share of the fair share S/K is enough, not all of it": count(hits >= 20),
        "the fair share is of all samples, not of the good ones alone": count(hits >= least * hits.sum() / 7),
        "this is the share of modes: wanted is how many": count(hits >= 4) / 7,
    }, "the number of modes")  # fmt: skip
    answer.part("quality")
    within = lambda radius: (apart <= radius).any(1).double().mean()
    equal(tensor(quality, (), "()", "the quality"), within(3 * std), {
        "this is the share of samples that lie far from all modes": 1 - within(3 * std),
        "within 3 standard deviations, not within one": within(1.001 * std),
        "a share of the samples, not their number": count(near.any(1)),
        "this is the mean over modes: any mode will do": near.double().mean(),
    }, "the quality")  # fmt: skip


class _Game:
    """A generator and a critic of two numbers each, batches in a fixed order, and a record of who moves when."""

    def __init__(self, seed: int):
        draws = torch.Generator().manual_seed(seed)
        self.G, self.D = nn.Linear(1, 1), nn.Linear(1, 1)
        for p in (*self.G.parameters(), *self.D.parameters()):
            p.data = torch.randn(p.shape, generator=draws)
        self.moves: list[str] = []
        self.leaked = False
        self.down = {n: torch.optim.SGD(m.parameters(), RATE) for n, m in (("critic", self.D), ("generator", self.G))}
        for name, optimizer in self.down.items():
            optimizer.register_step_pre_hook(lambda *_, name=name: self._moves(name))
        self.real, self.noise = _batches(seed, 2), _batches(seed, 0)

    def _moves(self, name: str) -> None:
        if name == "critic" and "generator" not in self.moves:
            self.leaked |= any(p.grad is not None and bool(p.grad.any()) for p in self.G.parameters())
        self.moves.append(name)

    def pieces(self) -> tuple:
        return self.G, self.D, self.real, self.noise, self.down["critic"], self.down["generator"]


def _batches(seed: int, shift: int):
    draws = torch.Generator().manual_seed(seed + 1 + shift)
    return lambda: torch.randn(5, 1, generator=draws) + shift


def _by_hand(
    seed: int, k: int, *, turns=1, cleared=True, left=False, fresh=True, new_noise=True, sign=1, swapped=False,
    half=False, minimax=False, up=False, old_noise=False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(critic, generator), (2,) each, after so many turns: D(x) = d x + e, G(z) = g z + h, slopes written out."""
    game, s = _Game(seed), torch.sigmoid
    (d, e), (g, h) = _numbers(game.D).tolist(), _numbers(game.G).tolist()
    kept = torch.zeros(2, dtype=torch.float64)  # in the critic, where nobody clears it
    for _ in range(turns):
        x = z = None
        for move in range(k):
            x = game.real().double() if fresh or x is None else x
            z = game.noise().double() if (fresh and new_noise) or z is None else z
            made = g * z + h
            real, fake = (made, x) if swapped else (x, made)
            of_real, of_fake = -s(-(d * real + e)), (0 if half else 1) * s(d * fake + e)
            slope = torch.stack([(of_real * real).mean() + (of_fake * fake).mean(), of_real.mean() + of_fake.mean()])
            kept = slope + (kept if not cleared or (left and move == 0) else 0)
            d, e = (d - sign * RATE * kept[0]).item(), (e - sign * RATE * kept[1]).item()
        z = z if old_noise else game.noise().double()
        a = d * (g * z + h) + e
        by_logit = -s(a) if minimax else -s(-a)
        of_critic = torch.stack([(by_logit * (g * z + h)).mean(), by_logit.mean()])
        kept = of_critic + (0 if cleared else kept)
        back = -1 if up else 1
        g, h = (g - back * RATE * (by_logit * d * z).mean()).item(), (h - back * RATE * (by_logit * d).mean()).item()
    return torch.tensor([d, e], dtype=torch.float64), torch.tensor([g, h], dtype=torch.float64)


def _numbers(module: nn.Linear) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()]).double()


def _curved():
    """A critic D(x) = a sin(x_1) + b x_2^2 / 2, its two parameters, and the length of its slope by the formula."""
    a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.3, -0.6))
    critic = lambda x: a.to(x) * torch.sin(x[:, 0]) + b.to(x) * x[:, 1] ** 2 / 2

    def slope(x: Tensor) -> Tensor:
        return torch.hypot(a * torch.cos(x[:, 0]), b * x[:, 1])

    return critic, a, b, slope


def _reached(result, a: Tensor, b: Tensor) -> Tensor:
    """Gradient of the result by the critic's parameters, (2,)."""
    require(isinstance(result, Tensor) and result.requires_grad, NO_GRAPH)
    slopes = torch.autograd.grad(result, (a, b), allow_unused=True)
    require(all(s is not None for s in slopes), NO_GRAPH)
    return torch.stack(slopes).double()


def _plain(result):
    return result.detach() if isinstance(result, Tensor) else result


def _log_s(a: Tensor) -> Tensor:
    """log s(a), number by number."""
    one = lambda v: -math.log1p(math.exp(-v)) if v > -30 else v - math.log1p(math.exp(v))
    return torch.tensor([one(v) for v in a.tolist()], dtype=torch.float64)


def _normal(numbers: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=numbers, dtype=torch.float64)


def _circle(numbers: Generator, n: int) -> Tensor:
    turn = 2 * math.pi * torch.rand(n, generator=numbers, dtype=torch.float64)
    return torch.stack([turn.cos(), turn.sin()], 1)
