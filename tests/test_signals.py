"""Ctrl-C where it is ignored at the start: in the background of a script, under some runners."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

IGNORED = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needed signals as on Linux and macOS")
def test_tests_of_ctrl_c_need_no_terminal():
    names = ("a_second_ctrl_c_does_not_wait_and_takes_the_step_back", "a_real_ctrl_c_on_a_real_process")
    pressed = [f"test_checkpoint.py::test_{name}" for name in names]  # here, and in a child
    command = [sys.executable, "-c", IGNORED, "-p", "no:cacheprovider", "-p", "no:xdist", "-v", *pressed]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins are slow to start
    done = subprocess.run(command, cwd=Path(__file__).parent, env=alone, capture_output=True, text=True)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
