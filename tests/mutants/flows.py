"""Faults of flows: signs of log-determinants in one direction and in both, wrong Jacobians, inverses, masks, noise."""

from mutants.plant import Mutant

_AT = "gdm_core/bijections/"
_BOTH, _BACK = "test_both_log_determinants_are_those_of_the_jacobian", "test_there_and_back"
_ORDER = "test_autoregressive_networks_look_only_behind"


def _plant(file: str, name: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(
        f"flows-{name}",
        f"{_AT}{file}.py",
        old,
        new,
        " ".join(f"tests/test_bijections.py::{t}" for t in tests.split("; ")),
    )


MUTANTS = [
    # Signs
    _plant(
        "bijection",
        "log-det-sign-on-the-way-to-data",
        "return x, -self.to_latent(x, c)[1]",
        "return x, self.to_latent(x, c)[1]",
        f"{_BOTH}[coupling]",
    ),
    _plant(
        "elementwise",
        "affine-log-det-sign-in-both-directions",
        "return torch.addcmul(t, a, s.exp()), s",
        "return torch.addcmul(t, a, s.exp()), -s",
        f"{_BOTH}[coupling]",
    ),
    _plant(
        "elementwise",
        "spline-log-det-sign-in-both-directions",
        "torch.where(inside, slope.log(), 0.0)",
        "torch.where(inside, -slope.log(), 0.0)",
        f"{_BOTH}[spline]",
    ),
    _plant(
        "planar",
        "planar-log-det-sign-in-both-directions",
        "torch.log1p((1 - h.square()) * (self.w @ u))",
        "-torch.log1p((1 - h.square()) * (self.w @ u))",
        f"{_BOTH}[planar]",
    ),
    _plant(
        "linear",
        "norm-log-det-of-one-pixel",
        "z = (x - planes(self.shift, x)) * planes(self.log_scale.exp(), x)\n"
        "        return z, (x[0, 0].numel() * self.log_scale.sum())",
        "z = (x - planes(self.shift, x)) * planes(self.log_scale.exp(), x)\n        return z, self.log_scale.sum()",
        f"{_BOTH}[norm-of-channels]",
    ),
    _plant(
        "linear",
        "mix-log-det-of-one-pixel",
        "self.P @ L @ U, x)\n        return z, (x[0, 0].numel() * self.log_scale.sum())",
        "self.P @ L @ U, x)\n        return z, self.log_scale.sum()",
        f"{_BOTH}[mix-of-channels]",
    ),
    _plant(
        "bijection",
        "chain-forgets-a-log-det",
        "x, log_det = layer.to_latent(x, c)\n            total = total + log_det",
        "x, log_det = layer.to_latent(x, c)\n            total = log_det",
        f"{_BOTH}[chain]; test_a_chain_adds_up_its_layers_and_films_them",
    ),
    _plant(
        "bijection",
        "chain-pushes-the-wrong-way-round",
        "total = z.new_zeros(len(z))\n        for layer in reversed(self.layers):",
        "total = z.new_zeros(len(z))\n        for layer in self.layers:",
        f"{_BOTH}[chain]",
    ),
    # Wrong Jacobians
    _plant(
        "planar",
        "planar-slope-of-the-value",
        "torch.log1p((1 - h.square()) * (self.w @ u))",
        "torch.log1p((1 - h) * (self.w @ u))",
        f"{_BOTH}[planar]",
    ),
    _plant(
        "planar",
        "planar-jacobian-of-the-unconstrained-u",
        "torch.log1p((1 - h.square()) * (self.w @ u))",
        "torch.log1p((1 - h.square()) * (self.w @ self.u))",
        f"{_BOTH}[planar]",
    ),
    _plant(
        "planar",
        "radial-of-one-dimension-too-many",
        "(x.shape[1] - 1) * torch.log1p(beta * h)",
        "x.shape[1] * torch.log1p(beta * h)",
        f"{_BOTH}[radial]",
    ),
    _plant(
        "planar",
        "radial-without-its-slope",
        "torch.log1p(beta * alpha * h.square())",
        "torch.log1p(beta * h)",
        f"{_BOTH}[radial]",
    ),
    _plant(
        "elementwise",
        "spline-slope-of-the-other-knot",
        "m.square() * (d1 * v.square() + 2 * m * vv + d0 * (1 - v).square())",
        "m.square() * (d0 * v.square() + 2 * m * vv + d1 * (1 - v).square())",
        f"{_BOTH}[spline]; test_a_spline_goes_through_its_knots_with_its_slopes",
    ),
    _plant(
        "pictures",
        "two-scales-forget-the-first",
        "x, log_det = scale.to_latent(self.squeeze.to_latent(x)[0], c)\n            total = total + log_det",
        "x, log_det = scale.to_latent(self.squeeze.to_latent(x)[0], c)\n            total = log_det",
        f"{_BOTH}[two-scales]",
    ),
    _plant(
        "pictures",
        "logit-without-its-scale",
        "math.log(1 - 2 * self.edge) - logsigmoid(z)",
        "-logsigmoid(z)",
        f"{_BOTH}[logit]",
    ),
    # Inverses
    _plant(
        "elementwise",
        "inverse-only-right-at-the-start",
        "return (b - p[..., 1]) * torch.exp(-STEEPEST * torch.tanh(p[..., 0] / STEEPEST))",
        "return (b - p[..., 1]) * torch.exp(-p[..., 0])",
        f"{_BACK}[coupling]",
    ),
    _plant(
        "elementwise",
        "inverse-that-shifts-last",
        "return (b - p[..., 1]) * torch.exp(-STEEPEST * torch.tanh(p[..., 0] / STEEPEST))",
        "return b * torch.exp(-STEEPEST * torch.tanh(p[..., 0] / STEEPEST)) - p[..., 1]",
        f"{_BACK}[coupling]",
    ),
    _plant(
        "elementwise",
        "spline-inverse-by-the-bins-of-x",
        "x0, x1, y0, y1, d0, d1 = self._bin(at, y, x, y, d)",
        "x0, x1, y0, y1, d0, d1 = self._bin(at, x, x, y, d)",
        f"{_BACK}[spline]",
    ),
    _plant(
        "linear",
        "mix-inverse-without-its-permutation",
        "torch.linalg.solve_triangular(L, self.P.T @ columns,",
        "torch.linalg.solve_triangular(L, columns,",
        f"{_BACK}[mix]",
    ),
    _plant(
        "linear",
        "permutation-there-and-there",
        "return z[:, self.back]",
        "return z[:, self.order]",
        f"{_BACK}[permutation]",
    ),
    _plant(
        "planar",
        "bisection-of-too-few-halvings",
        "HALVINGS = 60",
        "HALVINGS = 6",
        "test_solve_finds_the_root_and_its_gradient",
    ),
    _plant(
        "planar",
        "root-without-a-gradient",
        "return s - (rises(s)[0] - target) / slope",
        "return s",
        "test_solve_finds_the_root_and_its_gradient",
    ),
    _plant(
        "planar",
        "radial-other-root",
        "torch.where(p > 0, 2 * alpha * R / (root + p), 0.5 * (root - p))",
        "torch.where(p > 0, 2 * alpha * R / (root + p), 0.5 * (root + p))",
        f"{_BACK}[radial]",
    ),
    # Constraints and masks
    _plant(
        "planar",
        "planar-constraint-dropped",
        "return u + (softplus(along) - 1 - along) * w / w.square().sum().clamp_min(1e-12)",
        "return u",
        "test_planar_stays_invertible_whatever_its_numbers",
    ),
    _plant(
        "planar",
        "planar-constraint-without-the-norm",
        "* w / w.square().sum().clamp_min(1e-12)",
        "* w",
        "test_planar_stays_invertible_whatever_its_numbers",
    ),
    _plant(
        "planar",
        "radial-constraint-dropped",
        "return alpha, alpha * (softplus(self.raw) - 1)",
        "return alpha, alpha * (self.raw - 1)",
        "test_radial_is_the_papers_equation_and_stays_invertible",
    ),
    _plant(
        "autoregressive",
        "mask-that-looks-at-itself",
        ".repeat_interleave(out)[:, None] > degrees)",
        ".repeat_interleave(out)[:, None] >= degrees)",
        f"{_ORDER}; {_BOTH}[masked]",
    ),
    _plant(
        "autoregressive",
        "mask-too-strict-in-between",
        "masks.append(mine[:, None] >= degrees)",
        "masks.append(mine[:, None] > degrees)",
        f"{_ORDER}; test_every_row_of_a_masked_network_sees_all_before_it_with_many_features",
    ),
    _plant(
        "autoregressive",
        "context-that-the-first-never-hears",
        "low = 0 if context or features == 1 else 1",
        "low = 1 if features > 1 else 0",
        _ORDER,
    ),
    _plant(
        "autoregressive",
        "tokens-not-shifted",
        "torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)[..., None]",
        "x[..., None]",
        f"{_ORDER}; {_BOTH}[transformer]",
    ),
    Mutant(
        "flows-transformer-that-sees-ahead",
        "gdm_core/causal/attention.py",
        "attend(q, k, v, is_causal=True)",
        "attend(q, k, v)",
        f"tests/test_bijections.py::{_ORDER}",
    ),
    _plant(
        "autoregressive",
        "samples-in-one-pass",
        "here = self.map.inverse(z[:, i], self.net(x, c)[:, i])",
        "here = self.map.inverse(z[:, i], self.net(z, c)[:, i])",
        f"{_BACK}[masked]",
    ),
    # Models
    # Gray levels
    # A flow as posterior
    _plant(
        "pushed",
        "draws-remember-the-base-alone",
        "self._last = z, self.base.log_prob(e) - log_det",
        "self._last = z, self.base.log_prob(e)",
        "test_a_pushed_distribution_integrates_and_knows_its_draws",
    ),
    _plant(
        "pushed",
        "density-without-its-log-det",
        "return self.base.log_prob(e.reshape(value.shape)) + log_det.reshape(value.shape[:-1])",
        "return self.base.log_prob(e.reshape(value.shape))",
        "test_a_pushed_distribution_integrates_and_knows_its_draws",
    ),
    # The film
    _plant(
        "coupling",
        "always-relu",
        "self.half * self.map.parameters, activation))",
        "self.half * self.map.parameters))",
        "test_a_smooth_activation_makes_a_smooth_slope",
    ),
    _plant(
        "coupling", "starts-strong", "p.mul_(0.01)", "p.mul_(1.0)", "test_layers_with_networks_begin_near_the_identity"
    ),
    _plant(
        "bijection",
        "states-that-are-not-told",
        "layer.to_latent(x, c)\n            yield",
        "layer.to_latent(x)\n            yield",
        "test_a_chain_adds_up_its_layers_and_films_them",
    ),
    _plant(
        "pictures",
        "scales-that-are-not-told",
        "scale.to_latent(self.squeeze.to_latent(x)[0], c)",
        "scale.to_latent(self.squeeze.to_latent(x)[0])",
        f"{_BACK}[two-scales]",
    ),
    _plant(
        "pushed",
        "draws-beside-another-context",
        "self.c.expand(*a.shape[:-1], -1).reshape(-1, self.c.shape[-1])",
        "self.c.repeat_interleave(a.shape[:-1].numel() // len(self.c), 0)",
        "test_a_pushed_distribution_integrates_and_knows_its_draws[coupling-told]",
    ),
    _plant(
        "pushed",
        "density-of-the-last-draw-for-any",
        "value is self._last[0]",
        "value.shape == self._last[0].shape",
        "test_a_pushed_distribution_integrates_and_knows_its_draws[coupling-told]",
    ),
    _plant(
        "planar",
        "radial-bound-of-alpha-one",
        "alpha * (softplus(self.raw) - 1)",
        "softplus(self.raw) - 1",
        "test_radial_is_the_papers_equation_and_stays_invertible",
    ),
    _plant(
        "bijection",
        "swapped-told-nothing",
        "    def push(self, z, c=None):\n        return self.layer.to_latent(z, c)",
        "    def push(self, z, c=None):\n        return self.layer.to_latent(z)",
        "test_a_pushed_distribution_integrates_and_knows_its_draws[masked-swapped]",
    ),
]
