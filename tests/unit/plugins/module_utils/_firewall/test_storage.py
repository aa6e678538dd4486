"""The stored files on a disk of their own: written beside, put in place, given up."""

import errno
import os
import stat

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import boot_units, storage, stored
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import base
from ansible_collections.determined.network.plugins.module_utils._host import commands

BOOT = base.Boot("true", "true", "true")
TOKEN = "c" * 32


class NoTools:
    """A runner on a host without systemctl."""

    def find(self, _name):
        return None


def steps_to(boot, token=TOKEN, alive=()):
    wanted = stored.desired_entries(boot)
    return stored.steps(storage.read(wanted), wanted, storage.orphaned((), alive), token)


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_stage_then_promote(etc):
    steps = steps_to(BOOT)
    storage.stage(steps)
    assert not os.path.lexists(boot_units.FILE) and not any(map(os.path.lexists, stored.UNITS + stored.LINKS))
    assert len([name for name in everything(etc) if TOKEN in name]) == 5
    storage.promote(steps, NoTools())
    assert not [name for name in everything(etc) if TOKEN in name]
    assert steps_to(BOOT) == []
    assert stat.S_IMODE(os.stat(boot_units.FILE).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(stored.FOLDER).st_mode) == 0o700
    assert [os.readlink(link) for link in stored.LINKS] == list(stored.UNITS)


def test_what_is_not_kept_leaves_nothing(etc):
    before = everything(etc)
    steps = steps_to(BOOT)
    storage.stage(steps)
    storage.discard(steps)
    assert everything(etc) == before
    storage.discard(steps)


def test_removal_takes_the_folders_along(etc):
    before = everything(etc)
    steps = steps_to(BOOT)
    storage.stage(steps)
    storage.promote(steps, NoTools())
    removal = steps_to(None)
    storage.stage(removal)
    storage.promote(removal, NoTools())
    assert everything(etc) == before and steps_to(None) == []


def test_what_others_keep_stays(etc):
    for boot in (BOOT, None):
        steps = steps_to(boot)
        storage.stage(steps)
        storage.promote(steps, NoTools())
        if boot:
            (etc / "determined-network/note").write_text("theirs")
            (etc / "systemd/sysinit.target.wants/other.service").symlink_to("/nowhere")
            assert steps_to(BOOT) == []
    assert everything(etc) == [
        "determined-network",
        "determined-network/note",
        "systemd",
        "systemd/sysinit.target.wants",
        "systemd/sysinit.target.wants/other.service",
    ]
    assert steps_to(None) == []


def test_orphaned_files_are_those_of_changes_that_no_longer_exist(etc):
    steps = steps_to(BOOT)
    storage.stage(steps)
    assert storage.orphaned((), {TOKEN}) == []
    orphaned = storage.orphaned((), set())
    assert orphaned == sorted(step.staged for step in steps if step.entry.kind != "folder")
    again = steps_to(BOOT, "d" * 32)
    assert [step.path for step in again if step.action == "remove"] == orphaned
    storage.stage(again)
    storage.promote(again, NoTools())
    assert steps_to(BOOT) == []


def test_folders_of_a_backend_are_looked_into(etc):
    (etc / "more").mkdir()
    staged = etc / "more" / (".determined_agents_v4.xml." + TOKEN)
    staged.write_text("")
    assert storage.orphaned((str(etc / "more"), str(etc / "missing")), set()) == [str(staged)]


@pytest.mark.parametrize(
    "code, remedy",
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "remount,rw"), (errno.EIO, "Make it possible to write there")],
)
def test_what_cannot_be_written_is_refused_whole(etc, monkeypatch, code, remedy):
    before = everything(etc)
    calls = []

    def fail(_fd):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(commands.HostError) as caught:
        storage.stage(steps_to(BOOT))
    for word in (stored.UNITS[0], os.strerror(code), remedy, "persist: false", "Nothing was changed"):
        assert word in str(caught.value)
    assert everything(etc) == before


def test_what_cannot_be_written_is_seen_without_writing(etc, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(etc / "systemd") not in path)
    with pytest.raises(commands.HostError) as caught:
        storage.refuse(steps_to(BOOT))
    assert str(etc / "systemd") in str(caught.value) and "Read-only" in str(caught.value)
    storage.refuse([])


def test_to_store_nothing_is_no_remedy_where_the_backend_writes_all_the_same(etc, monkeypatch):
    boot = BOOT._replace(files=((str(etc / "more" / "determined.xml"), "<policy/>"),))
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(commands.HostError) as caught:
        storage.refuse(steps_to(boot))
    text = str(caught.value)
    assert "cannot be stored" in text and "remount,rw" in text and "persist" not in text


def test_what_cannot_be_removed_is_not_said_to_be_stored(etc, monkeypatch):
    steps = steps_to(BOOT)
    storage.stage(steps)
    storage.promote(steps, NoTools())
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(commands.HostError) as caught:
        storage.refuse(steps_to(None))
    assert "cannot be removed" in str(caught.value) and "persist" not in str(caught.value)


def test_what_is_no_text_is_still_shown(etc):
    steps = steps_to(BOOT)
    storage.stage(steps)
    storage.promote(steps, NoTools())
    with open(boot_units.FILE, "ab") as handle:
        handle.write(b"\xff\n")
    shown = stored.describe(storage.read([boot_units.FILE]))
    assert "\\xff" in shown and shown.encode("utf-8")
    assert [step.path for step in steps_to(BOOT)] == [boot_units.FILE]


@pytest.mark.parametrize("place", ["file", "folder", "unit"])
def test_what_is_not_ours_is_not_replaced(etc, place):
    if place == "folder":
        (etc / "determined-network").write_text("")
    else:
        os.makedirs(boot_units.FILE if place == "file" else stored.UNITS[0])
    before = everything(etc)
    with pytest.raises(commands.HostError) as caught:
        storage.stage(steps_to(BOOT))
    assert "Examine it" in str(caught.value) and "Nothing was changed" in str(caught.value)
    assert everything(etc) == before


def test_a_link_is_replaced_and_not_followed(etc):
    os.mkdir(stored.FOLDER, 0o700)
    (etc / "elsewhere").write_text("theirs")
    os.symlink(str(etc / "elsewhere"), boot_units.FILE)
    steps = steps_to(BOOT)
    storage.stage(steps)
    storage.promote(steps, NoTools())
    assert (etc / "elsewhere").read_text() == "theirs" and not os.path.islink(boot_units.FILE)


def test_a_step_that_fails_names_its_path(etc):
    steps = steps_to(BOOT)
    storage.stage(steps)
    os.unlink(steps[1].staged)
    with pytest.raises(commands.HostError) as caught:
        storage.promote(steps, NoTools())
    assert boot_units.FILE in str(caught.value)
    storage.discard(steps)
    assert not [name for name in everything(etc) if TOKEN in name]
