"""One change at a time, and a switch that nobody has to remember."""

import json
import os
import pathlib
import signal
import time

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import apply as firewall_apply
from ansible_collections.determined.network.plugins.module_utils._firewall import boot_units, lock, switch
from ansible_collections.determined.network.plugins.module_utils._firewall import stored as firewall_stored
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import base
from ansible_collections.determined.network.plugins.module_utils._host import commands, runner

TOKEN = "a" * 16


def wait_until(condition, seconds=8.0):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


class FileBackend(base.Backend):
    """A firewall that is a file; "bad" cannot be written. ``others``: a file that only a way back may empty."""

    name = "file"

    def __init__(self, path):
        self.path = str(path)
        self.others = self.path + "-others"

    def read(self):
        text = yield commands.ReadFile(self.path)
        others = yield commands.ReadFile(self.others)
        return base.Reading(text or "", "", "", (), (), (), others or "")

    def force(self, reading):
        return reading._replace(details=(reading.details,))

    def render(self, policy, reading):
        return policy or ""

    def transactions(self, reading, desired):
        if reading.state == desired:
            return []
        lost = tuple(filter(None, reading.details)) if isinstance(reading.details, tuple) else ()
        if reading.details and not isinstance(reading.details, tuple):
            raise commands.HostError("others would lose by it")
        script = f"cat > {self.path}; : > {self.others}; ! grep -q bad {self.path}"
        return [
            commands.Command(("sh", "-c", "true"), purpose="begin"),
            commands.Command(("sh", "-c", script), desired, "write", loses=lost),
        ]

    def describe(self, state):
        return state

    def explain(self, command, output):
        return f"Could not {command.purpose}"

    def inspect(self):
        raise NotImplementedError("not part of these tests")

    def dump(self, state):
        return state

    def load(self, data):
        return data

    def stored(self, policy, desired, reading):
        return policy and base.Boot(f"echo {desired}", "true", "true")


class Host:
    def __init__(self, folder):
        self.directory = str(folder / "run")
        self.file = folder / "firewall"
        self.file.write_text("old")
        self.backend = FileBackend(self.file)

    def apply(self, wanted, confirm_timeout=30.0, token=TOKEN, check_mode=False, lock_timeout=0.2, persist=None):
        settings = firewall_apply.Settings(confirm_timeout, lock_timeout, token, self.directory, persist)
        return firewall_apply.apply(self.backend, wanted, settings, runner.Runner(), check_mode)

    def left(self):
        return sorted(os.listdir(self.directory)) if os.path.isdir(self.directory) else []


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    yield made
    for change in switch.changes(made.directory):
        if change.watched:
            os.kill(change.record["pid"], signal.SIGKILL)


def test_a_change_is_armed_until_it_is_confirmed(host):
    outcome = host.apply("new")
    assert outcome.changed and outcome.armed and 29 < outcome.seconds_left <= 30
    assert (outcome.plan.before, outcome.plan.after) == ("old", "new")
    assert host.left() == ["armed-" + TOKEN]
    (change,) = switch.changes(host.directory)
    assert change.watched and change.record["old"] == "old"
    assert firewall_apply.confirm(TOKEN, host.directory) == "kept"
    assert host.left() == [] and not os.path.exists(host.directory)
    wait_until(lambda: not os.path.exists(f"/proc/{change.record['pid']}"))
    assert host.file.read_text() == "new"
    assert firewall_apply.confirm(TOKEN, host.directory) == "expired"


def test_unchanged_and_check_mode_touch_nothing(host):
    assert not host.apply("old").changed
    assert host.apply("new", check_mode=True).changed
    assert not os.path.exists(host.directory) and host.file.read_text() == "old"


def test_without_confirmation_the_old_state_comes_back(host):
    host.apply("new", confirm_timeout=1.5)
    assert host.file.read_text() == "new"
    wait_until(lambda: host.left() == ["restored-" + TOKEN])
    assert host.file.read_text() == "old"
    assert firewall_apply.confirm(TOKEN, host.directory) == "expired"
    assert "old state is back" in firewall_apply.settle(TOKEN, host.directory)["message"]
    assert firewall_apply.settle(TOKEN, host.directory)["state"] == "unknown"
    assert not os.path.exists(host.directory)


def test_what_others_have_set_up_meanwhile_does_not_keep_the_old_state_away(host, tmp_path):
    host.apply("new", confirm_timeout=1.5)
    (tmp_path / "firewall-others").write_text("a ban")
    wait_until(lambda: host.left() == ["restored-" + TOKEN])
    assert host.file.read_text() == "old"
    described = switch.describe(host.directory, TOKEN)
    assert described["lost"] == ["a ban"] and described["message"].endswith("the old state is back")
    assert "others have lost by that: a ban" in host.apply("old").warnings[0]
    assert host.left() == [] and host.apply("old").warnings == ()


def test_what_others_lost_is_told_where_the_next_run_puts_back(host, tmp_path):
    host.apply("new")
    (change,) = switch.changes(host.directory)
    os.kill(change.record["pid"], signal.SIGKILL)
    wait_until(lambda: not switch.changes(host.directory)[0].watched)
    (tmp_path / "firewall-others").write_text("a ban")
    assert "restored first; others have lost by that: a ban" in host.apply("old").warnings[0]


def test_what_others_lost_is_told_where_a_failed_change_is_undone(host, tmp_path, monkeypatch):
    restore = firewall_apply.restore
    others = tmp_path / "firewall-others"
    monkeypatch.setattr(firewall_apply, "restore", lambda *args: others.write_text("a ban") and restore(*args))
    with pytest.raises(commands.HostError) as caught:
        host.apply("bad")
    assert str(caught.value).endswith("as it was before; others have lost by that: a ban")


def test_a_failed_change_is_undone_at_once_and_disarmed(host):
    with pytest.raises(commands.HostError) as caught:
        host.apply("bad")
    assert "Could not write" in str(caught.value) and "as it was before" in str(caught.value)
    assert host.file.read_text() == "old" and host.left() == []


def test_a_change_that_takes_too_long_is_undone(host):
    with pytest.raises(commands.HostError) as caught:
        host.apply("new", confirm_timeout=-1.0)
    assert "longer than confirm_timeout" in str(caught.value)
    wait_until(lambda: not any(name.startswith(("armed", "restoring")) for name in host.left()))
    assert host.file.read_text() == "old"


def test_an_open_change_blocks_the_next_and_check_mode_warns(host):
    host.apply("new")
    for wanted in ("newer", "new", ""):
        with pytest.raises(commands.HostError) as caught:
            host.apply(wanted, token="b" * 16)
        assert "awaits its confirmation" in str(caught.value)
    assert "awaits its confirmation" in host.apply("newer", check_mode=True).warnings[0]
    assert "awaits its confirmation for" in switch.describe(host.directory, TOKEN)["message"]
    assert firewall_apply.settle(TOKEN, host.directory)["state"] == "armed"
    assert firewall_apply.confirm(TOKEN, host.directory) == "kept"
    assert host.apply("newer", token="b" * 16).changed


def test_a_killed_switch_is_replaced(host):
    host.apply("new")
    (change,) = switch.changes(host.directory)
    os.kill(change.record["pid"], signal.SIGKILL)
    wait_until(lambda: not switch.changes(host.directory)[0].watched)
    outcome = host.apply("newer", token="b" * 16)
    assert outcome.plan.before == "old" and "switch was killed" in outcome.warnings[0]
    assert host.left() == ["armed-" + "b" * 16]


def test_a_killed_switch_in_the_middle_of_its_restore_is_replaced(host):
    os.mkdir(host.directory, 0o700)
    with open(switch.path_of(host.directory, switch.RESTORING, TOKEN), "w") as handle:
        json.dump({"old": "older", "deadline": 0.0}, handle)
    with open(os.path.join(host.directory, ".half-written"), "w"):
        pass
    outcome = host.apply("old")
    assert outcome.plan.before == "older" and host.left() == ["armed-" + TOKEN]


def test_what_could_not_be_restored_is_told(host):
    os.mkdir(host.directory, 0o700)
    with open(switch.path_of(host.directory, switch.FAILED, TOKEN), "w") as handle:
        json.dump({"old": "older", "problem": "the disk burns"}, handle)
    assert "the disk burns" in switch.describe(host.directory, TOKEN)["message"]
    assert "the disk burns" in host.apply("old").warnings[0]
    assert host.left() == []


def test_restoring_is_tried_until_it_works(host, tmp_path):
    host.apply("new", confirm_timeout=1.5)
    host.backend.path = str(tmp_path)  # this process only; make the switch's write fail instead:
    os.unlink(str(host.file))
    os.mkdir(str(host.file))
    wait_until(lambda: host.left() and host.left()[0].startswith("restoring"))
    time.sleep(0.3)
    os.rmdir(str(host.file))
    wait_until(lambda: host.left() == ["restored-" + TOKEN])
    assert host.file.read_text() == "old"


def test_the_switch_lets_go_of_everything_it_inherited(host):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    host.apply("new")
    os.close(writer)
    assert os.read(reader, 1) == b"", "a reader of the module's output would wait for the switch"
    (change,) = switch.changes(host.directory)
    assert os.getsid(change.record["pid"]) not in (os.getsid(0), os.getpid())
    assert os.readlink(f"/proc/{change.record['pid']}/cwd") == "/"


def test_a_switch_that_does_not_come_up_stops_the_change(host):
    with pytest.raises(commands.HostError) as caught:
        switch.arm(host.directory, TOKEN, {"deadline": 0.0}, None)  # the folder is missing
    assert "could not be armed" in str(caught.value)


def test_damaged_file_is_named(host):
    os.mkdir(host.directory, 0o700)
    path = switch.path_of(host.directory, switch.ARMED, TOKEN)
    with open(path, "w") as handle:
        handle.write("{")
    with pytest.raises(commands.HostError) as caught:
        host.apply("new")
    assert path in str(caught.value)
    os.unlink(path)


def test_one_holder_at_a_time(host):
    with lock.Lock(host.directory, 1.0):
        with pytest.raises(commands.HostError) as caught:
            host.apply("new", lock_timeout=0.1)
        assert "Another run" in str(caught.value)
    assert not os.path.exists(host.directory)


def test_a_lock_file_that_a_killed_run_left_is_no_obstacle(host):
    os.mkdir(host.directory, 0o700)
    with open(os.path.join(host.directory, "lock"), "w"):
        pass
    assert not host.apply("old").changed
    assert not os.path.exists(host.directory)


@pytest.mark.parametrize("kind", ["link", "open"])
def test_a_folder_that_others_may_write_is_not_trusted(host, tmp_path, kind):
    if kind == "link":
        os.symlink(str(tmp_path), host.directory)
    else:
        os.mkdir(host.directory)
        os.chmod(host.directory, 0o777)
    with pytest.raises(commands.HostError) as caught:
        host.apply("new")
    assert host.directory in str(caught.value) and host.file.read_text() == "old"


# --- what is stored for the next boot ---------------------------------------------------------------


def stored_text():
    if not os.path.lexists(boot_units.FILE):
        return None
    with open(boot_units.FILE) as handle:
        return "new" if "echo new\n" in handle.read() else "other"


def staged(etc):
    # Unlike a glob, this bears that folders vanish meanwhile.
    names = [name for _unused, _unused, files in os.walk(str(etc)) for name in files]
    return [name for name in names if firewall_stored.staged_token(name)]


def test_stored_is_what_was_confirmed(host, etc):
    outcome = host.apply("new", persist=True)
    assert outcome.armed and boot_units.FILE in outcome.plan.after
    assert stored_text() is None and len(staged(etc)) == 5
    assert firewall_apply.confirm(TOKEN, host.directory) == "kept"
    assert stored_text() == "new" and staged(etc) == [] and host.left() == []
    assert not host.apply("new", persist=True).changed


def test_a_rename_is_a_confirmation_too(host, etc):
    host.apply("new", persist=True)
    os.rename(*(switch.path_of(host.directory, state, TOKEN) for state in (switch.ARMED, switch.CONFIRMED)))
    wait_until(lambda: host.left() == [])
    assert stored_text() == "new"


def test_removing_the_file_keeps_the_rules_and_stores_nothing(host, etc):
    host.apply("new", persist=True)
    os.unlink(switch.path_of(host.directory, switch.ARMED, TOKEN))
    wait_until(lambda: staged(etc) == [])
    assert host.file.read_text() == "new" and stored_text() is None


def test_stored_is_not_what_expired(host, etc):
    host.apply("new", confirm_timeout=1.5, persist=True)
    wait_until(lambda: host.left() == ["restored-" + TOKEN])
    assert stored_text() is None and staged(etc) == []
    assert not os.path.lexists(firewall_stored.FOLDER)


def test_stored_is_not_what_failed(host, etc):
    with pytest.raises(commands.HostError):
        host.apply("bad", persist=True)
    assert stored_text() is None and staged(etc) == [] and not os.path.lexists(firewall_stored.FOLDER)


def test_stored_files_alone_need_no_confirmation(host, etc):
    outcome = host.apply("old", persist=True)
    assert outcome.changed and not outcome.armed and stored_text() == "other"
    os.unlink(boot_units.FILE)
    assert host.apply("old", persist=True, check_mode=True).changed and stored_text() is None
    assert host.apply("old", persist=True).changed and stored_text() == "other"
    assert not host.apply("old", persist=None).changed
    assert host.apply("old", persist=False).changed and stored_text() is None
    assert not os.path.lexists(firewall_stored.FOLDER)


def test_what_cannot_be_stored_is_refused_before_the_change(host, etc, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for check_mode in (True, False):
        with pytest.raises(commands.HostError) as caught:
            host.apply("new", persist=True, check_mode=check_mode)
        assert "Nothing was changed" in str(caught.value)
    assert host.file.read_text() == "old" and host.left() == []


def test_a_confirmed_change_that_cannot_be_stored_is_told_and_repaired(host, etc):
    host.apply("new", persist=True)
    os.mkdir(boot_units.FILE)  # a file cannot be renamed over a folder
    assert firewall_apply.confirm(TOKEN, host.directory) == "unstored"
    told = firewall_apply.settle(TOKEN, host.directory)
    assert told["state"] == "unstored" and "not stored" in told["message"] and boot_units.FILE in told["message"]
    assert host.file.read_text() == "new" and host.left() == [] and staged(etc) == []
    os.rmdir(boot_units.FILE)
    assert host.apply("new", persist=True).changed and stored_text() == "new"


def test_a_change_that_is_renamed_while_it_is_read_is_not_passed_over(tmp_path, monkeypatch):
    confirmed, unstored = [switch.path_of(str(tmp_path), state, TOKEN) for state in ("confirmed", "unstored")]
    pathlib.Path(confirmed).write_text("{}")
    listing = os.listdir

    def listed_before_the_rename(path):
        names = listing(path)
        if os.path.exists(confirmed):
            os.rename(confirmed, unstored)
        return names

    monkeypatch.setattr(os, "listdir", listed_before_the_rename)
    assert [(change.state, change.token) for change in switch.changes(str(tmp_path))] == [("unstored", TOKEN)]


def test_a_switch_that_was_killed_after_the_confirmation_is_replaced(host, etc):
    host.apply("new", persist=True)
    (change,) = switch.changes(host.directory)
    os.kill(change.record["pid"], signal.SIGKILL)
    wait_until(lambda: not switch.changes(host.directory)[0].watched)
    assert switch.confirm(host.directory, TOKEN)
    assert "not stored" in switch.describe(host.directory, TOKEN)["message"]
    outcome = host.apply("new", persist=True, token="b" * 16)
    assert outcome.changed and not outcome.armed and stored_text() == "new"
    assert staged(etc) == [] and host.left() == []
