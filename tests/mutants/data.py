"""Faults in the toy targets, the digits and the IDX sets."""

from mutants.plant import Mutant

TARGETS, SHAPES, TOY = "gdm_core/data/targets.py", "gdm_core/data/shapes.py", "gdm_core/data/toy.py"
IDX, DOWNLOAD = "gdm_core/data/idx.py", "gdm_core/data/download.py"


def toy(test: str, *names: str) -> str:
    return " ".join(f"tests/test_toy.py::test_{test}[{name}]" for name in names)


MUTANTS = [
    Mutant(
        "mixture-log-std-counted-once",
        TARGETS,
        "d * std.log() - 0.5",
        "std.log() - 0.5",
        toy("density_integrates_to_one", "eight_gaussians"),
    ),
    Mutant(
        "mixture-2pi-counted-once",
        TARGETS,
        "- 0.5 * d * LOG_2PI) - 0.5 * square",
        "- 0.5 * LOG_2PI) - 0.5 * square",
        toy("density_integrates_to_one", "moons"),
    ),
    Mutant(
        "mixture-score-by-std-for-variance",
        TARGETS,
        "self._log_joint(x).softmax(1) / self.std.to(x) ** 2",
        "self._log_joint(x).softmax(1) / self.std.to(x)",
        toy("score_is_the_gradient", "trimodal", "moons"),
    ),
    Mutant(
        "mixture-sampler-ignores-weights",
        TARGETS,
        "self._choose(self.weights, n, generator)",
        "self._choose(torch.ones_like(self.weights), n, generator)",
        toy("samples_have_the_moments_and_the_entropy", "bimodal"),
    ),
    Mutant(
        "mixture-sampler-variance-for-std",
        TARGETS,
        "self.means[k] + self.std[k, None] * self._normal",
        "self.means[k] + self.std[k, None] ** 2 * self._normal",
        toy("samples_have_the_moments_and_the_entropy", "bimodal", "grid_gaussians"),
    ),
    Mutant(
        "gaussian-sampler-cholesky-transposed",
        TARGETS,
        "self.mean + noise @ self.scale_tril.T",
        "self.mean + noise @ self.scale_tril",
        toy("samples_fill_the_cells_as_the_density_says", "gaussian"),
    ),
    Mutant(
        "gaussian-density-without-determinant",
        TARGETS,
        ".sum(1) - log_det - 0.5",
        ".sum(1) - 0.5",
        toy("density_integrates_to_one", "gaussian") + " tests/test_toy.py::test_gaussian_against_scipy",
    ),
    Mutant(
        "gaussian-score-solved-once",
        TARGETS,
        "return -torch.linalg.solve_triangular(self.scale_tril.to(x).T, self._white(x).T, upper=True).T",
        "return -self._white(x)",
        toy("score_is_the_gradient", "gaussian"),
    ),
    Mutant(
        "tiles-lose-the-last-rows",
        TARGETS,
        "for rows in x.split(TILE)]",
        "for rows in x[: len(x) // TILE * TILE].split(TILE)]",
        toy("tiles_change_nothing", "rings"),
    ),
    Mutant(
        "rings-as-a-density-of-the-radius",
        SHAPES,
        "- 0.5 * (r - radii) ** 2 / var + bessel",
        "- 0.5 * (r - radii) ** 2 / var",
        toy("density_integrates_to_one", "rings"),
    ),
    Mutant(
        "rings-score-without-bessel",
        SHAPES,
        "(radii * torch.special.i1e(t) / torch.special.i0e(t) - r) / var",
        "(radii - r) / var",
        toy("score_is_the_gradient", "rings"),
    ),
    Mutant(
        "pinwheel-sampler-turns-the-other-way",
        SHAPES,
        "angle = self.angles[arm] + self.twist",
        "angle = self.angles[arm] - self.twist",
        toy("samples_fill_the_cells_as_the_density_says", "pinwheel"),
    ),
    Mutant(
        "pinwheel-score-forgets-the-bending",
        SHAPES,
        "(turned + bending[..., None] * outwards[:, None])",
        "turned",
        toy("score_is_the_gradient", "pinwheel"),
    ),
    Mutant(
        "banana-not-centered",
        SHAPES,
        "self.bend * (flat[:, 0] ** 2 - self.std[0].to(noise) ** 2)",
        "self.bend * flat[:, 0] ** 2",
        toy("samples_have_the_moments_and_the_entropy", "banana"),
    ),
    Mutant(
        "funnel-density-without-its-width",
        SHAPES,
        "* (-v).exp() + v)",
        "* (-v).exp())",
        toy("density_integrates_to_one", "funnel"),
    ),
    Mutant(
        "funnel-exp-v-taken-for-the-std",
        SHAPES,
        "flat[:, 1] * (0.5 * flat[:, 0]).exp()",
        "flat[:, 1] * flat[:, 0].exp()",
        toy("samples_have_the_moments_and_the_entropy", "funnel"),
    ),
    Mutant(
        "checkerboard-density-on-the-white-squares",
        SHAPES,
        "(column.sum(1) % 2 == 0)",
        "(column.sum(1) % 2 == 1)",
        toy("samples_fill_the_cells_as_the_density_says", "checkerboard"),
    ),
    Mutant(
        "checkerboard-over-the-whole-area",
        SHAPES,
        "math.log(self.squares**2 / 2 * ",
        "math.log(self.squares**2 * ",
        toy("density_integrates_to_one", "checkerboard"),
    ),
    Mutant(
        "curve-points-equal-in-time-not-length",
        TOY,
        "torch.from_numpy(np.interp(middle, length, t.numpy()))",
        "torch.from_numpy(middle / length[-1])",
        "tests/test_toy.py::test_no_ripple_along_the_curve",
    ),
    Mutant(
        "splits-share-a-stream",
        "gdm_core/data/dataset.py",
        '"{name} {split} {integer',
        '"{name} {integer',
        toy("load", "moons"),
    ),
    Mutant(
        "seed-is-ignored", TOY, "density.draw(n, stream(name, split, seed))", "density.draw(n)", toy("load", "gaussian")
    ),
    Mutant(
        "moving-a-set-moves-the-other",
        "gdm_core/data/dataset.py",
        "copy.deepcopy(density).to(device)",
        "density.to(device)",
        "tests/test_toy.py::test_moving_a_set_leaves_the_other_alone",
    ),
    Mutant("digits-by-15", "gdm_core/data/digits.py", "div_(16)", "div_(15)", "tests/test_digits.py"),
    Mutant(
        "digits-splits-overlap",
        "gdm_core/data/digits.py",
        '"validation": (1000, 1350)',
        '"validation": (999, 1350)',
        "tests/test_digits.py",
    ),
    Mutant(
        "idx-header-little-endian",
        IDX,
        'struct.unpack(f">{',
        'struct.unpack(f"<{',
        "tests/test_idx.py::test_every_type_of_idx",
    ),
    Mutant(
        "idx-values-little-endian",
        IDX,
        '0x0B: ">i2"',
        '0x0B: "<i2"',
        "tests/test_idx.py::test_every_type_of_idx",
    ),
    Mutant(
        "idx-trailing-bytes-ignored",
        IDX,
        "if len(content) != size:",
        "if len(content) < size:",
        "tests/test_idx.py::test_no_length_but_the_right_one",
    ),
    Mutant("gray-levels-by-256", IDX, "div_(255)", "div_(256)", "tests/test_idx.py::test_found_offline"),
    Mutant(
        "validation-from-the-test-file",
        IDX,
        'part = "t10k" if split == "test" else "train"',
        'part = "t10k" if split != "train" else "train"',
        "tests/test_idx.py::test_splits_and_n tests/test_idx.py::test_test_pair_alone_is_no_training_set",
    ),
    Mutant(
        "validation-from-the-beginning",
        IDX,
        '{"train": (0, 50_000), "validation": (50_000, 60_000)',
        '{"train": (0, 50_000), "validation": (0, 10_000)',
        "tests/test_idx.py::test_validation_is_the_end_of_the_training_file",
    ),
    Mutant(
        "content-on-the-disk-not-checked",
        IDX,
        "if found == SUMS[name][file][1]:",
        "if found:",
        "tests/test_idx.py::test_other_sets_file_is_refused tests/test_idx.py::test_damaged_file_is_refused",
    ),
    Mutant(
        "download-not-checked",
        DOWNLOAD,
        "if hashlib.sha256(got).hexdigest() == sha256:",
        "if got:",
        "tests/test_download.py::test_bad_mirror_is_named_with_its_cause[corrupt] "
        "tests/test_download.py::test_wrong_beginning_is_not_kept",
    ),
    Mutant(
        "wrong-beginning-kept",
        DOWNLOAD,
        "        got.clear()\n        if not resumed:",
        "        if not resumed:",
        "tests/test_download.py::test_good_mirror_after_a_bad_one[corrupt]",
    ),
    Mutant(
        "no-second-chance-for-the-good-mirror",
        DOWNLOAD,
        "        if not resumed:\n            break",
        "        break",
        "tests/test_download.py::test_wrong_beginning_is_not_kept",
    ),
    Mutant(
        "cut-off-taken-for-the-end",
        DOWNLOAD,
        "if whole is not None and len(got) < whole:",
        "if whole is not None and len(got) > whole:",
        "tests/test_download.py::test_bad_mirror_is_named_with_its_cause[cut]",
    ),
    Mutant(
        "no-time-out",
        DOWNLOAD,
        "timeout=stall) as",
        "timeout=60) as",
        "tests/test_download.py::test_bad_mirror_is_named_with_its_cause[mute]",
    ),
    Mutant(
        "a-trickle-is-no-stall",
        DOWNLOAD,
        "if elapsed > stall:",
        "if elapsed > 100 * stall:",
        "tests/test_download.py::test_bad_mirror_is_named_with_its_cause[trickle]",
    ),
    Mutant(
        "range-off-by-one",
        DOWNLOAD,
        'f"bytes={len(got)}-"',
        'f"bytes={len(got) + 1}-"',
        "tests/test_download.py::test_next_mirror_sends_only_the_rest",
    ),
    Mutant(
        "control-c-tries-the-next-mirror",
        DOWNLOAD,
        "except (OSError, http.client.HTTPException) as error:",
        "except BaseException as error:",
        "tests/test_download.py::test_control_c_goes_through",
    ),
    Mutant(
        "file-written-in-place",
        IDX,
        "payload = fetch(urls, SUMS[name][file][0], stall=stall)",
        "folder.mkdir(parents=True, exist_ok=True)\n"
        '        (folder / f"{file}.gz").write_bytes(b"")\n'
        "        payload = fetch(urls, SUMS[name][file][0], stall=stall)",
        "tests/test_idx.py::test_bad_mirror_leaves_nothing[missing] tests/test_idx.py::test_control_c_leaves_nothing",
    ),
]
