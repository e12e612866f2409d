"""Faults in the rendered scenes: numbering, geometry, light, colors, words, splits."""

from mutants.plant import Mutant

INIT, GRID = "gdm_core/data/scenes/__init__.py", "gdm_core/data/scenes/grid.py"
ROOM, SOLIDS = "gdm_core/data/scenes/room.py", "gdm_core/data/scenes/solids.py"
PALETTE, WORDS = "gdm_core/data/scenes/palette.py", "gdm_core/data/scenes/words.py"
READING, CAPTIONS = "gdm_core/data/scenes/reading.py", "gdm_core/data/scenes/captions.py"


def data(*names: str) -> str:
    return " ".join(f"tests/test_scenes.py::test_{name}" for name in names)


def reading(*names: str) -> str:
    return " ".join(f"tests/test_scenes_reading.py::test_{name}" for name in names)


def captions(*names: str) -> str:
    return " ".join(f"tests/test_scenes_captions.py::test_{name}" for name in names)


def room(*names: str) -> str:
    return " ".join(f"tests/test_scenes_room.py::test_{name}" for name in names)


MUTANTS = [
    Mutant(
        "first-factor-turns-fastest",
        GRID,
        "math.prod(SIZES[i + 1 :])",
        "math.prod(SIZES[:i])",
        data("index_is_numpys_mixed_radix_over_all_scenes"),
    ),
    Mutant(
        "grid-stops-one-step-short",
        GRID,
        "table / (table.new_tensor(SIZES) - 1)",
        "table / table.new_tensor(SIZES)",
        data("values_are_evenly_spaced"),
    ),
    Mutant(
        "named-factors-in-the-order-they-come",
        GRID,
        "factors[name]) for name in FACTORS]",
        "factors[name]) for name in sorted(factors)]",
        data("grid_and_values_and_names_draw_the_same"),
    ),
    Mutant(
        "top-place-refused-nowhere",
        GRID,
        "(column < 0) | (column > top)",
        "(column < 0) | (column > top + 1)",
        data("bad_input_is_explained"),
    ),
    Mutant(
        "nan-slips-through-the-range",
        GRID,
        "(column >= low) & (column <= high), ",
        "~((column < low) | (column > high)), ",
        data("bad_input_is_explained"),
    ),
    Mutant(
        "root-behind-the-camera",
        SOLIDS,
        "t = -(b + square.clamp(min=0).sqrt_()) / a",
        "t = -(b - square.clamp(min=0).sqrt_()) / a",
        room("rays_meet_solids_where_the_distance_field_vanishes"),
    ),
    Mutant(
        "cylinder-without-a-lid",
        SOLIDS,
        "(x * x + z * z > r * r) | (top <= 0)",
        "(x * x + z * z < r * r) | (top <= 0)",
        room("rays_meet_solids_where_the_distance_field_vanishes"),
    ),
    Mutant(
        "capsule-caps-at-its-ends",
        SOLIDS,
        "for center in (r, self.top):",
        "for center in (0.0, self.top + r):",
        room("rays_meet_solids_where_the_distance_field_vanishes"),
    ),
    Mutant(
        "sphere-of-another-volume",
        SOLIDS,
        "(3 * volume / (4 * math.pi))",
        "(volume / math.pi)",
        room("volumes_are_equal", "rays_meet_solids_where_the_distance_field_vanishes"),
    ),
    Mutant(
        "cube-normal-inwards",
        SOLIDS,
        "torch.stack([x.sign() * on_x",
        "torch.stack([-x.sign() * on_x",
        room("normals_are_gradients_of_the_distance"),
    ),
    Mutant(
        "box-shadow-without-its-diagonals",
        SOLIDS,
        "((x, u), (z, w), (x - z, u - w), (x + z, u + w))",
        "((x, u), (z, w))",
        room("gap_is_negative_where_the_light_is_blocked", "half_shadow_is_the_seen_share_of_the_lamp"),
    ),
    Mutant(
        "shadow-ray-without-end",
        SOLIDS,
        "t = torch.minimum((-(p[0] * l[0] + p[2] * l[2]) / flat).clamp_(min=0), end)",
        "t = (-(p[0] * l[0] + p[2] * l[2]) / flat).clamp_(min=0)",
        room("gap_is_negative_where_the_light_is_blocked"),
    ),
    Mutant(
        "ball-hides-the-sky-without-the-cosine",
        SOLIDS,
        "return self.radius**3 / (square * square.sqrt())",
        "return self.radius**2 / square",
        room("hidden_sky_is_the_cosine_weighted_share_of_rays"),
    ),
    Mutant(
        "camera-turns-the-other-way",
        ROOM,
        "math.radians(45 + degrees)",
        "math.radians(45 - degrees)",
        room("corner_moves_as_a_pinhole_camera_sees_it", "silhouette_is_the_marched_one"),
    ),
    Mutant(
        "opening-angle-not-halved",
        ROOM,
        "math.tan(math.radians(VIEW / 2))",
        "math.tan(math.radians(VIEW))",
        room("silhouette_is_the_marched_one"),
    ),
    Mutant(
        "picture-upside-down",
        ROOM,
        "u, v = line.repeat(size), -line.repeat_interleave(size)",
        "u, v = line.repeat(size), line.repeat_interleave(size)",
        room("silhouette_is_the_marched_one"),
    ),
    Mutant(
        "picture-mirrored",
        ROOM,
        "u, v = line.repeat(size), -line.repeat_interleave(size)",
        "u, v = -line.repeat(size), -line.repeat_interleave(size)",
        room("corner_moves_as_a_pinhole_camera_sees_it", "silhouette_is_the_marched_one"),
    ),
    Mutant(
        "rays-through-pixel-corners",
        ROOM,
        "torch.arange(fine, dtype=torch.float32, device=device) + 0.5",
        "torch.arange(fine, dtype=torch.float32, device=device)",
        room("silhouette_is_the_marched_one"),
    ),
    Mutant(
        "light-for-shadow",
        ROOM,
        "seen = smooth(0.5 + 0.5 * gap / width)",
        "seen = smooth(0.5 - 0.5 * gap / width)",
        room("half_shadow_is_the_seen_share_of_the_lamp", "shadow_lies_away_from_the_lamp"),
    ),
    Mutant(
        "lamp-is-a-point",
        ROOM,
        "- (TILES - 1)) * (PANEL / TILES)",
        "- (TILES - 1)) * 0",
        room("half_shadow_is_the_seen_share_of_the_lamp"),
    ),
    Mutant(
        "walls-lit-as-each-other",
        ROOM,
        "right = p[2] < p[0]  # else",
        "right = p[2] > p[0]  # else",
        room("walls_are_lit_by_lamberts_law"),
    ),
    Mutant(
        "no-light-off-the-walls",
        ROOM,
        "out[FW] = PASSED * walls * clear",
        "out[FW] = 0 * walls * clear",
        room("a_wall_colors_the_floor_at_its_foot"),
    ),
    Mutant(
        "edges-not-averaged",
        ROOM,
        ".view(TERMS, len(edge), -1).mean(-1)",
        ".view(TERMS, len(edge), -1)[..., 0]",
        room("edges_are_as_smooth_as_an_average_of_many_rays"),
    ),
    Mutant(
        "film-without-a-knee",
        ROOM,
        "torch.where(total > KNEE, KNEE + (1 - KNEE)",
        "torch.where(total > 9, KNEE + (1 - KNEE)",
        room("every_geometry_keeps_its_colors_from_clipping"),
    ),
    Mutant(
        "floor-and-wall-colors-swapped",
        INIT,
        "floor, wall, thing = palette.rgb",
        "wall, floor, thing = palette.rgb",
        data("hue_can_be_read_off_the_picture"),
    ),
    Mutant(
        "screen-values-averaged-as-light",
        INIT,
        ".clamp_(0, 1).sqrt_()",
        ".clamp_(0, 1)",
        data("a_floor_in_full_light_shows_its_color"),
    ),
    Mutant(
        "quantized-by-cutting-off",
        INIT,
        ".round_().div_(levels - 1)",
        ".floor_().div_(levels - 1)",
        data("load"),
    ),
    Mutant(
        "quantized-to-256-steps",
        INIT,
        "picture.mul_(levels - 1).round_().div_(levels - 1)",
        "picture.mul_(levels).round_().div_(levels)",
        data("load"),
    ),
    Mutant(
        "geometry-rows-mixed-up",
        INIT,
        "rows = inverse.argsort(stable=True).split",
        "rows = inverse.sort().values.split",
        data("a_batch_is_its_pictures_one_by_one"),
    ),
    Mutant(
        "light-kept-under-too-short-a-name",
        INIT,
        "round(scale, 5), round(degrees, 4)",
        "round(scale, 5), round(degrees, 0)",
        data("a_turn_of_a_tenth_of_a_degree_is_seen"),
    ),
    Mutant(
        "hue-wheel-with-a-seam",
        PALETTE,
        "stops.new_tensor([360.0, 0.0, 0.0])",
        "stops.new_tensor([0.0, 0.0, 0.0])",
        data("palette_is_what_its_words_say"),
    ),
    Mutant(
        "blue-and-green-swapped",
        PALETTE,
        "h.new_tensor([5.0, 3.0, 1.0])",
        "h.new_tensor([5.0, 1.0, 3.0])",
        data("palette_is_what_its_words_say", "hue_can_be_read_off_the_picture"),
    ),
    Mutant(
        "caption-floor-for-wall",
        WORDS,
        "floor between {WORDS[wall]} walls",
        "floor between {WORDS[floor]} walls",
        data("captions_are_unique_and_true"),
    ),
    Mutant(
        "caption-left-for-right",
        WORDS,
        '"right" if degrees > 0',
        '"right" if degrees < 0',
        data("captions_are_unique_and_true"),
    ),
    Mutant(
        "caption-cuts-sizes-down",
        INIT,
        "* steps).round().long()",
        "* steps).long()",
        data("captions_are_unique_and_true"),
    ),
    Mutant(
        "splits-are-blocks-of-the-grid",
        INIT,
        "np.argsort(_splitmix64(np.arange(1, COUNT + 1)))",
        "np.arange(COUNT)",
        data("splits_are_disjoint_complete_and_mixed"),
    ),
    Mutant(
        "one-split-for-all",
        INIT,
        "members = _order()[split]",
        'members = _order()["train"][: SPLITS[split]]',
        data("load"),
    ),
    Mutant(
        "seed-ignored",
        INIT,
        'torch.Generator().manual_seed(integer("seed", seed, 0))',
        "torch.Generator().manual_seed(0)",
        data("load"),
    ),
    Mutant(
        "labels-are-scales",
        INIT,
        'labels=known["shape"]',
        'labels=known["scale"]',
        data("load"),
    ),
    Mutant(
        "reading-stops-at-the-first-geometry",
        READING,
        "if closer[0] < best[i]:",
        "if closer[0] > best[i]:",
        reading("the_search_goes_on_where_the_first_geometries_leave_doubt"),
    ),
    Mutant(
        "doubt-is-measured-without-the-picture",
        READING,
        "unsure = (best + whole > least",
        "unsure = (best > least",
        reading("the_search_goes_on_where_the_first_geometries_leave_doubt"),
    ),
    Mutant(
        "colors-once-for-twice",
        READING,
        "- 2 * toward @ table.colors",
        "- toward @ table.colors",
        reading("noise_hides_turns_before_colors"),
    ),
    Mutant(
        "floor-read-as-object",
        READING,
        "color // 100, color // 10 % 10, color % 10, geometry",
        "color % 10, color // 10 % 10, color // 100, geometry",
        reading("noise_hides_turns_before_colors"),
    ),
    Mutant(
        "distance-in-screen-light",
        READING,
        "seen = torch.nn.functional.adaptive_avg_pool2d(x.square(), SIDE)",
        "seen = torch.nn.functional.adaptive_avg_pool2d(x, SIDE)",
        reading("noise_hides_turns_before_colors"),
    ),
    Mutant(
        "bright-pictures-stay-bright",
        READING,
        "some.float().clamp(0, 1)",
        "some.float()",
        reading("what_is_out_of_range_is_cut"),
    ),
    Mutant(
        "colors-belong-to-the-last-noun",
        CAPTIONS,
        'narrow(noun if kind == "hue" else kind, places, word)',
        'narrow("object_hue" if kind == "hue" else kind, places, word)',
        captions("what_a_sentence_means"),
    ),
    Mutant(
        "is-lasts-to-the-end",
        CAPTIONS,
        'linked = linked and word == "and"',
        "linked = linked",
        captions("what_a_sentence_means"),
    ),
    Mutant(
        "not-is-not-heard",
        CAPTIONS,
        "- places if denied else places\n",
        "if denied else places\n",
        captions("what_a_sentence_means"),
    ),
    Mutant(
        "not-lasts-to-the-end",
        CAPTIONS,
        "            denied = False\n            if linked:",
        "            if linked:",
        captions("captions_that_cannot_be_understood_are_explained", "what_a_sentence_means"),
    ),
    Mutant(
        "left-and-right-swapped",
        CAPTIONS,
        '{"left": _views(lambda d: d < 0), "right": _views(lambda d: d > 0)}',
        '{"left": _views(lambda d: d > 0), "right": _views(lambda d: d < 0)}',
        captions("what_a_sentence_means", "the_long_caption_names_one_scene"),
    ),
    Mutant(
        "denied-color-may-be-its-own",
        CAPTIONS,
        "(place + 1 + draw(9)) % 10",
        "draw(10)",
        captions("what_is_said_of_a_scene_is_true_of_it"),
    ),
    Mutant(
        "colors-of-floor-and-wall-swapped",
        CAPTIONS,
        "floor, wall, thing, size, shape, view = scene",
        "wall, floor, thing, size, shape, view = scene",
        captions("what_is_said_of_a_scene_is_true_of_it"),
    ),
    Mutant(
        "words-in-the-order-of-the-vocabulary",
        CAPTIONS,
        "torch.tensor([_PLACE[word] for word in found])",
        "torch.tensor(sorted(_PLACE[word] for word in found))",
        captions("tokens_name_the_words_in_their_order"),
    ),
    Mutant(
        "wording-without-its-generator",
        CAPTIONS,
        "draw = lambda n: int(torch.randint(n, (), generator=generator))",
        "draw = lambda n: int(torch.randint(n, ()))",
        captions("wordings_differ_and_follow_the_generator"),
    ),
]
