# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role, the module and its documentation say the same of what they share."""

from pathlib import Path

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils._proxy import targets as proxy_targets
from ansible_collections.determined.network.plugins.modules import proxy

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/proxy"
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
MODULE = yaml.safe_load(proxy.DOCUMENTATION)["options"]


def test_targets():
    targets = [proxy_targets.ALL, *proxy_targets.TARGETS]
    assert OPTIONS["determined_proxy_targets"]["choices"] == MODULE["targets"]["choices"] == targets
    guide = (ROOT / "docs/proxy.md").read_text()
    assert [name for name in proxy_targets.TARGETS if f"`{name}`" not in guide] == []


@pytest.mark.parametrize("name", sorted({name[len("determined_proxy_") :] for name in OPTIONS} & set(MODULE)))
def test_options_that_are_handed_on(name):
    for key in ("choices", "type"):
        if name != "no_proxy":  # the role's takes the place of what the module is given
            assert OPTIONS[f"determined_proxy_{name}"].get(key) == MODULE[name].get(key)


def test_what_is_no_secret_is_shown():
    def params(**given):
        return {**dict.fromkeys(("http", "https", "ftp", "username", "password")), **given}

    bare, full = "http://proxy.example.com:3128", "http://me:secret@proxy.example.com:3128"
    assert proxy.public(params()) == set()
    assert proxy.public(params(http=bare, https=full, username="al", password="secret")) == {bare, "al"}
    assert proxy.public(params(http=bare, username="same", password="same")) == {bare}
