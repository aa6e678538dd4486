# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes, judged by what the kernel says about them."""

import gc
import io
import os
import signal
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils._host import daemon


def sleep_after_report(report):
    report.send(os.getpid())
    time.sleep(60)


@pytest.mark.parametrize("second_fork", [True, False])
def test_a_daemon_outlives_its_parent_and_holds_no_file_of_it(tmp_path, second_fork):
    reader, writer = os.pipe()

    def parent():
        with open(str(tmp_path / "file"), "w"):
            os.chdir(str(tmp_path))
            pid = daemon.start(sleep_after_report, second_fork=second_fork).answer
        os.write(writer, b"%d" % pid)

    os.waitpid(daemon.fork(parent), 0)  # the parent has ended, and its daemon has not
    os.close(writer)
    # The daemon's copy of the pipe is closed, or this would wait for the daemon's end.
    with os.fdopen(reader, "rb") as pipe:
        pid = int(pipe.read())
    try:
        folder = f"/proc/{pid}/fd"
        files = {int(name): os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
        assert files == {0: "/dev/null", 1: "/dev/null", 2: "/dev/null"}
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getsid(pid) != os.getsid(0)
        assert (os.getsid(pid) == pid) is not second_fork
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_collected_file_object_does_not_close_a_new_descriptor(tmp_path):
    forgotten = [io.FileIO(str(tmp_path / "file"), "w")]
    number = forgotten[0].fileno()
    forgotten.append(forgotten)  # only the garbage collector frees a circle
    holder = [forgotten]
    del forgotten

    def work(report):
        while os.open(os.devnull, os.O_RDONLY) < number:
            pass
        holder.clear()
        for _unused in range(10000):  # many times what starts a collection
            circle = []
            circle.append(circle)
        os.fstat(number)
        report.send("still open")

    assert daemon.start(work).answer == "still open"
    holder[0][0].close()
    assert gc.isenabled()  # in the parent


def test_the_umask_is_the_one_that_is_given():
    def work(report):
        before = os.umask(0)
        report.send(before)

    assert daemon.start(work).answer == 0o077
    assert daemon.start(work, umask=0o022).answer == 0o022


def test_a_long_answer_arrives_whole():
    assert daemon.start(lambda report: report.send("x" * 1000000)).answer == "x" * 1000000


@pytest.mark.parametrize("second_fork", [True, False])
def test_an_exception_is_reported_with_its_class(second_fork):
    def work(report):
        raise KeyError("lost")

    with pytest.raises(daemon.DaemonError, match="^KeyError: 'lost'$"):
        daemon.start(work, second_fork=second_fork)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # no child remains


@pytest.mark.parametrize("second_fork", [True, False])
def test_a_process_that_is_killed_before_its_report_has_died(second_fork):
    with pytest.raises(daemon.DaemonDied, match="its process died"):
        daemon.start(lambda report: os.kill(os.getpid(), signal.SIGKILL), second_fork=second_fork)


def test_a_second_report_goes_nowhere():
    def work(report):
        report.send("first")
        assert not report.send("second")
        raise ValueError("third")

    assert daemon.start(work).answer == "first"


def test_a_report_that_nobody_reads_is_known():
    reader, writer = os.pipe()
    os.close(reader)
    report = daemon.Report(writer)
    assert not report.send("anybody?")
    with pytest.raises(OSError):
        os.fstat(writer)


def test_a_child_ends_with_a_code_and_runs_nothing_else():
    def fail():
        raise ValueError("no")

    assert os.waitpid(daemon.fork(lambda: None), 0)[1] == 0
    assert os.WEXITSTATUS(os.waitpid(daemon.fork(fail), 0)[1]) == 1
