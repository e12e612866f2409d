"""Faults of causal networks, of sampling one by one, of masked models and of parallel decoding."""

from mutants.plant import Mutant

_PIXELS, _CHAIN, _LINE = "gdm_core/causal/pixels.py", "gdm_core/causal/chain.py", "gdm_core/causal/convolution.py"
_ATTENTION, _INPUTS, _QUANTILES = "gdm_core/causal/attention.py", "gdm_core/causal/inputs.py", "gdm_core/quantiles.py"
_MODEL, _CELLS, _LIKELIHOODS = (
    "gdm_core/models/autoregressive.py",
    "gdm_core/unit_interval.py",
    "gdm_core/likelihoods.py",
)
_MASKED, _DECODING = "gdm_core/models/masked.py", "gdm_core/decoding.py"

_HEARS = "test_an_element_hears_all_before_it_and_nothing_else"
_KEPT = "test_what_is_kept_is_what_is_computed_anew"
_SAME = "test_cached_and_naive_draws_are_the_same"
_MASS = "test_cells_hold_the_mass_of_their_density"
_FOLLOW = "test_draws_follow_the_probability_that_is_told"


def _auto(name: str, file: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(
        name, file, old, new, " ".join(t if "/" in t else f"tests/test_autoregressive.py::{t}" for t in tests.split())
    )


def _mask(name: str, file: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(name, file, old, new, " ".join(f"tests/test_masked.py::{t}" for t in tests.split()))


MUTANTS = [
    # Who sees whom
    _auto(
        "pixel-sees-itself",  # mask B where A belongs
        _PIXELS,
        "pad(seen, (0, 0, 1, 0))[:, :, :-1]) + self.place",
        "pad(seen, (0, 0, 0, 0))) + self.place",
        f"{_HEARS}[board]",
    ),
    _auto(
        "row-sees-itself",
        _PIXELS,
        "self.enter_v(pad(seen, (0, 0, 0, 0, 1, 0))[:, :-1])",
        "self.enter_v(seen)",
        f"{_HEARS}[board]",
    ),
    _auto(
        "blind-spot",  # above and to the right is never heard
        _PIXELS,
        "self.above(pad(v, (self.kernel // 2, self.kernel // 2)))",
        "self.above(pad(v, (self.kernel - 1, 0)))",
        "test_the_receptive_field_has_no_blind_spot",
    ),
    _auto(
        "kernel-looks-ahead",
        _PIXELS,
        "self.left(pad(h, (self.taps - 1, 0)))",
        "self.left(pad(h, (self.taps - 2, 1)))",
        f"{_HEARS}[board]",
    ),
    _auto(
        "horizontal-stack-is-not-told-of-above",
        _PIXELS,
        "self.across(a) + told",
        "0 * self.across(a) + told",
        f"{_HEARS}[board]",
    ),
    _auto(
        "color-sees-itself",
        _PIXELS,
        "to_color[:, None] > from_color",
        "to_color[:, None] >= from_color",
        f"{_HEARS}[colors]",
    ),
    _auto(
        "color-hears-later-ones",
        _PIXELS,
        "to_color[:, None] > from_color",
        "to_color[:, None] < from_color",
        f"{_HEARS}[colors]",
    ),
    _auto(
        "colors-plane-by-plane",
        _PIXELS,
        "c * area + place for place in range(area) for c in range(self.colors)",
        "c * area + place for c in range(self.colors) for place in range(area)",
        "test_colors_come_pixel_by_pixel",
    ),
    _auto(
        "chain-output-of-its-own-degree",
        _CHAIN,
        "d + 1)[:, None] > degrees)",
        "d + 1)[:, None] >= degrees)",
        f"{_HEARS}[plane]",
    ),
    _auto(
        "chain-hidden-units-cut-off",
        _CHAIN,
        "of_unit[:, None] >= degrees",
        "of_unit[:, None] > degrees",
        f"{_HEARS}[plane] {_HEARS}[chain]",
    ),
    _auto("chain-mask-forgotten", _CHAIN, "self.weight * self.mask", "self.weight", f"{_HEARS}[chain]"),
    _auto(
        "line-sees-itself",
        _LINE,
        "pad(self.inputs(x[..., None]), (0, 0, 1, 0))[:, :-1]",
        "self.inputs(x[..., None])",
        f"{_HEARS}[line]",
    ),
    _auto("line-without-dilation", _LINE, "((2**level, tap, mix)", "((1, tap, mix)", f"{_HEARS}[line]"),
    _auto(
        "one-label-for-all-layers",
        _PIXELS,
        "self.of_label(y).chunk(len(self.layers), 1)",
        "[self.of_label(y).chunk(len(self.layers), 1)[0]] * len(self.layers)",
        "tests/test_causal.py::test_each_layer_is_told_of_the_label_by_numbers_of_its_own",
    ),
    _auto(
        "colors-share-a-bias",
        _PIXELS,
        "torch.zeros(colors, channels)",
        "torch.zeros(1, channels)",
        "tests/test_causal.py::test_each_color_has_a_bias_of_its_own",
    ),
    _auto(
        "attention-looks-ahead",
        _ATTENTION,
        "attend(q, k, v, is_causal=True)",
        "attend(q, k, v)",
        f"{_HEARS}[attention]",
    ),
    _auto(
        "attention-token-of-itself",
        _ATTENTION,
        "(self.inputs(line[..., None]), (0, 0, 1, 0))[:, :-1]",
        "(self.inputs(line[..., None]), (0, 0, 0, 0))",
        f"{_HEARS}[attention]",
    ),
    _auto(
        "attention-colors-not-put-back", _ATTENTION, "self.out(h)[:, self.back]", "self.out(h)", f"{_HEARS}[attention]"
    ),
    _auto(
        "dense-layer-not-normed",
        _ATTENTION,
        "h + self.dense(self.dense_norm(h))",
        "h + self.dense(h)",
        "tests/test_causal.py::test_what_a_block_adds_does_not_depend_on_the_size_of_what_comes_in",
    ),
    _auto(
        "attention-walk-forgets-label",
        _ATTENTION,
        "self.place[i : i + 1], y)  # (B, 1, width)",
        "self.place[i : i + 1], None)  # (B, 1, width)",
        f"{_KEPT}[attention]",
    ),
    _auto(
        "weights-see-ahead",
        _ATTENTION,
        "device=h.device).triu(1)",
        "device=h.device).triu(2)",
        "tests/test_causal.py::test_attention_weights_are_those_of_a_softmax_by_hand",
    ),
    _auto(
        "weights-without-root",
        _ATTENTION,
        "(q @ k.mT / q.shape[-1] ** 0.5)",
        "(q @ k.mT / q.shape[-1])",
        "tests/test_causal.py::test_attention_weights_are_those_of_a_softmax_by_hand",
    ),
    _auto(
        "weights-one-pixel-late",  # token i taken for element i
        _ATTENTION,
        "nn.functional.pad(told[..., 1:], (0, 1))",
        "told",
        "tests/test_causal.py::test_each_element_has_the_weight_of_the_token_that_holds_it",
    ),
    _auto(
        "weights-in-the-order-of-the-chain",
        _ATTENTION,
        "return line[..., self.back].unflatten",
        "return line.unflatten",
        "tests/test_causal.py::test_each_element_has_the_weight_of_the_token_that_holds_it",
    ),
    _auto(
        "weights-of-the-first-layer-alone",
        _ATTENTION,
        "out.append(block.weights(h)[:, :, i])\n            h = block(h)",
        "out.append(block.weights(h)[:, :, i])",
        "tests/test_causal.py::test_layers_are_looked_into_in_their_order",
    ),
    _auto(
        "places-of-rows-forgotten",
        _ATTENTION,
        "(row + column + torch.randn(1, 1, colors, width))",
        "(row * 0 + column + torch.randn(1, 1, colors, width))",
        "tests/test_causal.py::test_the_places_of_a_picture_are_at_first_sums_of_row_column_and_color",
    ),
    # What is kept
    _auto(
        "cache-lags-one-pixel",
        _PIXELS,
        "pixels[:, r, c - 1]) if c else",
        "pixels[:, r, c - 2]) if c else",
        f"{_KEPT}[board] {_SAME}[board]",
    ),
    _auto("cache-lags-one-row", _PIXELS, "kept[:, :, -1] = v", "kept[:, :, 0] = v", f"{_KEPT}[board]"),
    _auto("cache-never-moves-on", _PIXELS, "kept[:, :, :-1] = kept[:, :, 1:].clone()", "pass", f"{_KEPT}[board]"),
    _auto(
        "cache-of-row-forgets-the-label",
        _PIXELS,
        "context if y is None else context + label[:, :, None]",
        "context",
        f"{_KEPT}[colors]",
    ),
    _auto(
        "line-cache-lags", _LINE, "past[i - reach] if i >= reach", "past[i - reach - 1] if i > reach", f"{_KEPT}[line]"
    ),
    _auto(
        "attention-cache-forgets-itself",
        _ATTENTION,
        "cache[0, :, :, : i + 1], cache[1, :, :, : i + 1]",
        "cache[0, :, :, : max(i, 1)], cache[1, :, :, : max(i, 1)]",
        f"{_KEPT}[attention]",
    ),
    # The model
    _auto(
        "completion-overwrites-what-is-known",
        _MODEL,
        "drawn if free[i] else torch.where(given[i], line[:, i], drawn)",
        "drawn",
        "test_completion_keeps_what_is_known_and_samples_the_rest",
    ),
    _auto(
        "completion-stops-early",
        _MODEL,
        "self.network.order[: last + 1]",
        "self.network.order[:last]",
        "tests/test_contracts.py::test_samples_come_from_the_density[autoregressive-board]",
    ),
    _auto("code-taken-for-a-number", _INPUTS, "if self.symbols:", "if False:", "test_codes_are_symbols"),
    _auto(
        "code-of-the-next-one", _INPUTS, "x * (self.symbols - 1)", "x * (self.symbols - 2)", "test_codes_are_symbols"
    ),
    # Draws by quantile, and gray levels
    _auto(
        "quantile-of-the-other-side",
        _QUANTILES,
        "torch.where(left, middle, low), torch.where(left, high, middle)",
        "torch.where(left, low, middle), torch.where(left, middle, high)",
        "test_quantiles_are_where_the_distribution_passes_u",
    ),
    _auto(
        "quantile-one-level-low",
        _QUANTILES,
        "values[below.sum(0).clamp_max(len(values) - 1)]",
        "values[(below.sum(0) - 1).clamp_min(0)]",
        "test_quantiles_are_where_the_distribution_passes_u",
    ),
    _auto(
        "level-quantile-one-low",
        _LIKELIHOODS,
        "(self.log_probs.exp().cumsum(-1) < u[..., None]).sum(-1)",
        "(self.log_probs.exp().cumsum(-1) < u[..., None]).sum(-1).sub(1).clamp_min(0)",
        "test_quantiles_are_where_the_distribution_passes_u",
    ),
    _auto(
        "logistic-mixture-without-edge-bins",
        _LIKELIHOODS,
        "torch.where(index == 0, below, torch.where(index == self.levels - 1, above, between))",
        "between",
        "test_quantiles_are_where_the_distribution_passes_u",
    ),
    _auto(
        "last-cell-left-open",
        _CELLS,
        "inside = k < self.levels - 1",
        "inside = k < self.levels",
        "test_cells_keep_finite_gradients[kumaraswamy]",
    ),
    _auto(
        "cells-of-the-other-power",
        _CELLS,
        "b * torch.log1p(-(u**a))",
        "a * torch.log1p(-(u**b))",
        f"{_MASS}[kumaraswamy]",
    ),
    _auto(
        "cells-around-the-levels",
        _CELLS,
        "low, high = k / self.levels, (k + 1) / self.levels",
        "low, high = (k - 0.5).clamp_min(0) / self.levels, (k + 0.5) / self.levels",
        f"{_MASS}[logit-normal]",
    ),
    _auto(
        "cells-of-a-density",
        _CELLS,
        "torch.logit(u.clamp(1e-6, 1 - 1e-6)) - self.first",
        "u - self.first",
        f"{_MASS}[logit-normal]",
    ),
    # Masked models
    _mask(
        "masked-loss-without-weight",
        _MASKED,
        "return d / m * torch.where",
        "return torch.where",
        "test_the_bound_is_an_average_over_all_masks",
    ),
    _mask(
        "masked-loss-counts-what-is-known",
        _MASKED,
        "torch.where(masked, told, 0)",
        "torch.where(masked, 0, told)",
        "test_the_bound_is_an_average_over_all_masks",
    ),
    _mask(
        "masked-loss-of-few-masks",
        _MASKED,
        "m = 1 + (u * d).long()",
        "m = 1 + (u * d / 2).long()",
        "test_the_bound_is_an_average_over_all_masks",
    ),
    _mask(
        "masked-network-sees-through",
        _MASKED,
        "self.inputs(torch.where(known, x, 0)[..., None]) * known.expand_as(x)[..., None]",
        "self.inputs(x[..., None])",
        "test_what_is_known_stays_and_unknown_pixels_have_no_say",
    ),
    _mask(
        "masked-samples-in-one-order",
        _MASKED,
        "decoding.random(n, self.event_shape, device=x.device)",
        "decoding.raster(self.event_shape)",
        "test_samples_take_an_order_of_their_own",
    ),
    # Parallel decoding
    _mask(
        "parallel-decoding-peeks",
        _DECODING,
        "now = plan(step, log_p, known)\n        paid",
        "now = plan(step, log_p, known)\n        log_p = conditionals(x, known | now)\n        paid",
        f"{_FOLLOW}[turns]",
    ),
    _mask(
        "shown-what-is-unknown",
        _DECODING,
        "conditionals(torch.where(known, x, values[0]), known)",
        "conditionals(x, known)",
        "test_what_is_unknown_is_never_shown",
    ),
    _mask(
        "told-of-the-whole-answer",
        _DECODING,
        "conditionals(torch.where(known, x, values[0]), known)",
        "conditionals(x, torch.ones_like(known))",
        f"{_FOLLOW}[turns]",
    ),
    _mask(
        "one-turn-too-few",
        _DECODING,
        "(self.turn == step) & ~known",
        "(self.turn == step + 1) & ~known",
        f"{_FOLLOW}[turns]",
    ),
    _mask(
        "least-sure-first",
        _DECODING,
        "descending=True, stable=True",
        "descending=False, stable=True",
        "test_the_surest_come_first",
    ),
    _mask("known-drawn-again", _DECODING, "torch.where(now, values[below], x)", "values[below]", f"{_FOLLOW}[own]"),
    _mask(
        "cost-without-what-is-shared",
        _DECODING,
        "alone - (entropy(turn <= step) - start)",
        "alone",
        "test_the_cost_is_the_mean_of_what_is_lost",
    ),
    _mask(
        "cost-from-nothing",
        _DECODING,
        "start = entropy(before)",
        "start = entropy(before & ~before)",
        "test_the_cost_is_the_mean_of_what_is_lost",
    ),
]
