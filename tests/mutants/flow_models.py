"""Faults of flows as models: their order and depth, labels, start, dequantization, posteriors."""

from mutants.plant import Mutant

_DEEP = "test_glow_and_the_transformer_are_as_deep_as_asked"
_BOUND, _CELL = "test_a_dequantized_flow_bounds_its_exact_probability", "test_noise_fills_its_cell"


def _model(file: str, name: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(
        f"flows-{name}",
        f"gdm_core/models/{file}.py",
        old,
        new,
        " ".join(f"tests/test_flow.py::{t}" for t in tests.split("; ")),
    )


MUTANTS = [
    _model("flow", "turns-not-taken", "made(i % 2 == 1) for i", "made(i % 3 == 1) for i", "test_halves_take_turns"),
    _model(
        "flow",
        "pictures-in-large-tiles",
        "TILE if self.event_shape.numel() < 100 else TILE_OF_PICTURES",
        "TILE",
        "test_long_batches_are_taken_in_tiles_that_do_not_show",
    ),
    _model(
        "flow",
        "reach-forgotten",
        "coupled(features, bi.Spline(bins, reach),",
        "coupled(features, bi.Spline(bins),",
        "test_a_spline_flow_leaves_what_is_out_of_its_reach",
    ),
    Mutant(
        "flows-places-that-never-learn",
        "gdm_core/bijections/autoregressive.py",
        "nn.Parameter(0.1 * torch.randn(features, width))",
        "0.1 * torch.randn(features, width)",
        "tests/test_contracts.py::test_the_state_dict_is_the_whole_model[flow-transformer]",
    ),
    _model(
        "flow",
        "mask-that-never-alternates",
        "[made(i % 2 == 1) for i in",
        "[made(False) for i in",
        "test_couplings_take_turns",
    ),
    _model(
        "flow",
        "log-det-subtracted",
        "return log_det - 0.5",
        "return -log_det - 0.5",
        "test_a_linear_flow_is_a_gaussian",
    ),
    _model(
        "flow",
        "two-pi-once-for-all-features",
        "0.5 * (z.square() + LOG_2PI).flatten(1).sum(1)",
        "0.5 * (z.square().flatten(1).sum(1) + LOG_2PI)",
        "test_a_linear_flow_is_a_gaussian",
    ),
    _model(
        "flow",
        "start-that-goes-on",
        "layer.starting = False",
        "layer.starting = True",
        "test_start_normalizes_what_reaches_each_norm_and_only_then",
    ),
    _model(
        "flow",
        "tiles-of-other-labels",
        "[None] * len(x) if y is None else y.split(tile)",
        "[None] * len(x) if y is None else [y[: len(part)] for part in x.split(tile)]",
        "test_long_batches_are_taken_in_tiles_that_do_not_show",
    ),
    _model(
        "flow",
        "infinity-in-silence",
        "if not torch.isfinite(z.sum() + log_det.sum()):",
        "if False:",
        "test_a_flow_at_infinity_says_so",
    ),
    _model(
        "dequantized",
        "noise-of-half-the-width",
        "return torch.rand_like(k), k.new_zeros(len(k))",
        "return 0.5 * torch.rand_like(k), k.new_zeros(len(k))",
        f"{_CELL}; {_BOUND}",
    ),
    _model(
        "dequantized",
        "noise-around-the-level",
        "return torch.rand_like(k), k.new_zeros(len(k))",
        "return torch.rand_like(k) - 0.5, k.new_zeros(len(k))",
        f"{_CELL}",
    ),
    _model(
        "dequantized",
        "cells-of-one-level-less",
        "self.flow.log_prob((k + u) / self.levels)",
        "self.flow.log_prob((k + u) / (self.levels - 1))",
        f"{_CELL}",
    ),
    _model(
        "dequantized",
        "volume-of-a-cell-forgotten",
        "return log_p - k[0].numel() * math.log(self.levels) - log_q",
        "return log_p - log_q",
        f"{_CELL}; {_BOUND}",
    ),
    _model(
        "dequantized",
        "density-of-the-noise-forgotten",
        "return log_p - k[0].numel() * math.log(self.levels) - log_q",
        "return log_p - k[0].numel() * math.log(self.levels)",
        "test_variational_noise_lies_in_its_cell_and_knows_its_density",
    ),
    _model(
        "dequantized",
        "sigmoid-without-its-slope",
        "- log_det - log_slope",
        "- log_det",
        "test_variational_noise_lies_in_its_cell_and_knows_its_density",
    ),
    _model(
        "dequantized", "bits-in-nats", "(self.event_shape.numel() * math.log(2))", "self.event_shape.numel()", _CELL
    ),
    _model(
        "vae",
        "price-of-a-flow-reversed",
        "q.log_prob(z) - prior.log_prob(z)",
        "prior.log_prob(z) - q.log_prob(z)",
        "test_the_bound_with_a_flow_as_posterior_is_a_bound_and_its_terms_are_the_definitions",
    ),
    _model(
        "flow",
        "one-order-for-all-layers",
        "hidden=hidden, context=labels), bi.Permutation.flip(features)]",
        "hidden=hidden, context=labels)]",
        "test_what_one_layer_sees_last_the_next_sees_first[autoregressive]",
    ),
    _model(
        "flow",
        "glow-without-mixing",
        "            bi.Mix(n),\n            bi.Coupling",
        "            bi.Coupling",
        _DEEP,
    ),
    _model("flow", "glow-of-one-step", 'for _ in range(integer("steps", steps)) for', "for _ in range(1) for", _DEEP),
    _model("flow", "transformer-of-one-block", "width=width, blocks=blocks", "width=width, blocks=1", _DEEP),
    _model(
        "dequantized",
        "levels-of-the-nearest-value",
        "(v * self.levels).long()",
        "(v * (self.levels - 1)).round().long()",
        "test_samples_are_levels_and_levels_are_asked_for",
    ),
]
