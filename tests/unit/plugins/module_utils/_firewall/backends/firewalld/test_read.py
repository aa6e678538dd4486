"""Reading a host with firewalld."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._host import commands


@pytest.mark.parametrize("version, lost", [("1.3.3", True), ("2.3.1", False)])
def test_foreign_rules_of_iptables_are_lost_before_2_0(fake_firewalld, version, lost):
    host = fake_firewalld(version)
    host.iptables = "*filter\n-A INPUT -j f2b-sshd\nCOMMIT\n"
    assert bool(host.read().details.lost) is lost


@pytest.mark.parametrize("call", ["getZoneSettings2", "getPolicies", "NameHasOwner", "getAllRules", "list tables"])
def test_a_failed_read_is_never_an_empty_firewall(host, call):
    host.fails = call
    with pytest.raises(commands.HostError) as caught:
        host.read()
    assert "COMMAND_FAILED" in str(caught.value)
