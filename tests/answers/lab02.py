"""Lab 02: probabilistic PCA."""

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes

from answers import right, wrong

# marginal


@right("marginal")
def in_one_line(W, b, var):
    return b, W @ W.T + var * torch.eye(len(W))


@right("marginal")
def diagonal_in_place(W, b, var):
    C = W.mm(W.t())
    for i in range(len(b)):
        C[i, i] += var
    return b, C


@right("marginal")
def marginal_with_numpy(W, b, var):
    W = np.asarray(W)
    return [np.array(b.tolist()), W.dot(W.T) + np.diag(np.full(len(W), var))]


@wrong("marginal", "not Wᵀ W")
def features_and_latents_confused(W, b, var):
    return b, W.T @ W + var * torch.eye(W.shape[1])


@wrong("marginal", "the noise is missing")
def noiseless(W, b, var):
    return b, W @ W.T


@wrong("marginal", "it was squared")
def var_taken_for_std(W, b, var):
    return b, W @ W.T + var**2 * torch.eye(len(W))


@wrong("marginal", "its root was taken")
def std_in_place_of_var(W, b, var):
    return b, W @ W.T + var**0.5 * torch.eye(len(W))


@wrong("marginal", "on the diagonal alone")
def var_everywhere(W, b, var):
    return b, W @ W.T + var


@wrong("marginal", "not 1")
def unit_noise(W, b, var):
    return b, W @ W.T + torch.eye(len(W))


@wrong("marginal", "scales W Wᵀ as well")
def brackets(W, b, var):
    return b, var * (W @ W.T + torch.eye(len(W)))


@wrong("marginal", "the mean of x is b")
def mean_of_z(W, b, var):
    return torch.zeros(len(b)), W @ W.T + var * torch.eye(len(W))


# posterior


def M(W, var):
    return W.T @ W + var * torch.eye(W.shape[1]).to(W)


@right("posterior")
def by_solve(x, W, b, var):
    return torch.linalg.solve(M(W, var), (x - b) @ W, left=False), var * torch.linalg.inv(M(W, var))


@right("posterior")
def precision_by_precision(x, W, b, var):
    covariance = torch.inverse(torch.eye(W.shape[1]) + W.T @ W / var)
    return torch.stack([covariance @ W.T @ (row - b) / var for row in x]), covariance


@right("posterior")
def posterior_with_numpy(x, W, b, var):
    x, W, b = (np.asarray(t, dtype=np.float32) for t in (x, W, b))
    inverse = np.linalg.inv(W.T @ W + var * np.eye(W.shape[1]))
    return (inverse @ W.T @ (x - b).T).T, var * inverse


@right("posterior")
def from_the_joint(x, W, b, var):
    gain = W.T @ torch.linalg.inv(W @ W.T + var * torch.eye(len(W)).double())
    x -= b
    return x @ gain.T, torch.eye(W.shape[1]) - gain @ W


@wrong("posterior", "b was not subtracted")
def not_centered(x, W, b, var):
    return x @ W @ torch.linalg.inv(M(W, var)), var * torch.linalg.inv(M(W, var))


@wrong("posterior", "this is least squares")
def projection(x, W, b, var):
    return (x - b) @ torch.linalg.pinv(W).T, var * torch.linalg.inv(W.T @ W)


@wrong("posterior", "M has var on its diagonal, not 1")
def one_on_the_diagonal(x, W, b, var):
    return (x - b) @ W @ torch.linalg.inv(M(W, 1.0)), var * torch.linalg.inv(M(W, 1.0))


@wrong("posterior", "with the inverse of M")
def inverse_forgotten(x, W, b, var):
    return (x - b) @ W, var * torch.linalg.inv(M(W, var))


@wrong("posterior", "not with its inverse")
def times_m(x, W, b, var):
    return (x - b) @ W @ M(W, var), var * torch.linalg.inv(M(W, var))


@wrong("posterior", "one var too many")
def mean_over_var(x, W, b, var):
    return (x - b) @ W @ torch.linalg.inv(M(W, var)) / var, var * torch.linalg.inv(M(W, var))


@wrong("posterior", "var is missing")
def covariance_without_var(x, W, b, var):
    return (x - b) @ W @ torch.linalg.inv(M(W, var)), torch.linalg.inv(M(W, var))


@wrong("posterior", "this is M")
def m_for_covariance(x, W, b, var):
    return (x - b) @ W @ torch.linalg.inv(M(W, var)), M(W, var)


@wrong("posterior", "one (L, L) for all")
def one_covariance_an_example(x, W, b, var):
    return (x - b) @ W @ torch.linalg.inv(M(W, var)), (var * torch.linalg.inv(M(W, var))).expand(len(x), -1, -1)


@wrong("posterior", "the sign: x - b")
def sign(x, W, b, var):
    return (b - x) @ W @ torch.linalg.inv(M(W, var)), var * torch.linalg.inv(M(W, var))


@wrong("posterior", "turned around?")
def columns(x, W, b, var):
    return (torch.linalg.inv(M(W, var)) @ W.T @ (x - b).T), var * torch.linalg.inv(M(W, var))


# maximum


def spectrum(x):
    values, vectors = torch.linalg.eigh((x - x.mean(0)).T @ (x - x.mean(0)) / len(x))
    return values.flip(0), vectors.flip(1)


@right("maximum")
def by_eigh(x, q):
    values, U = spectrum(x)
    var = values[q:].mean()
    return U[:, :q] * (values[:q] - var).sqrt(), x.mean(0), var


@right("maximum")
def by_svd_and_turned(x, q):
    _, S, Vh = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    values = S**2 / len(x)
    var = values[q:].sum() / (x.shape[1] - q)
    W = Vh[:q].T @ torch.diag((values[:q] - var).sqrt())
    return W @ torch.linalg.qr(torch.rand(q, q).to(W) + torch.eye(q))[0], x.mean(0), float(var)


@right("maximum")
def maximum_with_numpy(x, q):
    x = np.asarray(x)
    values, U = np.linalg.eigh(np.cov(x.T, bias=True))
    var = values[:-q].mean()
    return U[:, -q:] * np.sqrt(values[-q:] - var), x.mean(0), var


@right("maximum")
def by_many_turns_of_em(x, q):
    b, d = x.mean(0), x.shape[1]
    y = x - b
    S, W, var = y.T @ y / len(x), torch.randn(d, q).to(x), torch.ones(()).to(x)
    for _ in range(1000):
        inverse = torch.linalg.inv(W.T @ W + var * torch.eye(q).to(x))
        new = S @ W @ torch.linalg.inv(var * torch.eye(q).to(x) + inverse @ W.T @ S @ W)
        var = torch.trace(S - S @ W @ inverse @ new.T) / d
        W = new
    return W, b, var


@wrong("maximum", "divided by N - 1")  # scikit-learn#10137
def sample_covariance(x, q):
    values, U = torch.linalg.eigh(torch.cov(x.T))
    values, U = values.flip(0), U.flip(1)
    var = values[q:].mean()
    return U[:, :q] * (values[:q] - var).sqrt(), x.mean(0), var


@wrong("maximum", "was not divided by N")
def scatter_matrix(x, q):
    values, U = spectrum(x)
    var = len(x) * values[q:].mean()
    return U[:, :q] * (len(x) * values[:q] - var).sqrt(), x.mean(0), var


@wrong("maximum", "it got their sum")  # scikit-learn#8541
def sum_of_the_rest(x, q):
    values, U = spectrum(x)
    return U[:, :q] * (values[:q] - values[q:].mean()).sqrt(), x.mean(0), values[q:].sum()


@wrong("maximum", "not the L largest")
def mean_of_the_kept(x, q):
    values, U = spectrum(x)
    return U[:, :q] * values[:q].sqrt(), x.mean(0), values[:q].mean()


@wrong("maximum", "divided by d - L, not by d")
def divided_by_d(x, q):
    values, U = spectrum(x)
    var = values[q:].sum() / x.shape[1]
    return U[:, :q] * (values[:q] - var).sqrt(), x.mean(0), var


@wrong("maximum", "not the smallest alone")
def smallest(x, q):
    values, U = spectrum(x)
    return U[:, :q] * (values[:q] - values[-1]).sqrt(), x.mean(0), values[-1]


def _by_svd(x):
    b = x.mean(0)
    _, D, Vh = torch.linalg.svd(x - b, full_matrices=False)
    return b, D, Vh.T


@wrong("maximum", "singular values are no eigenvalues")
def singular_values(x, L):
    b, D, V = _by_svd(x)
    return V[:, :L] * (D[:L] - D[L:].mean()).sqrt(), b, D[L:].mean()


@wrong("maximum", "divided by √N and not squared")
def spreads(x, L):
    b, D, V = _by_svd(x)
    D = D / len(x) ** 0.5
    return V[:, :L] * (D[:L] - D[L:].mean()).sqrt(), b, D[L:].mean()


@wrong("maximum", "not the difference of the roots")
def roots_apart(x, L):
    b, D, V = _by_svd(x)
    values = D**2 / len(x)
    var = values[L:].mean()
    return V[:, :L] * (values[:L].sqrt() - var.sqrt()), b, var


@wrong("maximum", "the noise was not taken off")
def principal_components(x, q):
    values, U = spectrum(x)
    return U[:, :q] * values[:q].sqrt(), x.mean(0), values[q:].mean()


@wrong("maximum", "the square root of λ - var is missing")
def root_forgotten(x, q):
    values, U = spectrum(x)
    return U[:, :q] * (values[:q] - values[q:].mean()), x.mean(0), values[q:].mean()


@wrong("maximum", "W has columns of length one")
def directions_alone(x, q):
    values, U = spectrum(x)
    return U[:, :q], x.mean(0), values[q:].mean()


@wrong("maximum", "W got the directions that vary least")
def smallest_first(x, q):
    values, U = spectrum(x)
    var = values[q:].mean()
    return U.flip(1)[:, :q] * (values[:q] - var).sqrt(), x.mean(0), var


@wrong("maximum", "the L largest were taken for noise")
def not_flipped(x, q):
    values, U = torch.linalg.eigh((x - x.mean(0)).T @ (x - x.mean(0)) / len(x))
    var = values[q:].mean()
    return U[:, :q] * (values[:q] - var).abs().sqrt(), x.mean(0), var


@wrong("maximum", "and rows were taken")
def rows_for_columns(x, q):
    values, U = torch.linalg.eigh((x - x.mean(0)).T @ (x - x.mean(0)) / len(x))
    values, U = values.flip(0), U.flip(0)
    var = values[q:].mean()
    return U[:q].T * (values[:q] - var).sqrt(), x.mean(0), var


@wrong("maximum", "the mean was not subtracted")
def around_zero(x, q):
    values, U = torch.linalg.eigh(x.T @ x / len(x))
    values, U = values.flip(0), U.flip(1)
    var = values[q:].mean()
    return U[:, :q] * (values[:q] - var).sqrt(), x.mean(0), var


@wrong("maximum", "not 0")
def no_mean(x, q):
    values, U = spectrum(x)
    var = values[q:].mean()
    return U[:, :q] * (values[:q] - var).sqrt(), torch.zeros(x.shape[1]), var


# align


@right("align")
def by_svd(W, target):
    U, _, Vh = torch.linalg.svd(W.T @ target)
    return U @ Vh


@right("align")
def by_scipy(W, target):
    return orthogonal_procrustes(W, target)[0]


@right("align")
def by_polar_iteration(W, target):
    R = W.T @ target
    for _ in range(60):
        R = (R + torch.linalg.inv(R).T) / 2
    return R


@wrong("align", "W comes first")
def backwards(W, target):
    U, _, Vh = torch.linalg.svd(target.T @ W)
    return U @ Vh


@wrong("align", "transposed once too often")  # VAST-AI-Research/MIDI-3D#36
def v_transposed(W, target):
    U, _, V = torch.linalg.svd(W.T @ target)
    return U @ V.T


@wrong("align", "leave them out")
def stretched(W, target):
    U, S, Vh = torch.linalg.svd(W.T @ target)
    return U @ torch.diag(S) @ Vh + 0.0


@wrong("align", "least squares finds no orthogonal R")
def regression(W, target):
    return torch.linalg.pinv(W) @ target


@wrong("align", "may have determinant -1")
def rotations_alone(W, target):
    U, _, Vh = torch.linalg.svd(W.T @ target)
    if torch.linalg.det(U @ Vh) < 0:
        U[:, -1] *= -1
    return U @ Vh


@wrong("align", "U was transposed")
def u_transposed(W, target):
    U, _, Vh = torch.linalg.svd(W.T @ target)
    return U.T @ Vh


@wrong("align", "nothing was turned")
def identity(W, target):
    return torch.eye(W.shape[1])


# complete


def latents(x, W, b, var):
    return (x - b) @ W @ torch.linalg.inv(M(W, var))


@right("complete")
def rows_of_w(x, seen, W, b, var):
    x[:, ~seen] = latents(x[:, seen], W[seen], b[seen], var) @ W[~seen].T + b[~seen]
    return x


@right("complete")
def by_where(x, seen, W, b, var):
    return torch.where(seen, x, latents(x[:, seen], W[seen], b[seen], var) @ W.T + b)


@right("complete")
def by_covariances(x, seen, W, b, var):
    C = W @ W.T + var * torch.eye(len(b))
    out = x.clone()
    for n in range(len(x)):
        gain = torch.linalg.solve(C[seen][:, seen], x[n, seen] - b[seen])
        out[n, ~seen] = b[~seen] + C[~seen][:, seen] @ gain
    return out


@right("complete")
def complete_with_numpy(x, seen, W, b, var):
    x, seen, W, b = map(np.asarray, (x, seen, W, b))
    S = W[seen]
    z = (x[:, seen] - b[seen]) @ S @ np.linalg.inv(S.T @ S + var * np.eye(S.shape[1]))
    return np.where(seen, x, z @ W.T + b)


@wrong("complete", "must come from the seen rows of W alone")
def looked(x, seen, W, b, var):
    return torch.where(seen, x, latents(x, W, b, var) @ W.T + b)


@wrong("complete", "and the seen ones replaced")
def reconstruction(x, seen, W, b, var):
    return latents(x, W, b, var) @ W.T + b


@wrong("complete", "only the rest is filled in")
def all_replaced(x, seen, W, b, var):
    return latents(x[:, seen], W[seen], b[seen], var) @ W.T + b


@wrong("complete", "b is missing")
def offset_forgotten(x, seen, W, b, var):
    x[:, ~seen] = latents(x[:, seen], W[seen], b[seen], var) @ W[~seen].T
    return x


@wrong("complete", "the unseen features are b")
def mean_picture(x, seen, W, b, var):
    return torch.where(seen, x, b)


@wrong("complete", "nothing was filled in")
def as_it_came(x, seen, W, b, var):
    return x


@wrong("complete", "the prior of z was forgotten")
def by_pinv(x, seen, W, b, var):
    z = (x[:, seen] - b[seen]) @ torch.linalg.pinv(W[seen]).T
    return torch.where(seen, x, z @ W.T + b)


@wrong("complete", "unseen features are not 0")
def zeros_first(x, seen, W, b, var):
    return torch.where(seen, x, latents(torch.where(seen, x, 0.0), W, b, var) @ W.T + b)


@wrong("complete", "unseen features are not b")
def mean_first(x, seen, W, b, var):
    return torch.where(seen, x, latents(torch.where(seen, x, b), W, b, var) @ W.T + b)


@wrong("complete", "turn the mask around")
def mask_turned(x, seen, W, b, var):
    return torch.where(~seen, x, latents(x[:, seen], W[seen], b[seen], var) @ W.T + b)
