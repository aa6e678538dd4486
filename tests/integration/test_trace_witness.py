"""The life of the process that watches a host for the module ``trace``: it ends in every case, and nothing remains."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from ._firewall_host import COLLECTIONS, Host
from ._tracing import FOLDER, processes, remaining, tables

TAG = 0x4D2

# Starts and ends runs of four tokens at the same time; the last remover of each moment removes the folder.
MANY_RUNS = """
import os
from ansible_collections.determined.network.plugins.module_utils._wire import marks, witness
def repeat(token):
    for _unused in range(15):
        assert witness.start(token, marks.Mark(1), 30.0, {}) == ""
        assert witness.stop(token) is not None
children = []
for token in ("a", "b", "c", "d"):
    child = os.fork()
    if child == 0:
        try:
            repeat(token)
            os._exit(0)
        finally:
            os._exit(1)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""


@pytest.fixture(scope="module")
def only_host():
    with Host() as made:
        yield made


@pytest.fixture
def host(only_host):
    """A host on which nothing of another test remains."""
    assert remaining(only_host) == ([], [], [])
    yield only_host
    for token in [name.rsplit("_", 1)[-1] for name in tables(only_host)]:
        only_host.module("trace", state="ended", token=token)
    assert remaining(only_host) == ([], [], [])


def start(host: Host, token: str = "one") -> tuple[int, int]:
    """Begin to watch -> the ids of the witness and of its remover."""
    before = processes(host)
    answer = host.module("trace", state="started", token=token, tag=TAG)
    assert answer["problem"] == "", answer
    witness, remover = (pid for pid in processes(host) if pid not in before)
    return witness, remover


def test_the_witness_ends_by_its_lifetime(host):
    # Its processes are not looked for here: a busy machine may do that only after their end.
    assert host.module("trace", state="started", token="one", tag=TAG, lifetime=1)["problem"] == ""
    host.wait_until(lambda: remaining(host) == ([], [], []))
    assert host.module("trace", state="ended", token="one")["watched"] is False


def test_the_remover_removes_what_a_killed_witness_leaves(host):
    witness, _remover = start(host)
    assert tables(host) == ["determined_trace_one"]
    os.kill(witness, signal.SIGKILL)
    host.wait_until(lambda: remaining(host) == ([], [], []))
    assert host.module("trace", state="ended", token="one")["watched"] is False


def test_the_next_start_removes_what_both_leave(host):
    witness, remover = start(host, "old-one")
    for pid in (remover, witness):  # in this order, because the remover acts as soon as the witness has ended
        os.kill(pid, signal.SIGKILL)
    host.wait_until(lambda: not processes(host))
    assert tables(host) == ["determined_trace_old-one"]  # nobody is there who would remove it
    start(host, "new")
    assert tables(host) == ["determined_trace_new"]
    assert host.module("trace", state="ended", token="new")["watched"] is True
    assert remaining(host) == ([], [], [])


def test_a_second_start_with_the_same_token_replaces_the_first(host):
    first = start(host)
    second = start(host)
    assert not set(first) & set(second)
    assert sorted(processes(host)) == sorted(second)
    assert tables(host) == ["determined_trace_one"]
    assert host.module("trace", state="ended", token="one")["watched"] is True


def test_two_runs_at_once(host):
    start(host, "one")
    other = start(host, "two")
    assert host.module("trace", state="ended", token="one")["watched"] is True
    assert (tables(host), processes(host)) == (["determined_trace_two"], list(other))
    assert host.module("trace", state="ended", token="two")["watched"] is True


def test_many_runs_that_begin_and_end_at_once(host):
    said = host.run("env", f"PYTHONPATH={COLLECTIONS}", sys.executable, "-c", MANY_RUNS)
    assert said.strip() == "[0, 0, 0, 0]"
    assert remaining(host) == ([], [], [])


def test_check_mode_does_nothing(host):
    packets = [{"number": 0, "protocol": "tcp", "address": "127.0.0.1", "port": 80}]
    checking = {"token": "one", "_ansible_check_mode": True}
    assert host.module("trace", state="started", tag=TAG, **checking)["msg"] == "check mode: nothing is watched"
    assert remaining(host) == ([], [], [])
    sent = host.module("trace", state="sent", tag=TAG, packets=packets, **checking)
    assert sent["msg"] == "check mode: nothing was sent" and "sent" not in sent
    start(host)
    assert "watched" not in host.module("trace", state="ended", **checking)
    assert tables(host) == ["determined_trace_one"]


@pytest.mark.parametrize(
    "before",
    [("setpriv", "--bounding-set=-net_raw"), ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")],
    ids=["no capability", "nobody"],
)
def test_who_may_not_capture_is_told_so(host, before):
    packets = [{"number": 0, "protocol": "tcp", "address": "127.0.0.1", "port": 80}]
    for options in ({"state": "started"}, {"state": "sent", "packets": packets}):
        answer = host.module("trace", before=before, token="one", tag=TAG, **options)
        assert answer["failed"] and "CAP_NET_RAW is missing. Run the task as root" in answer["msg"]
    assert remaining(host) == ([], [], [])


def test_who_may_only_capture_is_told_why_no_rules_are_traced(host):
    before = ("setpriv", "--bounding-set=-net_admin")
    answer = host.module("trace", before=before, state="started", token="one", tag=TAG)
    assert "CAP_NET_ADMIN is missing" in answer["problem"]
    packets = [{"number": 7, "protocol": "icmp", "address": "127.0.0.1"}]
    assert host.module("trace", before=before, state="sent", token="one", tag=TAG, packets=packets)["sent"][0]["source"]
    ended = host.module("trace", before=before, state="ended", token="one")
    assert {seen["part"] for seen in ended["sightings"]} == {"echo", "echo_reply"}
    assert ended["events"] == []


def test_a_folder_of_somebody_else_is_refused(host):
    host.shell(f"mkdir -m 0777 {FOLDER}")
    answer = host.module("trace", state="started", token="one", tag=TAG)
    host.shell(f"rmdir {FOLDER}")
    assert answer["failed"] and FOLDER in answer["msg"] and "remove it" in answer["msg"]
