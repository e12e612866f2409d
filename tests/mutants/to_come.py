"""Wrong stand-ins for what comes, which the contracts must refuse; faults in what follows from a denoiser."""

from mutants.plant import Mutant

DENOISER = "tests/to_come/denoiser.py"
DENOISING, SOLVERS = "gdm_core/denoising.py", "tests/solvers.py"


def contract(name: str, *demos: str) -> str:
    return " ".join(f"tests/test_contracts.py::test_{name}[{demo}]" for demo in demos)


def follows(*names: str) -> str:
    return " ".join(f"tests/test_denoising.py::test_{name}" for name in names)


MUTANTS = [
    Mutant(
        "labels-before-the-noise",
        DENOISER,
        "def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None)",
        "def denoise(self, x_t: Tensor, y: Tensor | None = None, t: Tensor | None = None)",
        contract("labels_come_last", "denoiser-conditional"),
    ),
    Mutant(
        "denoiser-tells-the-noise",
        DENOISER,
        "return alpha * x_t + sigma * self.net(",
        "return x_t + 0 * self.net(",
        contract("training_makes_the_denoiser_the_mean_of_the_data", "denoiser-plane"),
    ),
    Mutant(
        "denoiser-off-by-a-tenth",
        DENOISER,
        "return (x - self.denoise(x_t, t, y))",
        "return (1.1 * x - self.denoise(x_t, t, y))",
        contract("training_makes_the_denoiser_the_mean_of_the_data", "denoiser-plane"),
    ),
    Mutant(
        "denoiser-trained-with-more-noise",
        DENOISER,
        "x_t = noisy(x, t, self.schedule, torch.randn_like(x))",
        "x_t = noisy(x, t, self.schedule, 3 * torch.randn_like(x))",
        contract("training_makes_the_denoiser_the_mean_of_the_data", "denoiser-plane"),
    ),
    Mutant(
        "schedule-runs-backward",
        DENOISER,
        "return torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)",
        "return torch.sin(math.pi / 2 * t), torch.cos(math.pi / 2 * t)",
        contract("a_schedule_runs_from_data_to_noise", "denoiser-plane"),
    ),
    # What follows from a denoiser
    Mutant(
        "score-of-the-noise",
        DENOISING,
        "return (alpha * mean - x_t) / sigma**2",
        "return (alpha * mean - x_t) / sigma",
        follows("the_score_is_that_of_the_marginal"),
    ),
    Mutant(
        "noise-of-the-mean",
        DENOISING,
        "return (x_t - alpha * mean) / sigma\n",
        "return (x_t - mean) / sigma\n",
        follows("the_score_is_that_of_the_marginal"),
    ),
    Mutant(
        "velocity-without-noise",
        DENOISING,
        "return d_alpha * mean + d_sigma * noise(mean, x_t, t, schedule)",
        "return d_alpha * mean + d_sigma * x_t",
        follows("the_velocity_carries_the_marginal"),
    ),
    Mutant(
        "constant-slopes-break",
        DENOISING,
        " + 0 * t.sum()",
        "",
        follows("the_velocity_carries_the_marginal"),
    ),
    Mutant(
        "mean-of-another-velocity",
        DENOISING,
        "return (sigma * velocity - d_sigma * x_t)",
        "return (sigma * velocity + d_sigma * x_t)",
        follows("noise_and_velocity_lead_back_to_the_mean"),
    ),
    Mutant(
        "variances-mixed-for-stds",
        DENOISING,
        "return alpha * x + sigma * noise",
        "return alpha**2 * x + sigma**2 * noise",
        follows("noisy_data_mix_data_and_noise"),
    ),
    Mutant(
        "ancestral-noise-of-the-reverse-kernel",
        SOLVERS,
        "x = x + d * new.sqrt() / b * noise(i)",
        "x = x + new.sqrt() * noise(i)",
        follows("an_ancestral_step_from_the_truth_is_as_noisy_as_the_data_of_its_time"),
    ),
]
