"""Light of all 480 rooms, found once a run: the slow part of a reading's table, which is not what is tested there."""

import hashlib
import itertools
import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch.nn.functional import adaptive_avg_pool2d

from gdm_core.data.scenes import SHAPES, grid, room
from gdm_core.files import atomic_write
from gdm_core.reachable import reachable


@pytest.fixture(scope="module")
def lit():
    """`room.light` of scenes of the grid comes from a file that all processes of a run share, a pixel of 16 x 16 each.

    The file's name holds a hash of the code of `room.light`: with a fault there, another one is made.
    """
    sizes = list(grid.FACTORS.values())[3:]
    table = grid.values([[0, 0, 0, *place] for place in itertools.product(*map(range, sizes))])[:, 3:].tolist()
    rooms = [(SHAPES[int(shape)], round(scale, 5), round(turn, 4)) for scale, shape, turn in table]
    code = hashlib.blake2b(json.dumps([reachable(room.light), rooms]).encode(), digest_size=6).hexdigest()
    path = Path(os.environ["GDM_TEST_MODELS"], f"light-{code}.safetensors")
    if not path.is_file():
        drawn = torch.stack([adaptive_avg_pool2d(room.light(*one, 64, "cpu"), 16) for one in rooms])
        atomic_write(path, safetensors.torch.save({"light": drawn}))
    known = dict(zip(rooms, safetensors.torch.load_file(path)["light"]))

    def light(*one):
        *place, size, device = one
        assert (size, device) == (64, "cpu"), "what reads asks for 64 pixels on a side, to be averaged"
        return known[tuple(place)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "light", light)
        yield
