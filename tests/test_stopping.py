"""What is asked to end, ends, says how to go on, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from reflect_core.ablation.children import Children
from reflect_core.cli.stopping import Terminated, terminable

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


def test_a_request_to_end_is_raised_where_it_finds_the_command():
    with pytest.raises(Terminated), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_who_handles_such_requests_already_goes_on_doing_so():
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
            while not seen:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_one_of_several_processes_is_ended_by_the_signal(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with terminable():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_other_threads_are_left_alone():
    done = []

    def play():
        with terminable():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=play)
    thread.start()
    thread.join()
    assert done == [signal.SIG_DFL]


def test_children_are_asked_to_end_and_no_more_begin():
    children = Children()
    codes = []
    ends, begun = os.pipe()
    thread = threading.Thread(
        target=lambda: codes.append(children.call(SLEEP, stdout=begun, stderr=subprocess.DEVNULL))
    )
    thread.start()
    assert os.read(ends, 4) == b"here"
    children.stop()
    thread.join(60)
    assert codes == [-signal.SIGTERM]
    assert children.call([sys.executable, "-c", "raise SystemExit(0)"]) != 0


def test_a_child_that_does_not_end_is_killed():
    children, codes = Children(), []
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    words = [SLEEP[0], SLEEP[1], f"{stubborn} {SLEEP[2]}"]
    ends, begun = os.pipe()
    thread = threading.Thread(target=lambda: codes.append(children.call(words, stdout=begun)))
    thread.start()
    assert os.read(ends, 4) == b"here"
    children.stop(patience=0.1)
    thread.join(60)
    assert codes == [-signal.SIGKILL]


def test_children_that_end_by_themselves_say_how():
    assert Children().call([sys.executable, "-c", "raise SystemExit(3)"]) == 3
