"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017): found under `$GDM_DATA`, else downloaded once.

    $GDM_DATA/mnist/    train-images-idx3-ubyte.gz   train-labels-idx1-ubyte.gz      60,000
    $GDM_DATA/fashion/  t10k-images-idx3-ubyte.gz    t10k-labels-idx1-ubyte.gz       10,000

Unpacked files do as well, and so do torchvision's folders.  Only the pair that a split needs is looked for.  Each file
is checked against the published one, however it came here: the two sets use the same file names.
"""

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gdm_core.data.dataset import Dataset
from gdm_core.data.download import DataUnavailable, fetch
from gdm_core.files import atomic_write, data_home
from gdm_core.validate import bad, choice, integer, positive

# The last 10,000 of the 60,000 training images are the validation split.
ROWS = {"train": (0, 50_000), "validation": (50_000, 60_000), "test": (0, 10_000)}

# Of each file: SHA-256 of the .gz as published, MD5 of its content, which an unpacked or repacked copy shares.
SUMS = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        "train-labels-idx1-ubyte": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "a25bea736e30d166cdddb491f175f624",
        ),
        "t10k-images-idx3-ubyte": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "2646ac647ad5339dbf082846283269ea",
        ),
        "t10k-labels-idx1-ubyte": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    },
    "fashion": {
        "train-images-idx3-ubyte": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        "train-labels-idx1-ubyte": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "9018921c3c673c538a1fc5bad174d6f9",
        ),
        "t10k-images-idx3-ubyte": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "8181f5470baa50b63fa0f6fddb340f0a",
        ),
        "t10k-labels-idx1-ubyte": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    },
}
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
    "fashion": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}
FOLDERS = {"mnist": ("mnist", "MNIST/raw"), "fashion": ("fashion", "FashionMNIST/raw")}
FASHION_CLASSES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)


def mnist(
    split: str = "train",
    n: int | None = None,
    seed: int = 0,
    device="cpu",
    *,
    mirrors: Sequence[str] | str | None = None,
    stall: float = 5.0,
) -> Dataset:
    """The first `n` handwritten digits of a split: x (n, 1, 28, 28), float32, gray level / 255; 256 levels.

    Args:
        split: "train" (50,000), "validation" (10,000) or "test" (10,000): fixed rows, not shuffled.
        n: how many; None for all.
        seed: there is nothing random here; accepted so that data sets can be exchanged.
        device: where the tensors live.
        mirrors: addresses of folders laid out as `$GDM_DATA`, in place of the public ones; None takes `$GDM_MIRRORS`
            (separated by commas or blanks) if it is set; () downloads nothing.
        stall: seconds of silence after which the next mirror is tried.

    Raises:
        ValueError: unknown split, more images than it has, a mirror that is no http address.
        DataUnavailable: (an OSError) not found and not to be downloaded, or a file there is damaged or another one.
    """
    return _load("mnist", split, n, device, mirrors, stall)


def fashion(
    split: str = "train",
    n: int | None = None,
    seed: int = 0,
    device="cpu",
    *,
    mirrors: Sequence[str] | str | None = None,
    stall: float = 5.0,
) -> Dataset:
    """The first `n` pieces of clothing of a split; as `mnist` in everything.  `FASHION_CLASSES` names the labels."""
    return _load("fashion", split, n, device, mirrors, stall)


def read_idx(content: bytes) -> np.ndarray:
    """Decode an (unpacked) IDX file: 0, 0, type, number of dimensions, their sizes, then the values; all big-endian.

    Raises:
        ValueError: another format, an unknown type, or more or fewer bytes than the header announces.

    >>> read_idx(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]))
    array([[7, 8, 9]], dtype=uint8)
    """
    types = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
    if len(content) < 8 or content[:2] != b"\0\0" or content[2] not in types or content[3] == 0:
        raise bad("an IDX file (bytes 0, 0, type, dimensions, ...)", repr(content[:8]), "unpacking it, if it is a .gz")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise bad(f"an IDX header of {start} bytes", f"{len(content)} bytes", "fetching the file again")
    shape, dtype = struct.unpack(f">{content[3]}I", content[4:start]), np.dtype(types[content[2]])
    size = start + math.prod(shape) * dtype.itemsize
    if len(content) != size:
        raise bad(f"{size:,} bytes for shape {shape}", f"{len(content):,}", "fetching the file again")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _load(name: str, split: str, n: int | None, device, mirrors, stall: float) -> Dataset:
    start, stop = ROWS[choice("split", split, ROWS)]
    if n is not None:
        stop = start + integer("n", n, high=stop - start)
    part = "t10k" if split == "test" else "train"
    pair = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    paths = [_find(name, file) for file in pair]
    if None in paths:
        paths = [
            path or _download(name, split, file, _addresses(name, file, mirrors), positive("stall", stall, 5.0))
            for path, file in zip(paths, pair)
        ]
    images, labels = (read_idx(_content(path, name, file))[start:stop] for path, file in zip(paths, pair))
    # (n, 1, 28, 28); bytes travel faster than floats
    x = torch.tensor(images).to(device).float().div_(255).unsqueeze(1)
    return Dataset(name, x, torch.tensor(labels).to(device).long(), levels=256)


def _find(name: str, file: str) -> Path | None:
    """Where a file is, packed or not; unpackers and other collections write the name with a dot as well."""
    for folder in FOLDERS[name]:
        for spelled in (file, file.replace("-idx", ".idx")):
            for path in (data_home() / folder / f"{spelled}.gz", data_home() / folder / spelled):
                if path.is_file():
                    return path
    return None


def _content(path: Path, name: str, file: str) -> bytes:
    """What the file holds, unpacked, if it is what was published under this name."""
    try:
        payload = path.read_bytes()
        content = gzip.decompress(payload) if path.suffix == ".gz" else payload
    except PermissionError as error:
        raise DataUnavailable(f"{path} cannot be read ({error}); ask whoever put it there") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataUnavailable(f"{path} is damaged ({error}); delete it, and it will be fetched again") from None
    # MD5 finds accidents and mix-ups, and a second file with the sum of a given one is still out of anyone's reach.
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found == SUMS[name][file][1]:
        return content
    known = {md5: f"{other}'s {published}" for other, sums in SUMS.items() for published, (_, md5) in sums.items()}
    cause = f"this is {known[found]}" if found in known else "well-formed, but not the published data"
    try:
        read_idx(content)
    except ValueError as error:
        cause = str(error)
    raise DataUnavailable(f"{path} is not {name}'s {file} ({cause}); delete it, and it will be fetched again")


def _addresses(name: str, file: str, mirrors: Sequence[str] | str | None) -> list[str]:
    if mirrors is None and not os.environ.get("GDM_MIRRORS"):
        return [f"{mirror}{file}.gz" for mirror in MIRRORS[name]]
    mirrors = os.environ["GDM_MIRRORS"] if mirrors is None else mirrors
    mirrors = mirrors.replace(",", " ").split() if isinstance(mirrors, str) else mirrors
    for mirror in mirrors:
        if not str(mirror).startswith(("http://", "https://")):
            raise bad("mirrors that begin with http:// or https://", repr(mirror), "GDM_DATA for a folder")
    return [f"{str(mirror).rstrip('/')}/{name}/{file}.gz" for mirror in mirrors]


def _download(name: str, split: str, file: str, urls: list[str], stall: float) -> Path:
    folder = data_home() / FOLDERS[name][0]
    try:
        payload = fetch(urls, SUMS[name][file][0], stall=stall)
    except DataUnavailable as failure:
        there = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ""
        causes = "".join(f"\n    {url}: {cause}" for url, cause in failure.causes.items()) or " no mirror was given"
        pair = " and ".join(f"{published}.gz" for published in SUMS[name] if published[:4] == file[:4])
        raise DataUnavailable(
            f"needed {file}.gz for the {split} split of {name}, got no such file\n"
            f"  in {folder}, which has {there or 'nothing'}\n"
            f"  nor from the network:{causes}\n"
            f"try one of these:\n"
            f"  put {pair} into {folder}\n"
            f"  set GDM_DATA to a folder whose {name}/ has them\n"
            f"  load 'strokes' or 'digits', which need no network",
            failure.causes,
        ) from None
    try:
        return atomic_write(folder / f"{file}.gz", payload)
    except OSError as error:
        raise DataUnavailable(
            f"{file}.gz was downloaded but cannot be written to {folder} ({error}); try GDM_DATA=a folder of your own"
        ) from None
