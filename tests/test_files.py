"""Files are whole or absent; homes follow the environment."""

import os
import threading
from pathlib import Path

import pytest

from gdm_core import files


def test_writes_and_overwrites_and_makes_folders(tmp_path):
    path = files.atomic_write(tmp_path / "new" / "folder" / "a.bin", b"one")
    assert path.read_bytes() == b"one"
    assert files.atomic_write(str(path), b"two") == path and path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["a.bin"]
    assert path.stat().st_mode & 0o777 == 0o644  # readable by others, as a plain open() would have made it


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_interruption_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, error, call):
    path = files.atomic_write(tmp_path / "a.bin", b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises((KeyboardInterrupt, OSError)):
        files.atomic_write(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_payload_that_is_no_bytes_changes_nothing(tmp_path):
    path = files.atomic_write(tmp_path / "a.bin", b"old")
    with pytest.raises(TypeError):
        files.atomic_write(path, "text")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_reader_never_sees_a_part(tmp_path):
    path, seen, stop = tmp_path / "a.bin", set(), threading.Event()
    payloads = [b"a" * 300_000, b"b" * 300_000]
    files.atomic_write(path, payloads[0])

    def read():
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(100):
        files.atomic_write(path, payloads[i % 2])
    stop.set()
    reader.join()
    assert seen <= set(payloads)


def test_the_name_is_taken_by_the_whole_file_at_once(tmp_path, monkeypatch):
    """When the name changes hands, all bytes are on the disk already."""
    moved = []

    def replace(source, target):
        moved.append((Path(source).read_bytes(), Path(source).parent == Path(target).parent))

    monkeypatch.setattr(os, "replace", replace)
    files.atomic_write(tmp_path / "a.bin", b"x" * 100_000)
    assert moved == [(b"x" * 100_000, True)]


HOMES = {"GDM_DATA": files.data_home, "GDM_MODELS": files.model_home, "GDM_YOURS": files.yours_home}


@pytest.mark.parametrize("variable, home", HOMES.items())
def test_homes_follow_the_environment(monkeypatch, tmp_path, variable, home):
    monkeypatch.setenv(variable, str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~/here")
    assert home() == tmp_path / "here"
    for unset in ("", None):
        monkeypatch.setenv(variable, "") if unset == "" else monkeypatch.delenv(variable)
        assert home().parent == tmp_path / ".cache" / "gdm"
    assert files.data_home() != files.model_home()


@pytest.mark.parametrize("before, after", [(None, []), ("", []), (os.pathsep.join("ab"), ["a", "b"])])
def test_a_folder_is_put_before_those_that_a_path_names(monkeypatch, before, after):
    monkeypatch.setenv("GDM_PATH", "to be restored")
    monkeypatch.setenv("GDM_PATH", before) if before is not None else monkeypatch.delenv("GDM_PATH")
    files.put_first("GDM_PATH", Path("here"))
    assert os.environ["GDM_PATH"].split(os.pathsep) == ["here", *after]


@pytest.mark.skipif(os.name != "posix", reason="needed a home folder as on Linux and macOS")
def test_a_home_that_cannot_be_written_is_stood_in_for(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.stand_in_home() is None and Path.home() == tmp_path
    other = tmp_path / f"gdm-home-{os.getuid()}"
    for unusable in (tmp_path / "gone", Path(__file__)):
        monkeypatch.setenv("HOME", str(unusable))
        assert files.stand_in_home() == other == Path.home()
        assert other.stat().st_mode & 0o777 == 0o700 and files.stand_in_home() is None
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.stand_in_home() == other


@pytest.mark.skipif(os.name != "posix", reason="needed a home folder as on Linux and macOS")
def test_nobody_elses_folder_becomes_the_home(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "gone"))
    (tmp_path / f"gdm-home-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="needed a home folder that can be written, got .*gone; try HOME="):
        files.stand_in_home()
    assert Path.home() == tmp_path / "gone"
