"""Faults of U-Net and DiT: time or class that is not told, residuals lost, patches mixed up, places forgotten."""

from mutants.plant import Mutant

_TOLD, _OWN, _GRAD = (
    "time_and_class_are_told_to_each_block",
    "every_example_has_its_own_time_and_label",
    "the_gradient_reaches_every_parameter",
)
_START, _NONE = (
    "before_training_it_answers_zero_and_blocks_pass_on_what_they_get",
    "no_label_has_a_number_of_its_own",
)


def _plant(file: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    ids = " ".join(f"tests/test_denoiser_networks.py::test_{t}" for t in tests)
    return Mutant(f"denoisers-{file}-{name}", f"gdm_core/{file}.py", old, new, ids)


MUTANTS = [
    _plant(
        "networks",
        "time-not-told",
        "told = self.of_time(torch.cat([angles.cos(), angles.sin()], 1))",
        "told = self.of_time(torch.cat([angles.cos(), angles.sin()], 1) * 0)",
        "times_are_told_apart_near_both_ends",
        _OWN,
    ),
    _plant(
        "networks",
        "both-ends-of-time-alike",
        "(math.pi / 2 * 2.0 **",
        "(2 * math.pi * 2.0 **",
        "times_are_told_apart_near_both_ends",
    ),
    _plant(
        "networks", "one-time-for-all", "angles = t[:, None] *", "angles = t.mean().expand(len(t))[:, None] *", _OWN
    ),
    _plant(
        "networks",
        "class-not-told",
        "return told + self.of_label(validate.labels(y, len(t), self.labels + 1))",
        "return told + 0 * self.of_label(validate.labels(y, len(t), self.labels + 1))",
        _GRAD,
        _OWN,
    ),
    _plant(
        "networks",
        "no-label-is-class-0",
        "told + self.of_label.weight[self.labels]",
        "told + self.of_label.weight[0]",
        _NONE,
    ),
    _plant(
        "networks",
        "label-none-refused",
        "validate.labels(y, len(t), self.labels + 1)",
        "validate.labels(y, len(t), self.labels)",
        _NONE,
    ),
    _plant(
        "networks",
        "labels-ignored-without-classes",
        'if y is not None:\n                raise bad("no labels for an unconditional network"',
        'if False:\n                raise bad("no labels for an unconditional network"',
        _NONE,
    ),
    _plant(
        "unet",
        "time-not-given-to-the-blocks",
        "scale, shift = self.modulation(silu(c))",
        "scale, shift = self.modulation(silu(0 * c))",
        _TOLD,
    ),
    _plant("unet", "middle-block-without-its-time", "h = self.middle(h, c)", "h = self.middle(h, 0 * c)", _TOLD),
    _plant("unet", "way-up-without-its-time", "scale_factor=2)], 1), c)", "scale_factor=2)], 1), 0 * c)", _TOLD),
    _plant("unet", "scale-begins-at-0", "(1 + scale) * inner", "scale * inner", "a_block_of_a_unet_by_hand"),
    _plant("unet", "residual-lost", "return self.path(h) + self.conv_told", "return self.conv_told", _START),
    _plant(
        "unet",
        "block-not-zero-at-first",
        "_norm(b), _zero(nn.Conv2d(b, b, 3, padding=1))",
        "_norm(b), nn.Conv2d(b, b, 3, padding=1)",
        _START,
    ),
    _plant(
        "unet",
        "answer-not-zero-at-first",
        "_norm(widths[0]), _zero(nn.Conv2d(widths[0], channels, 3, padding=1))",
        "_norm(widths[0]), nn.Conv2d(widths[0], channels, 3, padding=1)",
        _START,
    ),
    _plant(
        "unet",
        "way-up-sees-nothing",
        "torch.cat([there, interpolate",
        "torch.cat([0 * there, interpolate",
        "the_way_up_sees_what_the_way_down_has_seen",
    ),
    _plant(
        "unet",
        "never-halved",
        "avg_pool2d(h, 2) if stair else h",
        "avg_pool2d(h, 2) if not len(seen) + 1 else h",
        "a_unet_with_two_scales_hears_further_than_its_convolutions",
        "any_picture_that_divides",
    ),
    _plant(
        "unet",
        "odd-sides-taken",
        "any(side % once for side in sides)",
        "any(side % 1 for side in sides)",
        "pictures_that_do_not_divide_are_refused[unet]",
    ),
    _plant(
        "dit",
        "time-not-given-to-the-blocks",
        "= self.modulation(silu(c))[:, None].chunk(6, 2)",
        "= self.modulation(silu(0 * c))[:, None].chunk(6, 2)",
        _TOLD,
    ),
    _plant(
        "dit",
        "last-layer-not-told",
        "scale, shift = self.modulation(silu(c))",
        "scale, shift = self.modulation(silu(0 * c))",
        "the_answer_of_a_dit_is_scaled_by_time",
    ),
    _plant("dit", "gate-forgotten", "h = h + gate * self.attention", "h = h + self.attention", _START),
    _plant("dit", "second-gate-forgotten", "return h + gate_alone * self.alone", "return h + self.alone", _START),
    _plant(
        "dit",
        "gates-not-zero",
        "self.modulation = _zero(nn.Linear(width, 6 * width))",
        "self.modulation = nn.Linear(width, 6 * width)",
        _START,
    ),
    _plant("dit", "residual-lost", "h = h + gate * self.attention", "h = gate * self.attention", _START),
    _plant(
        "dit",
        "places-forgotten",
        "self.first(patches(x, self.patch)) + self.places",
        "self.first(patches(x, self.patch)) + 0 * self.places",
        "without_places_a_dit_sees_a_set_of_patches",
    ),
    _plant(
        "dit",
        "heads-mixed",
        "self.qkv(h).chunk(3, 2)",
        "self.qkv(h).unflatten(2, (-1, 3)).unbind(3)",
        "attention_is_torchs",
    ),
    _plant(
        "dit",
        "values-for-keys",
        "scaled_dot_product_attention(q, k, v)",
        "scaled_dot_product_attention(q, v, k)",
        "attention_is_torchs",
    ),
    _plant(
        "dit",
        "patches-turned",
        "tiles.permute(0, 2, 4, 1, 3, 5).flatten(3)",
        "tiles.permute(0, 4, 2, 1, 3, 5).flatten(3)",
        "patches_by_hand_and_back",
    ),
    _plant(
        "dit",
        "patches-back-turned",
        "tiles.permute(0, 3, 1, 4, 2, 5).reshape",
        "tiles.permute(0, 3, 1, 5, 2, 4).reshape",
        "patches_by_hand_and_back",
    ),
    _plant(
        "dit",
        "rows-for-columns",
        "waves(column)[grid[1].flatten()]",
        "waves(row)[grid[0].flatten()]",
        "waves_tell_places_by_their_distance_alone",
    ),
    _plant("dit", "second-half-not-leveled", "self.norm_alone(h) * (1", "h * (1", "a_block_of_a_dit_by_hand"),
    _plant("dit", "waves-of-one-pace", "100.0 **", "2.0 **", "waves_of_time_and_of_places_by_numpy"),
    _plant(
        "dit",
        "answer-not-shifted",
        "(1 + scale) + shift), x.shape",
        "(1 + scale)), x.shape",
        "the_answer_of_a_dit_by_hand",
    ),
    _plant(
        "networks",
        "octaves-of-one-pace",
        "2.0 ** torch.arange(self.OCTAVES",
        "1.0 ** torch.arange(self.OCTAVES",
        "waves_of_time_and_of_places_by_numpy",
    ),
    _plant(
        "networks",
        "told-without-a-shift",
        "silu(h + h * scale + shift)",
        "silu(h + h * scale)",
        "the_perceptron_that_is_told_time_by_hand",
    ),
    _plant(
        "networks",
        "told-without-a-path",
        "h + further if further.shape == h.shape else further",
        "further",
        "the_perceptron_that_is_told_time_by_hand",
    ),
    _plant(
        "unet",
        "one-pixel-of-four",
        "avg_pool2d(h, 2) if stair",
        "h[:, :, ::2, ::2] if stair",
        "a_stair_down_sees_the_mean_of_four_pixels",
    ),
]
