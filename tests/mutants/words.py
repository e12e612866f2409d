"""Faults of captions as conditions."""

from mutants.plant import Mutant

_WORDS, _MODEL, _NETWORKS = "gdm_core/words.py", "gdm_core/models/diffusion.py", "gdm_core/networks.py"
_COMPONENTS, _PAINTER = "gdm_core/components.py", "gdm_core/explorers/room_painter.py"


def _plant(file: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"words-{name}", file, old, new, " ".join(f"tests/test_words.py::test_{t}" for t in tests))


_FORMULA, _ORDER, _GRADIENTS = (
    "the_attention_is_its_formula",
    "word_order_matters",
    "gradients_reach_every_parameter_and_every_word",
)
_SIDES = "a_word_looks_first_at_itself_and_as_far_to_the_left_as_to_the_right"
_BLANKS, _DROPPED = (
    "blanks_and_company_do_not_matter",
    "captions_are_dropped_as_wholes_at_the_rate_that_is_asked",
)
_GUIDED, _NEVER, _SAID = (
    "guidance_leans_away_from_nothing_said",
    "what_training_never_sees",
    "what_cannot_be_is_refused_in_words",
)


def _explorer(name: str, old: str, new: str, test: str) -> Mutant:
    file = "gdm_core/explorers/ch14_text_to_image.py"
    return Mutant(f"words-{name}", file, old, new, f"tests/test_text_to_image.py::test_{test}")


_COUNTED = "what_is_counted_is_what_is_said_and_each_frame_is_of_its_room"
_OWN, _BESIDE, _FILM = (
    "own_words_count_when_they_are_chosen",
    "what_was_said_stands_beside_what_is_read",
    "the_film_begins_with_noise_and_guidance_moves_its_end",
)

MUTANTS = [
    _plant(
        _WORDS,
        "pooled-before-attention",
        "h = self.of_word(y)\n",
        "h = self.of_word(y).mean(1, keepdim=True).expand(-1, y.shape[1], -1)\n",
        _ORDER,
    ),
    _plant(
        _WORDS,
        "order-lost",
        "bias = self.near[:, place - place[:, None]",
        "bias = 0 * self.near[:, place - place[:, None]",
        _ORDER,
    ),
    _plant(_WORDS, "sides-alike", "place - place[:, None] +", "(place - place[:, None]).abs() +", _FORMULA),
    _plant(
        _WORDS, "embeddings-are-no-parameters", "h = self.of_word(y)\n", "h = self.of_word(y).detach()\n", _GRADIENTS
    ),
    _plant(
        _WORDS, "questions-are-no-parameters", "(self.questions @ k.mT", "(self.questions.detach() @ k.mT", _GRADIENTS
    ),
    _plant(_WORDS, "blanks-are-heard", ".masked_fill(blank, -torch.inf)", ".masked_fill(blank, 0.0)", _FORMULA),
    _plant(_WORDS, "answers-to-others", ".flatten(1))[same]", ".flatten(1))[same.flip(0)]", _FORMULA),
    _plant(_WORDS, "scale-of-attention", "/ self.width**0.5 + hidden", "+ hidden", _FORMULA),
    _plant(
        _WORDS,
        "reads-the-wrong-row",
        "        return self.told.of_label(y)\n",
        "        return self.told.of_label(y.flip(0))\n",
        "what_was_read_of_captions_stands_for_them",
    ),
    _plant(
        _NETWORKS,
        "caption-not-told",
        "return told + (y if y.is_floating_point() else self.of_label(y))",
        "return told",
        "a_unet_reads_captions_too",
    ),
    _plant(
        _MODEL,
        "captions-never-dropped",
        "dropped = torch.rand(len(x), device=x.device) < self.drop",
        "dropped = torch.rand(len(x), device=x.device) < 0",
        _DROPPED,
    ),
    _plant(
        _MODEL,
        "captions-always-dropped",
        "dropped = torch.rand(len(x), device=x.device) < self.drop",
        "dropped = torch.rand(len(x), device=x.device) < 1",
        _DROPPED,
    ),
    _plant(
        _MODEL,
        "words-dropped-one-by-one",
        "dropped if self.labels else dropped[:, None], self.labels",
        "dropped if self.labels else torch.rand(y.shape) < self.drop, self.labels",
        _DROPPED,
    ),
    _plant(
        _MODEL,
        "captions-of-others-repeated",
        "(a if a is None else a.repeat(self.repeat, *[1] * (a.ndim - 1)) for a in (x, y))",
        "(x.repeat_interleave(self.repeat, 0), y.repeat(self.repeat, 1))",
        "each_example_meets_several_noises_with_its_caption",
    ),
    _plant(_MODEL, "empty-captions-taken", "if not free and (y == 0)", "if False and (y == 0)", _SAID),
    _plant(
        _PAINTER,
        "conditional-and-unconditional-swapped",
        "guidance.guided(told, telling(read(torch.zeros_like(y))), weight,",
        "guidance.guided(telling(read(torch.zeros_like(y))), told, weight,",
        _GUIDED,
    ),
    _plant(_PAINTER, "guided-at-all-times", "between=(0.0, until)", "between=(0.0, 1.0)", _GUIDED),
    _plant(
        _WORDS,
        "no-shift",
        "self.norm(h) * (1 + scale) + shift",
        "self.norm(h) * (1 + scale)",
        "a_layer_hears_time_and_caption_as_scale_and_as_shift",
    ),
    _plant(
        _PAINTER,
        "rate-never-falls",
        "min(1.0, 30 * progress) * train.falling(progress)",
        "min(1.0, 30 * progress)",
        "the_rate_goes_up_for_a_thirtieth_of_the_way_and_down_to_nothing",
    ),
    _plant(_PAINTER, "guidance-lost", "if weight != 1:", "if False:", _GUIDED),
    _plant(_PAINTER, "held-out-pairs-leak", "table = table[~never(table)][:count]", "table = table[:count]", _NEVER),
    _plant(
        _PAINTER,
        "other-pairs-held-out",
        "factors[:, 2] + 3 * factors[:, 4]",
        "factors[:, 1] + 3 * factors[:, 4]",
        _NEVER,
    ),
    _plant(
        _PAINTER,
        "sentences-of-others",
        "return table, captions.said(table,",
        "return table, captions.said(table.flip(0),",
        _NEVER,
    ),
    _plant(
        _PAINTER,
        "one-seed-for-all",
        "manual_seed(seed)).to(like)",
        "manual_seed(0)).to(like)",
        "pictures_follow_seed_and_sentence",
    ),
    _plant(
        _COMPONENTS,
        "mean-left-in",
        "away = x.flatten(1) - self.mean",
        "away = x.flatten(1)",
        "components_are_those_of_the_covariance",
    ),
    _plant(
        _COMPONENTS, "sizes-not-rooted", "(std * std.mean()).sqrt()", "std", "components_are_those_of_the_covariance"
    ),
    _plant(
        _COMPONENTS,
        "mean-not-put-back",
        "@ self.basis + self.mean)",
        "@ self.basis)",
        "components_are_those_of_the_covariance",
    ),
    # The explorer
    _explorer(
        "left-is-no-side",
        "all(d > 0 for d in degrees) or all(d < 0 for d in degrees)",
        "all(d > 0 for d in degrees)",
        _BESIDE,
    ),
    _explorer(
        "own-words-never-count", 'controls["own"] if controls["sentence"] == OWN', 'controls["own"] if False', _OWN
    ),
    _explorer(
        "judge-reads-the-caption",
        "_judge(allowed[0], read[0], right[0])",
        "_judge(allowed[0], allowed[0].int().argmax(1), right[0] | True)",
        "the_judge_sees_the_picture_alone",
    ),
    _explorer(
        "green-whatever-is-read",
        '"exact" if right[i] else "accent"\n        marks.append(Lines([[-0.1',
        '"exact"\n        marks.append(Lines([[-0.1',
        _BESIDE,
    ),
    _explorer("open-factors-are-green", 'color = "noise"  # nothing', 'color = "exact"  # nothing', _BESIDE),
    _explorer(
        "frames-all-green",
        '"exact" if ok else "accent"',
        '"exact"',
        "frames_around_the_others_say_whether_all_is_right",
    ),
    _explorer(
        "guidance-is-not-told", 'controls["guidance"], controls["new noise"]', '2.0, controls["new noise"]', _FILM
    ),
    _explorer("open-factors-counted", "allowed[0].sum(1) < torch", "allowed[0].sum(1) <= torch", _COUNTED),
    _explorer("noise-never-new", "noise(pressed, 1 + OTHERS", "noise(0, 1 + OTHERS", _FILM),
    _explorer("film-stands-still", 'states[controls["step"]]', "states[-1]", _FILM),
    Mutant(
        "words-lines-of-any-length",
        "gdm_core/widgets/controls.py",
        "or len(data) > self.most",
        "",
        "tests/test_controls.py::test_words_are_one_line_of_limited_length",
    ),
    _plant(_WORDS, "first-at-the-next-word", "- LONGEST + 1.0).abs()", "- LONGEST + 2.0).abs()", _SIDES),
]
