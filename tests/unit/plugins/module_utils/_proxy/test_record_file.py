# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored record: who can read it, and what is said when it cannot be used or stored."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError
from ansible_collections.determined.network.plugins.module_utils._proxy import files, record, record_file
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import Problems

RECORD = record.of({}, ["/d"])


def test_only_root_can_read_the_record(tmp_path, monkeypatch):
    path = tmp_path / "lib/proxy.json"
    monkeypatch.setattr(record_file, "PATH", str(path))
    monkeypatch.setattr(files.os, "fchown", lambda *arguments: None)
    assert record_file.read() == record.EMPTY
    record_file.write(RECORD)
    assert record_file.read() == RECORD
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    record_file.write(record.EMPTY)
    assert not path.parent.exists()


@pytest.mark.parametrize("data", [b"\xff", b"{", b'{"version": 9}'])
def test_a_record_that_cannot_be_used_is_named(data, tmp_path, monkeypatch):
    path = tmp_path / "proxy.json"
    path.write_bytes(data)
    monkeypatch.setattr(record_file, "PATH", str(path))
    with pytest.raises(Problems, match="proxy.json holds what the files of this host were"):
        record_file.read()


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "lib").write_text("")
    monkeypatch.setattr(record_file, "PATH", str(tmp_path / "lib/determined-network/proxy.json"))
    with pytest.raises(HostError, match="determined-network cannot be made: File exists"):
        record_file.write(RECORD)
