"""Downloads from mirrors with every fault, on a server of this machine."""

import _thread
import gzip
import hashlib
import random

import pytest
from mirrors import serving

from gdm_core.data import download

FILE = gzip.compress(random.Random(0).randbytes(3000), mtime=0)
SUM = hashlib.sha256(FILE).hexdigest()
FAULTS = {
    "missing": "HTTP 404",
    "busy": "HTTP 503",
    "page": "no gzip file but b'<!DOCTYPE html>",
    "cut": f"cut off after {len(FILE) // 2:,} of {len(FILE):,} bytes",
    "corrupt": "another or a damaged file",
    "longer": "cut off",
    "stall": "silent or too slow for 0.5 seconds",
    "mute": "silent or too slow for 0.5 seconds",
    "trickle": "silent or too slow for 0.5 seconds",
}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("GDM_QUIET", "1")
    with serving({"set/file.gz": FILE}) as server:
        yield server


def fetch(server, *manners):
    # A busy machine may keep a good server waiting: patience is short only where a test is about patience.
    stall = 0.5 if {"stall", "mute", "trickle", "interrupt"} & set(manners) else 10
    return download.fetch([f"{server.url}/{manner}/set/file.gz" for manner in manners], SUM, stall=stall)


@pytest.mark.parametrize("manner", ["good", "plain", "vague"])
def test_good_mirror(server, manner):
    assert fetch(server, manner, "missing") == FILE
    assert server.manners() == [(manner, "file.gz", None)]


@pytest.mark.parametrize(("manner", "words"), FAULTS.items(), ids=FAULTS.keys())
def test_bad_mirror_is_named_with_its_cause(server, manner, words):
    with pytest.raises(OSError, match="no mirror has file.gz") as caught:
        fetch(server, manner)
    (url, cause), *others = caught.value.causes.items()
    assert url == f"{server.url}/{manner}/set/file.gz" and words in cause and not others
    assert url in str(caught.value) and cause in str(caught.value)


@pytest.mark.parametrize("manner", [*FAULTS, "rotten"])
def test_good_mirror_after_a_bad_one(server, manner):
    assert fetch(server, manner, "good") == FILE


@pytest.mark.parametrize("manner", ["missing", "page", "cut", "corrupt", "rotten", "longer"])
@pytest.mark.parametrize("good", ["plain", "vague"])
def test_good_mirror_without_ranges_after_a_bad_one(server, manner, good):
    assert fetch(server, manner, good) == FILE


def test_every_mirror_is_listed(server):
    with pytest.raises(download.DataUnavailable) as caught:
        fetch(server, "missing", "corrupt", "stall")
    assert [url.split("/")[3] for url in caught.value.causes] == ["missing", "corrupt", "stall"]


def test_nobody_there():
    with serving({}) as gone:
        url = gone.url
    with pytest.raises(download.DataUnavailable, match="refused"):
        download.fetch([f"{url}/file.gz"], SUM, stall=0.5, progress=False)


def test_no_mirror():
    with pytest.raises(download.DataUnavailable):
        download.fetch([], SUM, progress=False)


def test_next_mirror_sends_only_the_rest(server):
    assert fetch(server, "cut", "good") == FILE
    assert server.manners()[1] == ("good", "file.gz", f"bytes={len(FILE) // 2}-")


def test_more_rounds_complete_a_torn_download(server):
    assert fetch(server, "missing", "torn") == FILE
    third = -(-len(FILE) // 3)
    spans = [span for manner, _, span in server.manners() if manner == "torn"]
    assert spans == [None, f"bytes={third}-", f"bytes={2 * third}-"]


def test_a_mirror_that_brings_nothing_new_is_not_asked_forever(server):
    with pytest.raises(download.DataUnavailable):
        fetch(server, "cut")
    assert len(server.asked) == 2


def test_wrong_beginning_is_not_kept(server):
    assert fetch(server, "rotten", "good") == FILE
    assert [span for _, _, span in server.manners()] == [None, f"bytes={len(FILE) // 2}-", None]


def test_longer_beginning_is_not_kept(server):
    assert fetch(server, "longer", "good") == FILE
    assert [manner for manner, _, _ in server.manners()] == ["longer", "good", "good"]


def test_endless_answer_is_refused(server, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 1000)
    with pytest.raises(download.DataUnavailable, match="more than 1,000 bytes"):
        fetch(server, "good")


def test_progress_bar_unless_quiet(server, monkeypatch, capfd):
    fetch(server, "good")
    assert capfd.readouterr().err == ""
    monkeypatch.delenv("GDM_QUIET")
    fetch(server, "good")
    assert "file.gz" in capfd.readouterr().err


def test_control_c_goes_through(server):
    server.interrupt = _thread.interrupt_main
    with pytest.raises(KeyboardInterrupt):
        fetch(server, "interrupt", "good")
    assert [manner for manner, _, _ in server.manners()] == ["interrupt"]
