"""The longer training of the painter, in small: it goes on from its checkpoint and says what the judge reads."""

import json

import painter
import pytest


@pytest.mark.slow
def test_it_goes_on_where_it_stopped_and_is_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(painter, "WAYS", ((1.0, 1.0),))
    monkeypatch.setattr(painter, "WIDTH", 32)
    steps = []
    real = painter.train.fit
    monkeypatch.setattr(painter.train, "fit", lambda *a, **k: steps.append(len(real(*a, **k).loss)))
    files = ["--checkpoint", str(tmp_path / "new" / "p.safetensors"), "--out", str(tmp_path / "told" / "painter.json")]
    small = ["--device", "cpu", "--rooms", "300", "--batch", "8", "--sentences", "12", *files]
    painter.main(["--steps", "3", *small])
    told = painter.main(["--steps", "5", *small])
    assert steps == [3, 5] and json.loads((tmp_path / "told" / "painter.json").read_text())["steps"] == 5
    for kind in ("seen", "left out"):
        shares = told[f"{kind}, w = 1 for t <= 1"]
        assert 0 <= shares["all six"] <= shares["worst factor"] <= 1 and shares["worst factor"] * 12 % 1 < 1e-9
