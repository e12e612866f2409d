"""Faults in the mixture, in PPCA, and in the arrows between the modules."""

from mutants.plant import Mutant

EM, GMM, PPCA = "gdm_core/gaussian_em.py", "gdm_core/models/gmm.py", "gdm_core/models/ppca.py"


def gmm(*names: str) -> str:
    return " ".join(f"tests/test_gmm.py::test_{name}" for name in names)


def em(*names: str) -> str:
    return " ".join(f"tests/test_gaussian_em.py::test_{name}" for name in names)


def ppca(*names: str) -> str:
    return " ".join(f"tests/test_ppca.py::test_{name}" for name in names)


def contract(model: str, *names: str) -> str:
    return " ".join(f"tests/test_contracts.py::test_{name}[{model}-plane]" for name in names)


ONE = "one_iteration_is_the_textbooks"

MUTANTS = [
    # The mixture's density
    Mutant(
        "gmm-log-det-sign",
        GMM,
        "- self.log_scales.sum(1)[:, None]",
        "+ self.log_scales.sum(1)[:, None]",
        gmm("log_prob_is_scipys"),
    ),
    Mutant(
        "gmm-2pi-counted-once",
        GMM,
        "self.features * LOG_2PI",
        "LOG_2PI",
        contract("gmm", "density_integrates_and_probabilities_sum_to_one"),
    ),
    Mutant(
        "gmm-weights-not-normalized",
        GMM,
        "(self.logits.log_softmax(0)[:, None] + log_normal)",
        "(self.logits[:, None] + log_normal)",
        contract("gmm", "density_integrates_and_probabilities_sum_to_one"),
    ),
    Mutant(
        "gmm-weights-forgotten",
        GMM,
        "(self.logits.log_softmax(0)[:, None] + log_normal)",
        "log_normal",
        contract("gmm", "loss_is_a_scalar_that_reaches_every_parameter"),
    ),
    Mutant(
        "gmm-std-taken-for-variance",
        GMM,
        "torch.diag_embed(self.log_scales.exp())",
        "torch.diag_embed((0.5 * self.log_scales).exp())",
        contract("gmm", "samples_come_from_the_density"),
    ),
    Mutant(
        "gmm-sums-log-densities",
        GMM,
        "return self.log_joint(x).logsumexp(1)",
        "return self.log_joint(x).sum(1)",
        gmm("log_prob_is_scipys"),
    ),
    Mutant(
        "gmm-responsibilities-over-examples",
        GMM,
        "self.log_joint(x).softmax(1)",
        "self.log_joint(x).softmax(0)",
        gmm("posterior_is_bayes_rule"),
    ),
    Mutant(
        "gmm-posterior-is-prior",
        GMM,
        "return Categorical(logits=self.log_joint(x))",
        "return Categorical(logits=self.logits.expand(len(x), -1))",
        contract("gmm", "prior_decoder_and_posterior_fit_together") + " " + gmm("posterior_is_bayes_rule"),
    ),
    Mutant(
        "gmm-samples-components-alike",
        GMM,
        'self.decode(self.prior().sample((integer("n", n),))).sample()',
        'self.decode(torch.randint(self.components, (integer("n", n),))).sample()',
        contract("gmm", "samples_come_from_the_density"),
    ),
    Mutant(
        "gmm-component-minus-one",
        GMM,
        "not 0 <= int(z.min())",
        "not -self.components <= int(z.min())",
        gmm("decode_is_the_component"),
    ),
    Mutant(
        "gmm-bound-without-entropy",
        GMM,
        "(q * log_joint - torch.xlogy(q, q)).sum(1)",
        "(q * log_joint).sum(1)",
        gmm("bound_touches_at_the_posterior_and_stays_below_elsewhere"),
    ),
    Mutant(
        "gmm-index-on-the-cpu",
        GMM,
        "-1, device=tril.device)\n        return tril",
        "-1)\n        return tril",
        contract("gmm", "no_tensor_is_made_on_a_device_of_its_own"),
    ),
    # EM
    Mutant(
        "em-covariance-about-zero",
        EM,
        "covariance = second - first[:, :, None] * first[:, None, :]",
        "covariance = second",
        em("em_is_scikit_learns[0.0]"),
    ),
    Mutant(
        "em-means-not-divided-by-their-weight",
        EM,
        "first, second = first / counts[:, None], second / counts[:, None, None]",
        "first, second = first / n * len(means), second / n * len(means)",
        em("em_is_scikit_learns[0.0]"),
    ),
    Mutant(
        "em-weights-kept",
        GMM,
        "self.logits.copy_(weights.log())",
        "self.logits.copy_(self.logits)",
        em("em_is_scikit_learns[0.0]"),
    ),
    Mutant(
        "em-weights-written-as-logits",
        GMM,
        "self.logits.copy_(weights.log())",
        "self.logits.copy_(weights)",
        em("em_is_scikit_learns[0.0]"),
    ),
    Mutant(
        "em-floor-in-the-wrong-coordinates",
        EM,
        "covariance + floor * _product(back, back.mT)",
        "covariance + floor * eye",
        em("em_is_scikit_learns[0.01]"),
    ),
    Mutant(
        "em-forgets-the-units-of-the-data",
        EM,
        " + root.diagonal().log().sum()",
        "",
        em(f"{ONE}[0.0-1.0-products]"),
    ),
    Mutant(
        "em-pairs-counted-once",
        EM,
        "torch.where(i == j, 0.5, 1.0)",
        "torch.where(i == j, 0.5, 0.5)",
        em(f"{ONE}[0.0-1.0-products]"),
    ),
    Mutant(
        "em-loses-digits-of-narrow-components",
        EM,
        "> NARROW) | (d > MANY)",
        '> float("inf")) | (d > MANY)',
        em("em_keeps_its_digits_on_narrow_components"),
    ),
    Mutant(
        "em-forgets-where-own-coordinates-start",
        EM,
        "torch.where(narrow[:, None], means, 0.0)",
        "torch.zeros_like(means)",
        em(f"{ONE}[0.0-1.0-own-coordinates]"),
    ),
    Mutant(
        "em-swaps-narrow-and-wide",
        EM,
        "back = order.argsort()",
        "back = order",
        em("narrow_and_wide_components_side_by_side"),
    ),
    Mutant(
        "em-drops-small-responsibilities",
        EM,
        "UNDERFLOW = -600.0",
        "UNDERFLOW = -12.0",
        em(f"{ONE}[0.0-1.0-products]"),
    ),
    Mutant(
        "em-drops-the-last-tile",
        EM,
        "in white.split(tile, 1):",
        "in white.split(tile, 1)[:-1]:",
        em(f"{ONE}[0.0-1.0-products]", f"{ONE}[0.0-1.0-own-coordinates]"),
    ),
    Mutant(
        "em-collapse-unseen",
        EM,
        "flat = info > 0\n    if not floor:",
        "flat = info > 0\n    if False:",
        em("near_duplicates_are_a_collapse_although_each_variance_is_positive"),
    ),
    Mutant(
        "em-starved-component-unseen",
        EM,
        "if (counts < 1e-8).any():",
        "if False:",
        em("a_component_that_nobody_wants_is_named"),
    ),
    Mutant(
        "em-constant-columns-unseen",
        EM,
        "if not floor and (constant :=",
        "if False and (constant :=",
        "tests/test_gmm.py::test_bad_data_are_refused_with_cause_and_remedy",
    ),
    Mutant(
        "em-one-iteration-too-many",
        GMM,
        "return (self._iterate(data, floor) for _ in range(iterations))",
        "return (self._iterate(gaussian_em.standardize(x, floor), floor) for _ in range(iterations + 1))",
        gmm("each_next_is_one_iteration_and_yields_the_likelihood_before_it"),
    ),
    Mutant(
        "start-covariance-of-all-data",
        EM,
        "away = x - means[nearest]",
        "away = x - x.mean(0)",
        gmm("start_is_the_groups_around_seeds_of_the_data"),
    ),
    Mutant(
        "start-always-the-same",
        EM,
        'random_state = int(torch.randint(2**31 - 1, (), device="cpu"))',
        "random_state = 0",
        gmm("start_follows_the_seed"),
    ),
    # PPCA
    Mutant(
        "ppca-divides-by-n-minus-one",
        PPCA,
        "_eigh(gram / n -",
        "_eigh(gram / (n - 1) -",
        ppca("solve_reaches_the_maximum[300-6-3]"),
    ),
    Mutant(
        "ppca-noise-averaged-over-all-directions",
        PPCA,
        "/ (self.features - q)",
        "/ self.features",
        ppca("solve_reaches_the_maximum[300-6-3]"),
    ),
    Mutant(
        "ppca-noise-counted-twice",
        PPCA,
        "(values[:q] - var)",
        "values[:q]",
        ppca("solve_reaches_the_maximum[300-6-3]"),
    ),
    Mutant(
        "ppca-variance-taken-for-length",
        PPCA,
        "(values[:q] - var).clamp(min=0).sqrt()",
        "(values[:q] - var).clamp(min=0)",
        ppca("solve_reaches_the_maximum[300-6-3]"),
    ),
    Mutant(
        "ppca-forgets-to-center",
        PPCA,
        "gram / n - torch.outer(mean, mean)",
        "gram / n",
        ppca("solve_in_awkward_units[300]", "solve_reaches_the_maximum[300-6-3]"),
    ),
    Mutant(
        "ppca-small-sample-scale",
        PPCA,
        "/ (n * values[:q]).sqrt()",
        "/ values[:q].sqrt()",
        ppca("solve_reaches_the_maximum[5-6-2]"),
    ),
    Mutant(
        "ppca-sign-left-to-chance",
        PPCA,
        "keepdim=True)).sign()",
        "keepdim=True)).sign().neg()",
        ppca("columns_of_solve_are_orthogonal_sorted_and_of_one_sign"),
    ),
    Mutant(
        "ppca-log-det-of-all-directions",
        PPCA,
        "(d - q) * log_var",
        "d * log_var",
        ppca("log_prob_is_scipys[6-3]"),
    ),
    Mutant(
        "ppca-2pi-counted-once",
        PPCA,
        "(d * LOG_2PI + log_det",
        "(LOG_2PI + log_det",
        contract("ppca", "density_integrates_and_probabilities_sum_to_one"),
    ),
    Mutant(
        "ppca-digits-lost-to-cancellation",
        PPCA,
        "misfit.square().sum(1) / log_var.exp() + mean.square().sum(1)",
        "(away.square().sum(1) - ((away @ W) * mean).sum(1)) / log_var.exp()",
        ppca("log_prob_keeps_its_digits_where_the_noise_is_small[1e-08]"),
    ),
    Mutant(
        "ppca-variance-taken-for-std",
        PPCA,
        "(0.5 * self.log_var).exp()",
        "self.log_var.exp()",
        contract("ppca", "samples_come_from_the_density", "prior_decoder_and_posterior_fit_together"),
    ),
    Mutant(
        "ppca-posterior-too-narrow",
        PPCA,
        "precision_matrix=tril @ tril.T / self.var",
        "precision_matrix=tril @ tril.T / self.var**2",
        ppca("bayes_rule_holds_exactly[6-3]"),
    ),
    Mutant(
        "ppca-posterior-without-prior",
        PPCA,
        "torch.linalg.cholesky(W.T @ W + var * _eye(W.T))",
        "torch.linalg.cholesky(W.T @ W)",
        ppca("posterior_is_that_of_the_joint_gaussian"),
    ),
    Mutant(
        "ppca-em-noise-with-the-old-w",
        PPCA,
        "torch.linalg.solve(M, new.T).T",
        "torch.linalg.solve(M, W.T).T",
        ppca("one_em_iteration_is_eq_27_and_28"),
    ),
    Mutant(
        "ppca-em-forgets-the-mean",
        PPCA,
        "value = _log_prob(away, W, b - mean, log_var).mean().item()",
        "value = _log_prob(away, W, b, log_var).mean().item()",
        ppca("one_em_iteration_is_eq_27_and_28"),
    ),
    Mutant(
        "ppca-rotates-in-place",
        PPCA,
        "other = copy.deepcopy(self)",
        "other = self",
        ppca("a_rotation_of_the_latents_changes_no_density"),
    ),
    Mutant(
        "ppca-no-noise-unseen",
        PPCA,
        "if not var > 1e-12 * values[0]:",
        "if False:",
        "tests/test_ppca.py::test_bad_data_are_refused_with_cause_and_remedy",
    ),
    Mutant(
        "ppca-loss-is-a-sum",
        PPCA,
        "return -self.log_prob(x).mean()",
        "return -self.log_prob(x).sum()",
        contract("ppca", "loss_is_the_mean_of_minus_log_prob_unless_its_docstring_says_otherwise"),
    ),
    # The arrows
    Mutant(
        "a-model-that-knows-its-trainer",
        PPCA,
        "from gdm_core.validate import",
        "from gdm_core import train  # noqa\nfrom gdm_core.validate import",
        "tests/test_imports.py::test_imports_point_one_way[models/ppca.py]",
    ),
    Mutant(
        "a-trainer-that-knows-a-picture",
        "gdm_core/train.py",
        "from tqdm.auto import tqdm",
        "import matplotlib\nfrom tqdm.auto import tqdm",
        "tests/test_imports.py::test_imports_point_one_way[train.py]",
    ),
]
