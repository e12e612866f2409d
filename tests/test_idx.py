"""MNIST and Fashion-MNIST: the format, what lies on the disk, and downloads that go wrong."""

import _thread
import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from mirrors import serving

from gdm_core.data import DataUnavailable, idx

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def encode(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Both sets with 30 + 12 examples and their own checksums; returns {set: {file: content}}."""
    random = np.random.default_rng(0)
    sets = {
        name: {
            file: encode(random.integers(0, 256 if "images" in file else 10, shape, dtype=np.uint8))
            for file, shape in zip((*TRAIN, *TEST), [(30, 28, 28), (30,), (12, 28, 28), (12,)])
        }
        for name in ("mnist", "fashion")
    }
    sums = {
        name: {file: (hashlib.sha256(pack(c)).hexdigest(), hashlib.md5(c).hexdigest()) for file, c in files.items()}
        for name, files in sets.items()
    }
    monkeypatch.setattr(idx, "SUMS", sums)
    monkeypatch.setattr(idx, "ROWS", {"train": (0, 20), "validation": (20, 30), "test": (0, 12)})
    monkeypatch.setenv("GDM_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("GDM_QUIET", "1")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("GDM_MIRRORS", raising=False)
    return sets


@pytest.fixture
def server(tiny):
    with serving({f"{name}/{file}.gz": pack(c) for name, files in tiny.items() for file, c in files.items()}) as server:
        yield server


def pack(content):
    return gzip.compress(content, mtime=0)


def put(file, payload, folder="mnist"):
    path = Path(os.environ["GDM_DATA"]) / folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)


def files():
    home = Path(os.environ["GDM_DATA"])
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


# --- the format ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code, dtype", [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_every_type_of_idx(code, dtype):
    values = (np.arange(24).reshape(2, 3, 4) - 5).astype(dtype)
    content = bytes([0, 0, code, 3]) + struct.pack(">3I", 2, 3, 4) + values.tobytes()
    np.testing.assert_array_equal(idx.read_idx(content), values)


def test_no_length_but_the_right_one():
    content = encode(np.arange(6, dtype=np.uint8).reshape(2, 3))
    for wrong in [content[:k] for k in range(len(content))] + [content + b"\0"]:
        with pytest.raises(ValueError, match="^needed .*, got .*; try "):
            idx.read_idx(wrong)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(bytes(20), mtime=0), "unpacking it, if it is a .gz"),
        (b"<!DOCTYPE html>", "an IDX file"),
        (bytes([0, 1, 8, 1, 0, 0, 0, 0]), "an IDX file"),
        (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "an IDX file"),
        (bytes([0, 0, 8, 0, 0, 0, 0, 0]), "an IDX file"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "an IDX header of 16 bytes"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 5, 1, 2]), r"needed 13 bytes for shape \(5,\), got 10"),
    ],
)
def test_what_is_no_idx_file(content, words):
    with pytest.raises(ValueError, match=words):
        idx.read_idx(content)


# --- from the disk ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
@pytest.mark.parametrize("dotted", [True, False])
def test_found_offline(tiny, packed, folder, dotted):
    for file in TEST:
        name = file.replace("-idx", ".idx") if dotted else file
        content = tiny["mnist"][file]
        # level 1: a repacked file has another SHA-256 but the same content
        put(f"{name}.gz" if packed else name, gzip.compress(content, 1) if packed else content, folder)
    data = idx.mnist("test", mirrors=())
    images = np.frombuffer(tiny["mnist"][TEST[0]][16:], np.uint8).reshape(12, 1, 28, 28)
    assert data.name == "mnist" and data.levels == 256
    assert data.x.dtype == torch.float32 and data.labels.dtype == torch.int64
    np.testing.assert_array_equal((data.x * 255).round().numpy(), images)
    np.testing.assert_allclose(data.x.numpy(), images / 255, atol=1e-7)
    np.testing.assert_array_equal(data.labels, np.frombuffer(tiny["mnist"][TEST[1]][8:], np.uint8))


def test_splits_and_n(tiny):
    for file, content in tiny["fashion"].items():
        put(f"{file}.gz", pack(content), "fashion")
    train, validation, test = (idx.fashion(split, mirrors=()) for split in ("train", "validation", "test"))
    labels = np.frombuffer(tiny["fashion"][TRAIN[1]][8:], np.uint8)
    np.testing.assert_array_equal(train.labels, labels[:20])
    np.testing.assert_array_equal(validation.labels, labels[20:])
    assert (len(train), len(validation), len(test), train.name) == (20, 10, 12, "fashion")
    assert torch.equal(idx.fashion("validation", n=4, seed=7).x, validation.x[:4])
    train.x.zero_()
    assert idx.fashion("train", n=1).x.sum() > 0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_test_pair_alone_is_no_training_set(tiny, server, split):
    for file in TEST:
        put(f"{file}.gz", pack(tiny["mnist"][file]))
    assert len(idx.mnist("test", mirrors=[f"{server.url}/good"])) == 12
    assert server.asked == []  # what is there is not fetched
    before = files()
    with pytest.raises(DataUnavailable) as caught:
        idx.mnist(split, mirrors=[f"{server.url}/missing"])
    message = str(caught.value)
    for word in (split, *(f"{file}.gz" for file in (*TRAIN, *TEST)), "GDM_DATA", "'digits'", "'strokes'", "HTTP 404"):
        assert word in message
    assert f"{server.url}/missing/mnist/{TRAIN[0]}.gz" in caught.value.causes
    assert os.environ["GDM_DATA"] in message
    assert files() == before


def test_other_sets_file_is_refused(tiny):
    for file in TEST:
        put(f"{file}.gz", pack(tiny["fashion"][file]), "mnist")
    with pytest.raises(DataUnavailable, match="this is fashion's t10k-images-idx3-ubyte.*delete it"):
        idx.mnist("test", mirrors=())


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (f"{TEST[0]}.gz", lambda c: pack(c)[:-30], "is damaged .*delete it"),
        (f"{TEST[0]}.gz", lambda c: pack(c)[:50] + b"\xff\xff\xff" + pack(c)[53:], "is damaged .*delete it"),
        (f"{TEST[0]}.gz", lambda c: b"<html>not here</html>", "is damaged .*delete it"),
        (f"{TEST[0]}.gz", lambda c: b"", "delete it"),
        (TEST[0], lambda c: c[:-30], "needed 9,424 bytes for shape .12, 28, 28., got 9,394.*delete it"),
        (TEST[0], lambda c: c[:20] + bytes([c[20] ^ 1]) + c[21:], "not the published data.*delete it"),
    ],
)
def test_damaged_file_is_refused(tiny, name, change, words):
    put(name, change(tiny["mnist"][TEST[0]]))
    put(f"{TEST[1]}.gz", pack(tiny["mnist"][TEST[1]]))
    with pytest.raises(DataUnavailable, match=words):
        idx.mnist("test", mirrors=())


# --- from the network ---------------------------------------------------------------------------------------------


def test_download_leaves_the_pair_and_works_offline_then(tiny, server):
    first = idx.mnist("test", mirrors=f"{server.url}/good")
    assert files() == [f"mnist/{file}.gz" for file in sorted(TEST)]
    again = idx.mnist("test", mirrors=())
    assert torch.equal(first.x, again.x) and torch.equal(first.labels, again.labels)
    assert [file for _, file, _ in server.manners()] == [f"{file}.gz" for file in TEST]


@pytest.mark.parametrize("manner", ["missing", "page", "cut", "corrupt", "rotten", "stall"])
def test_bad_mirror_leaves_nothing(server, manner):
    with pytest.raises(OSError, match="try one of these") as caught:
        idx.mnist("test", mirrors=[f"{server.url}/{manner}"], stall=0.5)
    assert len(caught.value.causes) == 1
    assert files() == []


@pytest.mark.parametrize("manner", ["missing", "page", "cut", "corrupt", "rotten", "stall"])
def test_good_mirror_after_bad_ones(tiny, server, manner):
    data = idx.mnist("validation", mirrors=[f"{server.url}/{manner}", f"{server.url}/good/"], stall=0.5)
    np.testing.assert_array_equal(data.labels, np.frombuffer(tiny["mnist"][TRAIN[1]][8:], np.uint8)[20:])
    assert files() == [f"mnist/{file}.gz" for file in sorted(TRAIN)]


def test_a_mirror_that_swaps_the_sets_is_refused(tiny, server):
    for file in TEST:
        server.files[f"mnist/{file}.gz"] = pack(tiny["fashion"][file])
    with pytest.raises(DataUnavailable, match="another or a damaged file"):
        idx.mnist("test", mirrors=[f"{server.url}/good"])
    assert files() == []


def test_only_the_missing_file_is_fetched(tiny, server):
    put(TEST[0], tiny["mnist"][TEST[0]])
    idx.mnist("test", mirrors=[f"{server.url}/good"])
    assert [file for _, file, _ in server.manners()] == [f"{TEST[1]}.gz"]


def test_mirrors_of_the_environment(server, monkeypatch):
    monkeypatch.setenv("GDM_MIRRORS", f"{server.url}/missing, {server.url}/good")
    assert len(idx.fashion("test")) == 12
    assert [manner for manner, _, _ in server.manners()] == ["missing", "good"] * 2
    with pytest.raises(DataUnavailable, match="no mirror was given"):
        idx.mnist("test", mirrors=())  # the argument goes before the environment


def test_control_c_leaves_nothing(server):
    server.interrupt = _thread.interrupt_main
    with pytest.raises(KeyboardInterrupt):
        idx.mnist("test", mirrors=[f"{server.url}/interrupt", f"{server.url}/good"], stall=0.5)
    assert files() == []


def test_folder_that_cannot_be_written(server):
    Path(os.environ["GDM_DATA"]).mkdir()
    (Path(os.environ["GDM_DATA"]) / "mnist").write_text("in the way")
    with pytest.raises(DataUnavailable, match="cannot be written to .*mnist.*try GDM_DATA"):
        idx.mnist("test", mirrors=[f"{server.url}/good"])
    assert files() == ["mnist"]


def test_public_mirrors_are_asked_for_the_published_names(tiny, monkeypatch):
    asked = []

    def fetch(urls, sha256, **_):
        asked.append((urls, sha256))
        raise DataUnavailable("no network")

    monkeypatch.setattr(idx, "fetch", fetch)
    for load, name in ((idx.mnist, "mnist"), (idx.fashion, "fashion")):
        with pytest.raises(DataUnavailable):
            load("train")
        urls, sha256 = asked.pop()
        assert len(urls) >= 3 and all(u.startswith("http") and u.endswith(f"/{TRAIN[0]}.gz") for u in urls)
        assert sha256 == idx.SUMS[name][TRAIN[0]][0]


def test_bad_input_asks_no_mirror(server):
    good = {"mirrors": [f"{server.url}/good"]}
    for call, words in [
        (lambda: idx.mnist("valid", **good), "try 'validation'"),
        (lambda: idx.mnist("test", n=13, **good), "integer n from 1 to 12, got 13"),
        (lambda: idx.mnist("test", n=0, **good), "integer n from 1 to 12, got 0"),
        (lambda: idx.mnist("test", stall=0, **good), "positive, finite stall"),
        (lambda: idx.mnist("test", mirrors="/somewhere/on/disk"), "http://"),
        (lambda: idx.mnist("test", mirrors=["file:///etc"]), "http://"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
    assert server.asked == [] and files() == []


# --- the real sets ------------------------------------------------------------------------------------------------


def test_validation_is_the_end_of_the_training_file():
    (first, start), (follows, end) = idx.ROWS["train"], idx.ROWS["validation"]
    assert first == 0 and start == follows and end - follows == 10_000 and end == 60_000
    assert idx.ROWS["test"] == (0, 10_000)


def test_published_sums_are_sums():
    sums = [pair for files in idx.SUMS.values() for pair in files.values()]
    assert len(sums) == 8 and all(set(files) == {*TRAIN, *TEST} for files in idx.SUMS.values())
    assert all(len(bytes.fromhex(sha)) == 32 and len(bytes.fromhex(md5)) == 16 for sha, md5 in sums)
    assert len({s for pair in sums for s in pair}) == 16


def real_home(folder):
    """Where the real test set lies on this machine, or None."""
    for home in (os.environ.get("GDM_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if home and (Path(home) / folder / f"{TEST[0]}.gz").is_file():
            return str(home)
    return None


@pytest.mark.skipif(not real_home("mnist"), reason="no real MNIST under $GDM_DATA/mnist")
def test_real_mnist(monkeypatch):
    home = real_home("mnist")
    monkeypatch.setenv("GDM_DATA", home)
    data = idx.mnist("test", mirrors=())
    assert data.x.shape == (10_000, 1, 28, 28)
    assert data.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert data.x.double().mean().item() == pytest.approx(0.13251, abs=1e-5)  # as everybody's normalization has it
    assert data.x.min() == 0 and data.x.max() == 1
    assert torch.equal(idx.mnist("test", n=3, mirrors=()).x, data.x[:3])
    for file in TEST:
        packed = Path(home) / "mnist" / f"{file}.gz"
        assert hashlib.sha256(packed.read_bytes()).hexdigest() == idx.SUMS["mnist"][file][0]
