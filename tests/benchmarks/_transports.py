"""One picture under a control, in four ways: the code of a notebook's cell for each."""

PICTURES = """\
import numpy as np, torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid())
big = np.random.default_rng(0).integers(0, 255, (560, 560), dtype=np.uint8)

def picture(x, y=0.0):
    if SIZE == 560:
        return np.roll(big, (int(40 * x), int(40 * y)), (1, 0))
    with torch.no_grad():
        return (255 * net(torch.tensor([float(x), float(y)]))).byte().reshape(28, 28).numpy()
"""
STAGE = """
from gdm_core.widgets import Pad, Stage, Trainer

def steps():
    model, x = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 64)), torch.rand(256, 64)
    optimizer = torch.optim.Adam(model.parameters())
    while True:
        optimizer.zero_grad()
        ((model(x) - x) ** 2).mean().backward()
        optimizer.step()
        yield

trainer = Trainer(steps, lambda _: None)
stage = Stage(lambda c: picture(*c["z"]), [Pad("z", limit=3.0, step=0.05)], title="pad", trainer=trainer)
stage"""
SLIDER = """
import ipywidgets as widgets
from IPython.display import display
slider = widgets.FloatSlider(min=-3, max=3, step=0.05, value=-2)
"""
PNG = """
import io
from PIL import Image

def png(x):
    out = io.BytesIO()
    Image.fromarray(picture(x)).save(out, "PNG")
    return out.getvalue()

shown = widgets.Image(value=png(-2), format="png")
slider.observe(lambda change: setattr(shown, "value", png(change["new"])), "value")
display(slider, shown)"""
MATPLOTLIB = """
%matplotlib inline
import matplotlib.pyplot as plt

def show(x):
    plt.imshow(picture(x), cmap="gray")
    plt.show()

widgets.interact(show, x=slider);"""
PLOTLY = """
import plotly.graph_objects as go
shown = go.FigureWidget(go.Heatmap(z=picture(-2), showscale=False))
slider.observe(lambda change: shown.data[0].update(z=picture(change["new"])), "value")
display(slider, shown)"""

CELLS = {
    "stage": STAGE,
    "ipywidgets Image, PNG": SLIDER + PNG,
    "matplotlib, interact": SLIDER + MATPLOTLIB,
    "plotly FigureWidget": SLIDER + PLOTLY,
}


def cell(what: str, size: int) -> str:
    """Source for pictures of `size` x `size` pixels."""
    return f"SIZE = {size}\n{PICTURES}{CELLS[what]}"
