"""Lab 08: GANs."""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, one_hot, softplus

from answers import right, wrong

# Losses


@right("pays")
def by_softplus(real, fake):
    return softplus(-real).mean() + softplus(fake).mean(), -softplus(fake).mean(), softplus(-fake).mean()


@right("pays")
def by_cross_entropy(real, fake):
    cost = binary_cross_entropy_with_logits
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    return cost(real, ones) + cost(fake, zeros), -cost(fake, zeros), cost(fake, ones)


@right("pays")
def by_numpy(real, fake):
    log_s = lambda a: -np.logaddexp(0, -np.asarray(a))
    return -log_s(real).mean() - log_s(-fake).mean(), log_s(-fake).mean(), -log_s(fake).mean()


def changed(position, value):
    """The right answer with one of its parts replaced: value(real, fake)."""

    def answer(real, fake):
        out = list(by_softplus(real, fake))
        out[position] = value(real, fake)
        return tuple(out)

    return answer


@wrong("pays", "softplus(a) = log(1 + e^a) stays finite")
def by_logarithms(real, fake):
    s = torch.sigmoid
    return -s(real).log().mean() - (1 - s(fake)).log().mean(), (1 - s(fake)).log().mean(), -s(fake).log().mean()


@wrong("pays", "minus both logarithms")
def critic_climbs(real, fake):
    return changed(0, lambda r, f: logsigmoid(r).mean() + logsigmoid(-f).mean())(real, fake)


@wrong("pays", "the half on samples is missing")
def data_alone(real, fake):
    return changed(0, lambda r, f: softplus(-r).mean())(real, fake)


@wrong("pays", "the half on data is missing")
def samples_alone(real, fake):
    return changed(0, lambda r, f: softplus(f).mean())(real, fake)


@wrong("pays", "data and samples are swapped")
def swapped(real, fake):
    return changed(0, lambda r, f: softplus(r).mean() + softplus(-f).mean())(real, fake)


@wrong("pays", "not a sum")
def summed(real, fake):
    return changed(0, lambda r, f: softplus(-r).sum() + softplus(f).sum())(real, fake)


@wrong("pays", "both halves count whole")
def averaged(real, fake):
    return changed(0, lambda r, f: (softplus(-r).mean() + softplus(f).mean()) / 2)(real, fake)


@wrong("pays", "of samples it wants log(1 - s(D))")
def two_bets_on_data(real, fake):
    return changed(0, lambda r, f: softplus(-r).mean() + softplus(-f).mean())(real, fake)


@wrong("pays", "goes down log(1 - s(D)) itself")
def minimax_with_a_minus(real, fake):
    return changed(1, lambda r, f: softplus(f).mean())(real, fake)


@wrong("pays", "both were swapped")
def generators_swapped(real, fake):
    critic, minimax, other = by_softplus(real, fake)
    return critic, other, minimax


@wrong("pays", "takes log(1 - s(D)), not log s(D)")
def minimax_of_the_other_logarithm(real, fake):
    return changed(1, lambda r, f: logsigmoid(f).mean())(real, fake)


@wrong("pays", "the minus is missing")
def climbs(real, fake):
    return changed(2, lambda r, f: logsigmoid(f).mean())(real, fake)


@wrong("pays", "takes log s(D), not log(1 - s(D))")
def of_the_other_logarithm(real, fake):
    return changed(2, lambda r, f: softplus(f).mean())(real, fake)


@wrong("pays", "it is not the same")
def minimax_twice(real, fake):
    return changed(2, lambda r, f: -softplus(f).mean())(real, fake)


# Slopes


@right("pull")
def by_sigmoid(a):
    return -torch.sigmoid(a), torch.sigmoid(a) - 1


@right("pull")
def by_autograd(a):
    a = a.clone().requires_grad_()
    (minimax,) = torch.autograd.grad(-softplus(a).sum(), a)
    return minimax, torch.autograd.grad(softplus(-a).sum(), a)[0]


@right("pull")
def by_exponentials(a):
    a = np.asarray(a)
    return -1 / (1 + np.exp(-a)), -1 / (1 + np.exp(a))


@wrong("pull", "the sign: log(1 - s(a)) falls")
def upward(a):
    return torch.sigmoid(a), 1 - torch.sigmoid(a)


@wrong("pull", "both are swapped")
def exchanged(a):
    return by_sigmoid(a)[::-1]


@wrong("pull", "this is the slope of s itself")
def slope_of_s(a):
    s = torch.sigmoid(a)
    return s * (1 - s), -s * (1 - s)


@wrong("pull", "this is the slope of 1 - s")
def slope_of_one_less_s(a):
    s = torch.sigmoid(a)
    return -s * (1 - s), -s * (1 - s)


@wrong("pull", "the slope by s, not by the logit")
def by_s(a):
    s = torch.sigmoid(a).clamp(1e-3, 1 - 1e-3) if a.abs().max() < 1 else torch.sigmoid(a)
    return -torch.sigmoid(a), -1 / s


@wrong("pull", "the sign: -log s(a) falls")
def other_upward(a):
    return -torch.sigmoid(a), 1 - torch.sigmoid(a)


@wrong("pull", "both slopes are the same here")
def the_same_twice(a):
    return -torch.sigmoid(a), -torch.sigmoid(a)


@wrong("pull", "this is the loss, not its slope")
def the_loss(a):
    return -torch.sigmoid(a), softplus(-a)


# The gradient penalty


def slopes(critic, points, graph=True):
    points = points.detach().clone().requires_grad_()
    return torch.autograd.grad(critic(points).sum(), points, create_graph=graph)[0]


def between(x, fake, u):
    return u[:, None] * x + (1 - u[:, None]) * fake


@right("gradient_penalty")
def by_the_paper(critic, x, fake, u):
    return (slopes(critic, between(x, fake, u)).norm(2, dim=1) - 1).square().mean()


@right("gradient_penalty")
def by_lerp(critic, x, fake, u):
    points = torch.lerp(fake, x, u.unsqueeze(1)).requires_grad_()
    grad = torch.autograd.grad(
        critic(points), points, torch.ones(len(x), dtype=x.dtype), create_graph=True, retain_graph=True
    )[0]
    return ((grad.pow(2).sum(1).sqrt() - 1) ** 2).mean()


@right("gradient_penalty")
def one_by_one(critic, x, fake, u):
    total = 0.0
    for a, b, w in zip(x, fake, u):
        total = total + (slopes(critic, (w * a + (1 - w) * b)[None])[0].norm() - 1) ** 2
    return total / len(x)


@wrong("gradient_penalty", "this is at the data:")
def at_data(critic, x, fake, u):
    return (slopes(critic, x).norm(dim=1) - 1).square().mean()


@wrong("gradient_penalty", "this is at the samples:")
def at_samples(critic, x, fake, u):
    return (slopes(critic, fake).norm(dim=1) - 1).square().mean()


@wrong("gradient_penalty", "this is at data and samples")
def at_both(critic, x, fake, u):
    return (slopes(critic, torch.cat([x, fake])).norm(dim=1) - 1).square().mean()


@wrong("gradient_penalty", "each pair has a u of its own")
def one_u(critic, x, fake, u):
    return by_the_paper(critic, x, fake, u[:1].expand(len(u)))


@wrong("gradient_penalty", "all points lie in the middle")
def in_the_middle(critic, x, fake, u):
    return by_the_paper(critic, x, fake, torch.full_like(u, 0.5))


@wrong("gradient_penalty", "u belongs to the data")
def turned_around(critic, x, fake, u):
    return by_the_paper(critic, x, fake, 1 - u)


@wrong("gradient_penalty", "should be 1, not 0")
def flat(critic, x, fake, u):
    return slopes(critic, between(x, fake, u)).square().sum(1).mean()


@wrong("gradient_penalty", "square the difference")
def not_squared(critic, x, fake, u):
    return (slopes(critic, between(x, fake, u)).norm(dim=1) - 1).mean()


@wrong("gradient_penalty", "the squared length was compared")
def no_root(critic, x, fake, u):
    return (slopes(critic, between(x, fake, u)).square().sum(1) - 1).square().mean()


@wrong("gradient_penalty", "not a sum")
def penalty_summed(critic, x, fake, u):
    return (slopes(critic, between(x, fake, u)).norm(dim=1) - 1).square().sum()


@wrong("gradient_penalty", "first norm, then mean")
def mean_length(critic, x, fake, u):
    return (slopes(critic, between(x, fake, u)).norm(dim=1).mean() - 1).square()


@wrong("gradient_penalty", "norm over the features alone")
def one_norm(critic, x, fake, u):
    return (slopes(critic, between(x, fake, u)).norm() - 1).square()


@wrong("gradient_penalty", "create_graph=True")
def no_graph(critic, x, fake, u):
    return (slopes(critic, between(x, fake, u), graph=False).norm(dim=1) - 1).square().mean()


@wrong("gradient_penalty", "create_graph=True")
def detached(critic, x, fake, u):
    return by_the_paper(critic, x, fake, u).detach()


# R3GAN


def steep(critic, points, graph=True):
    return slopes(critic, points, graph).square().sum(1).mean()


@right("paired")
def by_one_function(critic, x, fake, gamma):
    gap = critic(x) - critic(fake)
    return softplus(-gap).mean() + gamma / 2 * (steep(critic, x) + steep(critic, fake)), softplus(gap).mean()


@right("paired")
def in_one_batch(critic, x, fake, gamma):
    points = torch.cat([x, fake]).requires_grad_()
    logits = critic(points)
    (slope,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
    real, made = logits.chunk(2)
    penalty = 0.5 * gamma * (slope**2).sum() / len(x)
    return -logsigmoid(real - made).mean() + penalty, -logsigmoid(made - real).mean()


@right("paired")
def pair_by_pair(critic, x, fake, gamma):
    told = [by_one_function(critic, x[i : i + 1], fake[i : i + 1], gamma) for i in range(len(x))]
    return tuple(sum(part) / len(x) for part in zip(*told))


def paying(critic, x, fake, gamma, pairs, penalties=None):
    """The critic pays `pairs(real, made)`, and penalties of its own."""
    of_critic, of_generator = by_one_function(critic, x, fake, gamma)
    both = gamma / 2 * (steep(critic, x) + steep(critic, fake)) if penalties is None else penalties
    return pairs(critic(x), critic(fake)) + both, of_generator


def in_pairs(real, made):
    return softplus(made - real).mean()


@wrong("paired", "the critic's pairs are turned around")
def turned(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, lambda r, m: softplus(r - m).mean())


@wrong("paired", "all pairs were compared")
def all_pairs(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, lambda r, m: softplus(m[None] - r[:, None]).mean())


@wrong("paired", "means were compared")
def means(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, lambda r, m: softplus(m.mean() - r.mean()))


@wrong("paired", "this is the loss of single logits")
def single(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, lambda r, m: softplus(-r).mean() + softplus(m).mean())


@wrong("paired", "the logarithm is missing")
def no_logarithm(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, lambda r, m: -torch.sigmoid(r - m).mean())


@wrong("paired", "not a sum")
def pairs_summed(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, lambda r, m: softplus(m - r).sum())


@wrong("paired", "R2, is missing")
def r1_alone(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, in_pairs, gamma / 2 * steep(critic, x))


@wrong("paired", "R1, is missing")
def r2_alone(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, in_pairs, gamma / 2 * steep(critic, fake))


@wrong("paired", "both penalties are missing")
def no_penalty(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, in_pairs, 0)


@wrong("paired", "have a factor 1/2")
def whole_gamma(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, in_pairs, gamma * (steep(critic, x) + steep(critic, fake)))


@wrong("paired", "length is squared in R1 and R2")
def lengths(critic, x, fake, gamma):
    both = sum(slopes(critic, s).norm(dim=1).mean() for s in (x, fake))
    return paying(critic, x, fake, gamma, in_pairs, gamma / 2 * both)


@wrong("paired", "paid, not earned")
def earned(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, in_pairs, -gamma / 2 * (steep(critic, x) + steep(critic, fake)))


@wrong("paired", "here it is on data and on samples")
def in_between(critic, x, fake, gamma):
    return paying(critic, x, fake, gamma, in_pairs, gamma * steep(critic, (x + fake) / 2))


@wrong("paired", "the mean over all entries")
def entries(critic, x, fake, gamma):
    both = sum(slopes(critic, s).square().mean() for s in (x, fake))
    return paying(critic, x, fake, gamma, in_pairs, gamma / 2 * both)


@wrong("paired", "minus the critic's")
def zero_sum(critic, x, fake, gamma):
    of_critic, _ = by_one_function(critic, x, fake, gamma)
    return of_critic, -in_pairs(critic(x), critic(fake))


@wrong("paired", "turn the pair around")
def generator_as_critic(critic, x, fake, gamma):
    return by_one_function(critic, x, fake, gamma)[0], in_pairs(critic(x), critic(fake))


@wrong("paired", "the generator pays no penalty")
def both_pay(critic, x, fake, gamma):
    of_critic, of_generator = by_one_function(critic, x, fake, gamma)
    return of_critic, of_generator + gamma / 2 * (steep(critic, x) + steep(critic, fake))


@wrong("paired", "create_graph=True")
def penalties_without_a_graph(critic, x, fake, gamma):
    of_critic, of_generator = by_one_function(critic, x, fake, gamma)
    return of_critic.detach(), of_generator


# A turn


def critic_loss(D, x, fake):
    return softplus(-D(x)).mean() + softplus(D(fake)).mean()


def move(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@right("turn")
def with_detach(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        move(down_D, critic_loss(D, real(), G(noise()).detach()))
    move(down_G, softplus(-D(G(noise()))).mean())


@right("turn")
def without_gradients(G, D, real, noise, down_D, down_G, k):
    step = 0
    while step < k:
        with torch.no_grad():
            fake = G(noise())
        logits = D(torch.cat([real(), fake]))
        is_real = torch.cat([torch.ones(len(fake), 1), torch.zeros(len(fake), 1)])
        down_D.zero_grad()
        (2 * binary_cross_entropy_with_logits(logits, is_real)).backward()
        down_D.step()
        step += 1
    down_G.zero_grad()
    (-logsigmoid(D(G(noise())))).mean().backward()
    down_G.step()


@right("turn")
def with_gradients_of_one(G, D, real, noise, down_D, down_G, k):
    def by(optimizer, module, loss):
        own = list(module.parameters())
        for p, slope in zip(own, torch.autograd.grad(loss, own)):
            p.grad = slope
        optimizer.step()

    for _ in range(k):
        by(down_D, D, critic_loss(D, real(), G(noise())))
    by(down_G, G, softplus(-D(G(noise()))).mean())


@wrong("turn", "the critic moved once")
def k_ignored(G, D, real, noise, down_D, down_G, k):
    with_detach(G, D, real, noise, down_D, down_G, 1)


@wrong("turn", "after all moves of the critic")
def generator_as_often(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        with_detach(G, D, real, noise, down_D, down_G, 1)


@wrong("turn", "the generator moved first")
def generator_first(G, D, real, noise, down_D, down_G, k):
    move(down_G, softplus(-D(G(noise()))).mean())
    for _ in range(k):
        move(down_D, critic_loss(D, real(), G(noise()).detach()))


@wrong("turn", "the critic never moved")
def generator_alone(G, D, real, noise, down_D, down_G, k):
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "the generator never moved")
def critic_alone(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        move(down_D, critic_loss(D, real(), G(noise()).detach()))


@wrong("turn", "detach the samples")
def no_detach(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        move(down_D, critic_loss(D, real(), G(noise())))
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "gradients of earlier moves were added")
def never_cleared(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        critic_loss(D, real(), G(noise()).detach()).backward()
        down_D.step()
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "what the generator's backward left")
def cleared_afterwards(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        critic_loss(D, real(), G(noise()).detach()).backward()
        down_D.step()
        down_D.zero_grad()
    softplus(-D(G(noise()))).mean().backward()
    down_G.step()
    down_G.zero_grad()


@wrong("turn", "all moves saw one batch")
def one_batch(G, D, real, noise, down_D, down_G, k):
    x, z = real(), noise()
    for _ in range(k):
        move(down_D, critic_loss(D, x, G(z).detach()))
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "but the noise was not")
def one_noise(G, D, real, noise, down_D, down_G, k):
    z = noise()
    for _ in range(k):
        move(down_D, critic_loss(D, real(), G(z).detach()))
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "the critic went up")
def upward_critic(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        move(down_D, -critic_loss(D, real(), G(noise()).detach()))
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "data and samples are swapped")
def swapped_sides(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        move(down_D, critic_loss(D, G(noise()).detach(), real()))
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "the half on samples is missing")
def half_a_critic(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        noise()
        move(down_D, softplus(-D(real())).mean())
    move(down_G, softplus(-D(G(noise()))).mean())


@wrong("turn", "this is the minimax generator")
def minimax(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        move(down_D, critic_loss(D, real(), G(noise()).detach()))
    move(down_G, -softplus(D(G(noise()))).mean())


@wrong("turn", "the generator went up")
def upward_generator(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        move(down_D, critic_loss(D, real(), G(noise()).detach()))
    move(down_G, -softplus(-D(G(noise()))).mean())


@wrong("turn", "draw new noise")
def old_noise(G, D, real, noise, down_D, down_G, k):
    for _ in range(k):
        z = noise()
        move(down_D, critic_loss(D, real(), G(z).detach()))
    move(down_G, softplus(-D(G(z))).mean())


# Labels


@right("told")
def by_one_hot(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    fake = generator(z, label)
    of_critic = softplus(-critic(x, label)).mean() + softplus(critic(fake.detach(), label)).mean()
    return of_critic, softplus(-critic(fake, label)).mean()


@right("told")
def by_eye(generator, critic, x, y, z, classes):
    label = torch.eye(classes)[y]
    made = critic(generator(z, label), label)
    return -(logsigmoid(critic(x, label)) + logsigmoid(-made)).mean(), -logsigmoid(made).mean()


@right("told")
def by_one_critic_of_both(generator, critic, x, y, z, classes):
    label = torch.zeros(len(y), classes).scatter(1, y[:, None], 1.0)
    fake, real = generator(z, label), critic(x, label)
    cost = binary_cross_entropy_with_logits
    made = critic(fake, label)
    return cost(real, torch.ones_like(real)) + cost(made, torch.zeros_like(made)), cost(made, torch.ones_like(made))


@wrong("told", "one-hot, got (6,)")
def numbers(generator, critic, x, y, z, classes):
    fake = generator(z, y)
    return softplus(-critic(x, y)).mean() + softplus(critic(fake, y)).mean(), softplus(-critic(fake, y)).mean()


def telling(generator, critic, x, z, label, of_critic):
    """The generator is told `label`, the critic `of_critic`."""
    fake = generator(z, label)
    real, made = critic(x, of_critic), critic(fake, of_critic)
    return softplus(-real).mean() + softplus(made).mean(), softplus(-made).mean()


@wrong("told", "the critic was told other labels")
def critic_not_told(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    return telling(generator, critic, x, z, label, 0 * label)


@wrong("told", "the critic was told other labels")
def of_samples_not_told(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    real, made = critic(x, label), critic(generator(z, label), 0 * label)
    return softplus(-real).mean() + softplus(made).mean(), softplus(-made).mean()


@wrong("told", "the generator was told other labels")
def generator_draws_its_own(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    return telling(generator, critic, x, z, one_hot(torch.randint(classes, y.shape) * 0 + 3, classes), label)


@wrong("told", "the critic was never asked")
def no_critic(generator, critic, x, y, z, classes):
    fake = generator(z, one_hot(y, classes))
    return fake.mean(), fake.mean()


@wrong("told", "the generator was never asked")
def no_generator(generator, critic, x, y, z, classes):
    real = critic(x, one_hot(y, classes))
    return softplus(-real).mean(), softplus(real).mean()


@wrong("told", "data and samples are swapped")
def told_swapped(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    real, made = critic(x, label), critic(generator(z, label), label)
    return softplus(real).mean() + softplus(-made).mean(), softplus(-made).mean()


@wrong("told", "the half on samples is missing")
def told_of_data_alone(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    return softplus(-critic(x, label)).mean(), by_one_hot(generator, critic, x, y, z, classes)[1]


@wrong("told", "this is the minimax loss")
def told_minimax(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    made = critic(generator(z, label), label)
    return by_one_hot(generator, critic, x, y, z, classes)[0], -softplus(made).mean()


@wrong("told", "the sign: the generator wants")
def told_upside_down(generator, critic, x, y, z, classes):
    label = one_hot(y, classes)
    made = critic(generator(z, label), label)
    return by_one_hot(generator, critic, x, y, z, classes)[0], softplus(made).mean()


# Modes


@right("covered")
def by_rows_and_columns(samples, centers, std, least):
    near = torch.cdist(samples, centers) <= 3 * std
    return (near.sum(0) >= least * len(samples) / len(centers)).sum(), near.any(1).double().mean()


@right("covered")
def by_numpy_and_loops(samples, centers, std, least):
    x, c = np.asarray(samples), np.asarray(centers)
    near = [[bool(np.hypot(*(s - m)) <= 3 * std) for m in c] for s in x]
    enough = [sum(column) >= least * len(x) / len(c) for column in zip(*near)]
    return sum(enough), sum(map(any, near)) / len(x)


@right("covered")
def of_the_nearest(samples, centers, std, least):
    far, which = torch.cdist(samples, centers).min(1)
    counts = torch.bincount(which[far <= 3 * std], minlength=len(centers))
    return int((counts >= least * len(samples) / len(centers)).sum()), float((far <= 3 * std).double().mean())


def near(samples, centers, std):
    return torch.cdist(samples, centers) <= 3 * std


def quality(samples, centers, std):
    return near(samples, centers, std).any(1).double().mean()


@wrong("covered", "noise is near to something, too")
def nearest_alone(samples, centers, std, least):
    which = torch.cdist(samples, centers).argmin(1)
    enough = torch.bincount(which, minlength=len(centers)) >= least * len(samples) / len(centers)
    return enough.sum(), quality(samples, centers, std)


@wrong("covered", "one sample is no mode")
def one_is_enough(samples, centers, std, least):
    return near(samples, centers, std).any(0).sum(), quality(samples, centers, std)


@wrong("covered", ">=, not >")
def more_than_enough(samples, centers, std, least):
    enough = near(samples, centers, std).sum(0) > least * len(samples) / len(centers)
    return enough.sum(), quality(samples, centers, std)


@wrong("covered", "is enough, not all of it")
def the_whole_share(samples, centers, std, least):
    enough = near(samples, centers, std).sum(0) >= len(samples) / len(centers)
    return enough.sum(), quality(samples, centers, std)


@wrong("covered", "not of the good ones alone")
def share_of_the_good(samples, centers, std, least):
    hits = near(samples, centers, std)
    enough = hits.sum(0) >= least * hits.any(1).sum() / len(centers)
    return enough.sum(), quality(samples, centers, std)


@wrong("covered", "this is the share of modes")
def share_of_modes(samples, centers, std, least):
    covered, good = by_rows_and_columns(samples, centers, std, least)
    return covered / len(centers), good


@wrong("covered", "lie far from all modes")
def bad_ones(samples, centers, std, least):
    covered, good = by_rows_and_columns(samples, centers, std, least)
    return covered, 1 - good


@wrong("covered", "not their number")
def number_of_good_ones(samples, centers, std, least):
    covered, good = by_rows_and_columns(samples, centers, std, least)
    return covered, good * len(samples)


@wrong("covered", "any mode will do")
def mean_over_modes(samples, centers, std, least):
    return by_rows_and_columns(samples, centers, std, least)[0], near(samples, centers, std).double().mean()
