"""The replay passes a notebook that prints what it says, and no other."""

import subprocess
import time
import xml.etree.ElementTree as ElementTree
from queue import Empty
from unittest.mock import Mock

import nbformat
import pytest

from gdm_core.course import kernels, replay

SOURCES = {
    "same": [
        "print('a')\nprint('b')",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "import os\n1 + int(os.environ['GDM_DRAFT'])",
    ],
    "changed": ["print(0.5)", "print('goes on')"],
    "missing": ["x = 1"],
    "unexpected": ["import matplotlib.pyplot as plt\nplt.plot([1, 2]);"],
    "raises": ["1 / 0"],
    "dies": ["import os\nos._exit(1)", "x = 1"],
}


def figure():
    data = {"image/png": "aaaa", "text/plain": "<Figure size 640x480 with 1 Axes>"}
    return nbformat.v4.new_output("display_data", data=data)


def printed(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


COMMITTED = {
    "same": [
        [printed("a\nb\n")],
        [figure()],
        [nbformat.v4.new_output("execute_result", data={"text/plain": "2"}, execution_count=3)],
    ],
    "changed": [[printed("0.6\n")], [printed("goes on\n")]],
    "missing": [[figure()]],
    "unexpected": [[nbformat.v4.new_output("display_data", data={"text/plain": "<Figure size 640x480 with 1 Axes>"})]],
    "raises": [[]],
    "dies": [[], []],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """(notebook, cell) -> what pytest said of it, or "" where it passed."""
    folder = tmp_path_factory.mktemp("replay")
    for name, sources in SOURCES.items():
        cells = [nbformat.v4.new_code_cell(s, execution_count=i) for i, s in enumerate(sources, 1)]
        for cell, outputs in zip(cells, COMMITTED[name]):
            cell.outputs = outputs
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    report = folder / "report.xml"
    command = replay.command(*(folder / f"{name}.ipynb" for name in SOURCES))
    started = time.monotonic()
    with kernels.clean() as env:
        done = subprocess.run([*command, f"--junitxml={report}"], env=env, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 1, done.stdout
    found = {"seconds": time.monotonic() - started}
    for case in ElementTree.parse(report).iter("testcase"):
        cell = int(case.get("name").split("Cell ")[1])
        notebook = next(name for name in SOURCES if name in case.get("classname") + case.get("name"))
        found[notebook, cell] = "".join(piece.text or "" for piece in case)
    return found


@pytest.mark.slow
def test_faithful_notebook_passes(results):
    assert [results["same", i] for i in range(3)] == ["", "", ""]  # among them a line that ends in ;


@pytest.mark.slow
def test_changed_number_fails_and_the_rest_is_still_run(results):
    assert "0.6" in results["changed", 0] and "0.5" in results["changed", 0]
    assert results["changed", 1] == ""


@pytest.mark.slow
def test_pictures_are_counted(results):
    assert "Missing output fields" in results["missing", 0] and "image/png" in results["missing", 0]
    assert "Unexpected output fields" in results["unexpected", 0] and "image/png" in results["unexpected", 0]


@pytest.mark.slow
def test_error_fails(results):
    assert "ZeroDivisionError" in results["raises", 0]


@pytest.mark.slow
def test_dead_kernel_is_noticed_at_once(results):
    assert "the kernel died in this cell" in results["dies", 0] and results["dies", 1]
    assert results["seconds"] < 300


def test_pictures_are_compared_by_their_presence():
    cell, original = Mock(), Mock(return_value=True)
    cell.parent.skip_compare = ("metadata", "image/png", "image/jpeg")
    plot = {"application/vnd.plotly.v1+json": {"data": [0.1]}, "text/plain": "x"}
    new = nbformat.v4.new_output("display_data", data={"image/png": "aaaa", **plot})
    assert replay.compare_outputs(cell, original, [new], [figure()])
    _, (seen,), (old,), skipped = original.call_args.args
    assert skipped == ["metadata"]
    assert seen["data"] == {**dict.fromkeys(replay.PICTURES[::2], "a picture"), "text/plain": "x"}
    assert old["data"]["image/png"] == seen["data"]["image/png"]
    assert new.data["image/png"] == "aaaa"  # what was given is left as it is


COMMITTED_CLAIMS = """\
trained
✓ bound: -60.4 nats
✓ twice 0.02
✓ twice 5
✓ difference 0.3
✓ unused 0
✓ it agrees
"""
FOUND = """\
trained
✓ bound: -60.4 nats (needed ≤ -60.0436)
✓ twice 0.02 (needed ≤ 1)
✓ twice 5 (needed ≤ 35)
✓ difference 0.3 (needed 0 ± 2.5)
✓ unused 0 (needed ≤ 32)
✓ it agrees
"""


@pytest.mark.parametrize(
    "found, same",
    [
        (FOUND, True),
        (COMMITTED_CLAIMS, True),
        (FOUND.replace("-60.4", "-62.1").replace("-60.0436", "-61.2"), True),
        (FOUND.replace("0.02", "8e-06").replace("twice 5", "twice 6"), True),
        (FOUND.replace("unused 0", "unused 1").replace("32", "29"), True),
        (FOUND.replace("unused 0", "unused 16"), True),
        (FOUND.replace("unused 0", "unused 17"), False),
        (FOUND.replace("difference 0.3", "difference -0.9"), True),
        (FOUND.replace("difference 0.3", "difference -1.1"), False),
        (FOUND.replace("-60.4", "-90.7"), False),
        (FOUND.replace("-60.4", "60.4"), False),
        (FOUND.replace("twice 5", "twice 20"), True),
        (FOUND.replace("twice 5", "twice 21"), False),
        (FOUND.replace("0.02", "0.5"), False),
        (FOUND.replace("0.02", "1"), False),
        (FOUND.replace("nats", "bits"), False),
        (FOUND.replace("✓ twice 0.02 (needed ≤ 1)\n", ""), False),
        (FOUND.replace("✓ it agrees\n", ""), False),
        (FOUND.replace("trained", "trained 1"), False),
    ],
)
def test_numbers_of_claims_may_move_a_little_and_nothing_else(found, same):
    original = Mock()
    replay.compare_outputs(Mock(), original, [printed(found)], [printed(COMMITTED_CLAIMS)], ("metadata",))
    _, (seen,), (old,), _ = original.call_args.args
    assert (seen["text"] == old["text"]) == same and old["text"] == COMMITTED_CLAIMS


def test_numbers_outside_claims_are_compared_exactly():
    original = Mock()
    replay.compare_outputs(Mock(), original, [printed("0.501\n")], [printed("0.5\n")], ("metadata",))
    assert original.call_args.args[1][0]["text"] == "0.501\n"


def test_of_an_explorer_the_title_is_compared():
    def shown(words):
        data = {"image/png": "aaaa", "text/plain": words}
        return nbformat.v4.new_output("execute_result", data=data, execution_count=1)

    original = Mock()
    new, old = shown("Guess or search: digit 0. gap 2.98"), shown("Guess or search: digit 0. gap 2.99")
    replay.compare_outputs(Mock(), original, [new], [old], ("metadata",))
    assert original.call_args.args[1] == original.call_args.args[2]
    replay.compare_outputs(Mock(), original, [shown("Latent pad: z = 0")], [old], ("metadata",))
    assert original.call_args.args[1] != original.call_args.args[2]
    data = {"text/plain": "0.5: no explorer"}
    text = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    replay.compare_outputs(Mock(), original, [text], [text], ("metadata",))
    assert original.call_args.args[1][0]["data"] == data


def test_kernel_that_hangs_at_its_start_is_replaced():
    kernel, original = Mock(), Mock()
    kernel.await_reply.side_effect = [Empty, None]
    replay.start(kernel, original, "python3", cwd="/")
    assert original.call_args_list == [((kernel, "python3"), {"cwd": "/"})] * 2
    assert kernel.stop.call_count == 1
    kernel.await_reply.side_effect = Empty
    with pytest.raises(kernels.KernelHung):
        replay.start(kernel, original)


def reply(msg_id, status="ok"):
    return {"parent_header": {"msg_id": msg_id}, "content": {"status": status}}


def test_waiting_for_a_reply():
    kernel = Mock()
    kernel.is_alive.return_value = True
    kernel.get_message.side_effect = [Empty, reply("other"), Empty, reply("mine")]
    replay.await_reply(kernel, "mine", timeout=60)
    assert kernel.get_message.call_count == 4  # what answers another message is passed over
    kernel.get_message.side_effect = [reply("mine", "aborted")]
    with pytest.raises(RuntimeError, match="refused"):
        replay.await_reply(kernel, "mine", timeout=60)
    kernel.get_message.side_effect = Empty
    with pytest.raises(Empty):
        replay.await_reply(kernel, "mine", timeout=0.05)
    kernel.is_alive.return_value = False
    with pytest.raises(RuntimeError, match="died"):
        replay.await_reply(kernel, "mine", timeout=1)
