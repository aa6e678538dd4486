# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record as text: what is refused, and that it stays readable for other releases."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import edits, record
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileState

# As release 0.2.0 has written it.
STORED = """{
 "files": {
  "/etc/dnf/dnf.conf": {
   "edit": [
    "ini",
    "main",
    [
     "proxy",
     "proxy_username",
     "proxy_password"
    ]
   ],
   "original": {
    "data": "W21haW5dCv8=",
    "gid": 7,
    "mode": 420,
    "uid": 5
   },
   "program": "",
   "services": [],
   "target": "dnf",
   "written": [
    "aa",
    "bb"
   ]
  },
  "/etc/systemd/system/docker.service.d/zz-determined-network-proxy.env": {
   "edit": [
    "own",
    "",
    []
   ],
   "original": null,
   "program": "",
   "services": [
    "docker"
   ],
   "target": "docker",
   "written": [
    "cc"
   ]
  }
 },
 "folders": [
  "/etc/systemd/system/docker.service.d"
 ],
 "version": 1
}
"""


def test_what_release_0_2_0_has_written_is_read_and_written_alike():
    found = record.load(STORED)
    assert record.dump(found) == STORED and json.loads(STORED)["version"] == record.VERSION
    assert found.folders == ("/etc/systemd/system/docker.service.d",)
    ini, own = found.files.values()
    keys = ("proxy", "proxy_username", "proxy_password")
    assert ini.original == FileState(b"[main]\n\xff", 0o644, 5, 7)
    assert ini.edit == edits.Edit(edits.INI, "main", keys, None) and ini.written == ("aa", "bb")
    assert own.original is None and own.edit.kind == edits.OWN and own.services == ("docker",)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"version": 2, "files": {}, "folders": []}', '{"version": 1, "files": {"/a": {}}}']
)
def test_a_damaged_record_is_an_error(text):
    with pytest.raises(ValueError):
        record.load(text)


def test_nothing_to_keep():
    assert record.dump(record.EMPTY) == "" and record.load("") == record.EMPTY
