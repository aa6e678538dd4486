# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of firewalld and of nft that have names of ours and belong to somebody else."""

from typing import List

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import nft_table
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.files import files
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.read import Found
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.state import State
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.ownership import Foreign


def all_objects(found: Found) -> List[Foreign]:
    """Every foreign object with a name of ours. A zone is none: only a policy object of ours needs its name."""
    objects = [_object(kind, name) for kind, name in found.foreign if kind != "zone"]
    return objects + [_file(path) for path in found.foreign_files] + [_table()] * found.foreign_table


def in_the_way_of(desired: State, found: Found) -> List[Foreign]:
    """The foreign objects whose names the desired State needs."""
    needed = {("policy", name) for name in desired.policies} | {("ipset", name) for name in desired.sets}
    needed |= {("zone", name) for name in desired.policies}
    objects = [_object(kind, name) for kind, name in found.foreign if (kind, name) in needed]
    # A file is written beside its place first.
    paths = [path + ending for path in files(desired) for ending in ("", ".new")]
    objects += [_file(path) for path in found.foreign_files if path in paths]
    return objects + ([_table()] if found.foreign_table and desired.table is not None else [])


def _object(kind: str, name: str) -> Foreign:
    look = "firewall-cmd --info-%s=%s" % (kind, name)
    remedy = "make one like it with another name, then delete this one: firewall-cmd --permanent --delete-%s=%s" % (
        kind,
        name,
    )
    if kind == "zone":
        remedy += " (a zone and a policy object cannot have the same name)"
    return Foreign("the %s %s of firewalld" % (kind, name), look, remedy + "; firewall-cmd --reload")


def _file(path: str) -> Foreign:
    return Foreign("the file %s" % path, "cat %s" % path, "move it away: mv %s /root" % path)


def _table() -> Foreign:
    name = "%s %s" % (nft_table.FAMILY, nft_table.NAME)
    return Foreign(
        "the nft table %s" % name,
        "nft list table %s" % name,
        "save it (nft list table %s >/root/table.nft), load it under another name, then delete it: nft delete table %s"
        % (name, name),
    )
