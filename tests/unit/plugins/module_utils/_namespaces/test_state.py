# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import os
import subprocess
import sys

import pytest
from ansible_collections.determined.network.plugins.module_utils._namespaces import state as states


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "directory", lambda: str(tmp_path / "states"))
    return tmp_path / "states"


def state(pid=None):
    process = states.process(os.getpid() if pid is None else pid)
    return {"version": states.VERSION, "name": "r", "keeper": process, "watcher": process}


def test_what_is_written_is_read_and_goes_with_its_directory(place):
    states.write(state(), states.path("r"))
    assert states.read("r") == state()
    assert states.read("other") is None
    assert place.stat().st_mode & 0o777 == 0o700
    states.remove(states.path("r"))
    assert states.read("r") is None
    assert not place.exists()
    states.remove(states.path("r"))


def test_the_directory_stays_while_another_rehearsal_lives(place):
    states.write(state(), states.path("r"))
    states.write(dict(state(), name="s"), states.path("s"))
    states.remove(states.path("r"))
    assert states.read("s") is not None


def test_a_state_whose_keeper_has_ended_is_none(place):
    child = subprocess.Popen(["sleep", "60"])
    try:
        states.write(state(child.pid), states.path("r"))
        assert states.read("r") is not None
    finally:
        child.kill()
    # Killed but not yet waited for: a zombie has ended, too.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert states.read("r") is None
    child.wait()
    assert states.read("r") is None


def test_a_process_id_that_is_used_again_is_another_process():
    process = states.process(os.getpid())
    assert states.runs(process)
    assert not states.runs(dict(process, started=process["started"] + 1))


def test_a_file_that_no_rehearsal_wrote_is_named(place):
    place.mkdir(mode=0o700)
    (place / "r.json").write_text("{")
    with pytest.raises(OSError) as problem:
        states.read("r")
    assert str(place / "r.json") in str(problem.value)


@pytest.mark.parametrize("kind", ["link", "readable", "file"])
def test_a_directory_that_others_could_use_is_refused(place, tmp_path, kind):
    if kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    elif kind == "readable":
        place.mkdir()
        place.chmod(0o755)
    else:
        place.write_text("")
    with pytest.raises(OSError) as problem:
        states.write(state(), states.path("r"))
    assert "only you may use" in str(problem.value)
    with pytest.raises(OSError), states.locked():
        pass


def test_one_module_waits_for_the_other(place):
    script = (
        f"import sys, time; sys.path[:0] = {sys.path!r}\n"
        "from ansible_collections.determined.network.plugins.module_utils._namespaces import state as states\n"
        f"states.directory = lambda: {str(place)!r}\n"
        "with states.locked(): print('mine', flush=True); time.sleep(float(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script]
    with states.locked():
        other = subprocess.Popen(command + ["0"], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=0.5)
    assert other.communicate(timeout=10)[0] == b"mine\n"
    assert not place.exists()
