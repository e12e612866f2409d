"""Faults of InfoGAN, BiGAN, CycleGAN and drifting."""

from mutants.plant import Mutant

_PLACES = {name: f"gdm_core/models/{name}.py" for name in ("infogan", "bigan", "cyclegan", "drifting")}
_CONTRACTS = "tests/test_contracts.py::"
_REACHES = f"{_CONTRACTS}test_each_parameter_is_one_players_and_its_loss_reaches_it"
_LEAVES = f"{_CONTRACTS}test_the_critics_loss_leaves_the_others_alone"


def _kin(model: str, name: str, old: str, new: str, tests: str) -> Mutant:
    places = (t if "/" in t else f"tests/test_gan_kin.py::{t}" for t in tests.split())
    return Mutant(f"{model}-{name}", _PLACES[model], old, new, " ".join(places))


_READ = "test_generator_and_reader_pay_for_a_class_that_is_not_read"
_CLASS = "test_noise_and_a_class_of_each_kind"
_PAIRS = "test_pairs_of_data_and_pairs_of_samples"
_JUDGES = "test_each_critic_judges_its_own_domain"
_SCORES = "test_the_drift_is_a_difference_of_scores"
_GO = "test_samples_go_where_they_drift"

MUTANTS = [
    _kin(
        "cyclegan",
        "one-map-without-gradient",
        "in_x, in_y = self.back(y), self.there(x)\n        total",
        "in_x, in_y = self.back(y).detach(), self.there(x)\n        total",
        _JUDGES,
    ),
    _kin(
        "bigan",
        "pictures-beyond-white",
        "return x.sigmoid() if self.unit else x",
        "return x",
        "test_pictures_of_a_bigan_lie_between_black_and_white",
    ),
    _kin(
        "cyclegan",
        "pair-turned-round",
        "self.cost.generator(other, told)",
        "self.cost.generator(told, other)",
        "test_relativistic_maps_beat_the_data_of_the_domain_they_lead_to",
    ),
    _kin(
        "infogan", "reader-learns-with-nobody", " + list(self.reader.parameters())}", "}", f"{_REACHES}[infogan-plane]"
    ),
    _kin("infogan", "rewards-the-unread", "unread = -self.read", "unread = self.read", _READ),
    _kin("infogan", "reads-the-noise", "z[:, self.noise :].argmax(1)", "z[:, : self.noise].argmax(1)", _READ),
    _kin("infogan", "reads-without-fog", "made + self.fog * torch", "made + 0 * torch", _READ),
    _kin("infogan", "weight-forgotten", "self.info * unread", "unread", _READ),
    _kin(
        "infogan",
        "generator-not-told-off",
        "self.read(made +",
        "self.read(made.detach() +",
        _READ,
    ),
    _kin("infogan", "last-class-never-drawn", "torch.randint(self.classes,", "torch.randint(self.classes - 1,", _CLASS),
    _kin(
        "infogan",
        "one-class-for-a-batch",
        "self.classes, tuple(sample_shape), dev",
        "self.classes, (1,) * len(sample_shape), dev",
        _CLASS,
    ),
    _kin(
        "infogan",
        "code-turned-round",
        "return torch.cat([e, nn.functional.one_hot(c, self.classes).to(e)], -1)\n\n    def read",
        "return torch.cat([nn.functional.one_hot(c, self.classes).to(e), e], -1)\n\n    def read",
        _READ,
    ),
    _kin(
        "bigan", "critic-sees-no-code", "torch.cat([x.flatten(1), z], 1)", "torch.cat([x.flatten(1), 0 * z], 1)", _PAIRS
    ),
    _kin(
        "bigan",
        "encoder-wants-to-be-seen",
        "softplus(self.logits(x, self.encode(x)))",
        "softplus(-self.logits(x, self.encode(x)))",
        _PAIRS,
    ),
    _kin(
        "bigan",
        "sides-swapped",
        "loss = softplus(self.logits(made, z))",
        "loss = softplus(-self.logits(made, z))",
        _PAIRS,
    ),
    _kin(
        "bigan",
        "encoder-learns-with-nobody",
        "*self.generator.parameters(), *self.encoder.parameters()",
        "*self.generator.parameters()",
        f"{_REACHES}[bigan-plane]",
    ),
    _kin("bigan", "penalty-without-half", "self.r1 / 2 * slopes", "self.r1 * slopes", _PAIRS),
    _kin("bigan", "slope-of-x-alone", "slopes(real, pair) ** 2", "slopes(real, pair).detach() ** 2", _PAIRS),
    _kin(
        "cyclegan",
        "critics-swapped",
        "(self.critics, (x, y), (in_x, in_y))",
        "(self.critics, (x, y), (in_y, in_x))",
        _JUDGES,
    ),
    _kin(
        "cyclegan",
        "critics-learn-on-the-other",
        "made = self.back(y), self.there(x)",
        "made = self.there(x), self.back(y)",
        _JUDGES,
    ),
    _kin("cyclegan", "cycle-runs-twice-there", "(self.back(in_y) - x)", "(self.there(in_y) - x)", _JUDGES),
    _kin("cyclegan", "one-cycle-alone", " + (self.there(in_x) - y).abs()", "", _JUDGES),
    _kin(
        "cyclegan",
        "pairs-compared",
        "in_x, in_y = self.back(y), self.there(x)\n",
        "in_x, in_y = self.back(y), self.there(x)\n        return ((in_x - x).abs() + (in_y - y).abs()).mean()\n",
        "test_nothing_in_its_losses_knows_the_pairs",
    ),
    _kin(
        "cyclegan",
        "maps-in-a-list",
        '"generator": maps}',
        '"generator": maps[: len(maps) // 2]}',
        f"{_REACHES}[cyclegan-plane]",
    ),
    _kin(
        "cyclegan",
        "map-begins-gray",
        "self.net(x) + 4 * x - 2",
        "self.net(x)",
        "test_a_map_of_pictures_begins_near_the_picture",
    ),
    _kin("drifting", "attraction-alone", "shift(t, x, h) - shift(t, y, h, apart=t is y)", "shift(t, x, h)", _SCORES),
    _kin(
        "drifting",
        "turned-round",
        "shift(t, x, h) - shift(t, y, h, apart=t is y)",
        "shift(t, y, h, apart=t is y) - shift(t, x, h)",
        _SCORES,
    ),
    _kin("drifting", "kernel-without-half", "/ (2 * h**2)", "/ h**2", _SCORES),
    _kin("drifting", "weights-not-normalized", "logs.softmax(1) @ x - t", "logs.exp() @ x / len(x) - t", _SCORES),
    _kin(
        "drifting", "holds-itself-back", "apart=t is y", "apart=False", "test_a_sample_has_no_say_in_its_own_repulsion"
    ),
    _kin("drifting", "goal-learns-too", "here = y.detach()", "here = y", f"{_GO}"),
    _kin("drifting", "mean-over-features", ".square().sum(1).mean()", ".square().mean()", _GO),
    _kin(
        "infogan",
        "reader-of-one-size",
        'options.get("hidden") or (128, 128)',
        "(128, 128)",
        "test_the_reader_has_the_units_of_the_critic",
    ),
]
