"""What `gdm doctor` finds, and says of it."""

import sys
import types

import tiny_course

from gdm_core.course import cli, doctor


def test_what_it_says_of_this_machine(capsys):
    code = cli.main(["doctor"])
    said = capsys.readouterr().out
    assert f"Python {sys.version.split()[0]}" in said and "torch " in said and "GB free" in said
    assert code == int("✗" in said)


def found(looker):
    return [(f.ok, str(f)) for f in looker()]


def test_it_knows_what_is_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GDM_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "a.gz").write_bytes(b"x" * 1_500_000)
    said = dict((text.split(" in ")[0], ok) for ok, text in found(doctor._data))
    assert said["✓ mnist"] is True and said["· fashion"] is None
    assert any("1 files, 1.5 MB" in text for _, text in found(doctor._data))
    monkeypatch.setenv("GDM_DATA", str(tmp_path / "gone"))
    assert any("does not exist yet" in text for _, text in found(doctor._data))


def test_it_finds_missing_and_strange_packages(tmp_path, monkeypatch):
    versions = {"torch": "2.13.0+cpu", "numpy": "2.4.5", "scipy": "1.17.1", "tqdm": "1.0"}
    needs = ["torch>=2.13", "numpy>=2.4", "scipy>=1.17", "tqdm>=4.67", "voila>=0.5", "pytest>=9 ; extra == 'test'"]

    def version(name):
        if name not in versions:
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: needs)
    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    monkeypatch.setattr(doctor, "_tested", lambda: {"torch": "2.13.0", "numpy": "2.4.6", "scipy": "1.17.1"})
    monkeypatch.setattr(doctor, "KEY", ("torch", "numpy"))
    assert found(doctor._packages) == [
        (True, "✓ torch 2.13.0+cpu, numpy 2.4.5"),
        (False, "✗ not installed: voila\n    try make setup"),
        (False, "✗ of a version the course cannot use: tqdm 1.0 (needed >=4.67)\n    try make setup"),
        (None, "· not the versions the course is tested with: numpy 2.4.5 (tested 2.4.6)"),
    ]


def test_it_speaks_of_disk_browser_chapters_and_card(tmp_path, monkeypatch):
    tiny_course.make(tmp_path, _02_second="", _01_first="")
    monkeypatch.chdir(tmp_path)
    usage = types.SimpleNamespace(free=0.5e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: usage)
    assert found(doctor._disk)[0][0] is False and "making room" in found(doctor._disk)[0][1]
    monkeypatch.delenv("GDM_CHROMIUM", raising=False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert found(doctor._chromium)[0][0] is None and "apt install chromium" in found(doctor._chromium)[0][1]
    monkeypatch.setenv("GDM_CHROMIUM", "/opt/chromium")
    assert doctor.chromium() == "/opt/chromium"
    assert found(doctor._chapters)[1] == (False, "✗ chapters without a notebook: 01, 02\n    try gdm build 01 02")
    card = types.SimpleNamespace(name="H200", total_memory=141 * 2**30)
    monkeypatch.setattr(doctor.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(doctor.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(doctor.torch.cuda, "get_device_properties", lambda i: card)
    assert found(doctor._device) == [(True, '✓ graphics card H200, 141 GB: DEVICE = "cuda:0"')]
