"""The commands that call firewalld."""

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import bus


def test_no_command_starts_firewalld():
    commands = [
        bus.call("/b", "x", "zone", "getZones"),
        bus.has_owner("/b", "org.example"),
        bus.properties("/b", "x", "", ("version",)),
    ]
    assert all(command.argv[1] == "--auto-start=no" for command in commands)
    assert "--auto-start=no" in bus.reload_line("/b")
