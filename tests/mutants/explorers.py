"""Faults in the explorers: pictures that no longer say what the model says."""

from mutants.plant import Mutant

TESTS = "tests/test_explorers.py"
EM = "gdm_core/explorers/mixture.py"
LINEAR = "gdm_core/explorers/linear.py"
ROOMS = "gdm_core/explorers/rooms.py"

MUTANTS = [
    Mutant(
        "explorer-bound-with-the-next-q",
        EM,
        "(self.q[:, :-1] * after).sum(-1).mean(0)",
        "(self.q[:, 1:] * after).sum(-1).mean(0)",
        f"{TESTS}::test_the_bound_is_likelihood_minus_kl_and_never_above",
    ),
    Mutant(
        "explorer-entropy-forgotten",
        EM,
        "after = joint[:, 1:] - self.q[:, :-1].log().nan_to_num(neginf=0.0)",
        "after = joint[:, 1:]",
        f"{TESTS}::test_the_bound_is_likelihood_minus_kl_and_never_above",
    ),
    Mutant(
        "explorer-e-step-with-the-m-step",
        EM,
        "before = min(half // 2, last)",
        "before = min((half + 1) // 2, last)",
        f"{TESTS}::test_the_text_tells_half_steps_apart",
    ),
    Mutant(
        "explorer-error-swallowed",
        EM,
        "self.error = str(error)",
        'self.error = ""',
        f"{TESTS}::test_a_collapsing_start_is_said_in_the_picture",
    ),
    Mutant(
        "explorer-noise-divided",
        LINEAR,
        "best.var * scale",
        "best.var / scale",
        f"{TESTS}::test_more_noise_widens_the_posterior_and_pulls_it_in",
    ),
    Mutant(
        "explorer-latents-cut-off",
        LINEAR,
        'z[:2] = torch.tensor(controls["z"])',
        'z = torch.zeros_like(z); z[:2] = torch.tensor(controls["z"])',
        f"{TESTS}::test_the_plane_decodes_as_ppca_does",
    ),
    Mutant(
        "explorer-room-from-the-other-side",
        ROOMS,
        'controls["orientation"]]])',
        '-controls["orientation"]]])',
        f"{TESTS}::test_the_room_is_the_rendered_one_and_its_caption_true",
    ),
]
