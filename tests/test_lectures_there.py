"""The hand tool that finds what lectures leave on the CPU."""

import lectures_there
import pytest

LECTURE = """# %% [markdown]
# # 16 · Here and there

# %% tags=["parameters"]
DEVICE = "cpu"

# %%
import matplotlib.pyplot as plt
import torch
from gdm_core import train
from gdm_core.course.claims import claim
from gdm_core.models.gmm import GMM

model, x = GMM(2, 2).to(DEVICE), torch.randn(50, 2)
x = x.to(DEVICE){device}
history = train.fit(model, x, steps=100_000)
for step in range(10**9):
    x = x + 0
claim("steps", len(history), below=0)
claim("last round", step, near=10**9 - 1, within=0)

# %%
draws = torch.randn(3, generator=torch.Generator()).to(DEVICE)
shown = draws{cpu}
plt.plot(shown, [shown[0]] * 3)
"""


def found(folder, monkeypatch, text: str) -> tuple[list[str], list[str]]:
    (source := folder / "src" / "16_here.py").parent.mkdir()
    source.write_text(text, encoding="utf-8")
    monkeypatch.setattr(lectures_there, "PATIENCE", 0.1)
    return lectures_there.run(source)


def test_a_lecture_that_lives_on_its_device_is_told_nothing(tmp_path, monkeypatch):
    assert found(tmp_path, monkeypatch, LECTURE.format(device="", cpu=".cpu()")) == ([], [])


@pytest.mark.parametrize(
    ("device", "cpu", "told"),
    [
        ("", "", ["16_here.py:25: can't convert second"]),
        (" + torch.ones(50, 2)", ".cpu()", ["16_here.py:15: aten.add.Tensor: a tensor on second"]),
        ("[:] + 0; x = x.cpu()", ".cpu()", ["16_here.py:16 ("]),
        ("; torch.randn(3, device=DEVICE, generator=torch.Generator())", ".cpu()", ["16_here.py:15: aten.normal_"]),
        ("; model.log_prob(x.cpu())", ".cpu()", ["16_here.py:15 (gdm_core/models/gmm.py"]),
    ],
)
def test_each_way_to_mix_is_told_by_its_line(device, cpu, told, tmp_path, monkeypatch):
    mixed, others = found(tmp_path, monkeypatch, LECTURE.format(device=device, cpu=cpu))
    assert not others and all(line.startswith(words) for line, words in zip(mixed, told)) and len(mixed) >= len(told)


def test_what_follows_is_looked_at_and_other_errors_stand_apart(tmp_path, monkeypatch):
    text = (
        "import torch\nDEVICE = 0\nx = torch.ones(2, device=DEVICE)\n{}[0]\ny = x + torch.ones(2)\ny.numpy()\nabsent\n"
    )
    mixed, others = found(tmp_path, monkeypatch, text)
    assert [line.split(":")[1] for line in mixed] == ["5", "6"]
    assert others == ["16_here.py:4: KeyError: 0"]
