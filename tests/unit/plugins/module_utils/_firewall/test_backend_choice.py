"""Which backend, why, and who else would undo it."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import backend_choice
from ansible_collections.determined.network.plugins.module_utils._host import commands

SYSTEMD = "/run/systemd/system"
NO_UNIT = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
NFT = "{ path=/usr/sbin/nft ; argv[]=/usr/sbin/nft -f /etc/nftables.conf ; ignore_errors=no ; start_time=[n/a] }"
FLUSHES = "#!/usr/sbin/nft -f\n\nflush ruleset\n\ntable inet filter {\n}\n"


def unit(load="loaded", active="inactive", enabled="disabled", start=""):
    return {"LoadState": load, "ActiveState": active, "UnitFileState": enabled, "ExecStart": start}


def ask(asked, installed=True, systemd=True, files=None, state=(252, "not running\n"), show=0, **units):
    """Answer the questions as a host with these units and files would -> Choice."""
    conversation = backend_choice.choose(asked)
    answer = None
    try:
        while True:
            question = conversation.send(answer)
            if isinstance(question, commands.FindTool):
                answer = question.name if question.name == "systemctl" or installed else None
            elif isinstance(question, commands.ListDirectory):
                assert question.path == SYSTEMD
                answer = () if systemd else None
            elif isinstance(question, commands.ReadFile):
                answer = (files or {}).get(question.path)
            elif question.argv[0] == "firewall-cmd":
                answer = commands.Output(state[0], state[1], "")
            else:
                names = [name.split(".")[0] for name in question.argv if name.endswith(".service")]
                blocks = []
                for name in names:
                    found = dict(units.get(name.replace("-", "_"), NO_UNIT), Id=f"{name}.service")
                    blocks.append("".join("{}={}\n".format(*pair) for pair in sorted(found.items())))
                answer = commands.Output(show, "\n".join(blocks), "no bus")
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize(
    "host, name, reason",
    [
        ({"installed": False}, "iptables", "firewalld is not installed"),
        ({"installed": False, "systemd": False}, "iptables", "firewalld is not installed"),
        ({"firewalld": unit(active="active", enabled="enabled")}, "firewalld", "firewalld runs"),
        ({"firewalld": unit(active="reloading")}, "firewalld", "firewalld runs"),
        ({"firewalld": unit("masked", enabled="masked")}, "iptables", "firewalld is installed, but masked"),
        ({"firewalld": unit()}, "iptables", "firewalld is installed, but does not run (inactive, not enabled)"),
        (
            {"firewalld": unit(active="failed", enabled="enabled")},
            "iptables",
            "firewalld is installed, but does not run (failed, starts at boot)",
        ),
        ({"systemd": False}, "iptables", "firewalld is installed, but does not run"),
        ({"systemd": False, "state": (0, "running\n")}, "firewalld", "firewalld runs"),
    ],
)
def test_auto(host, name, reason):
    choice = ask("auto", **host)
    assert (choice.name, choice.reason) == (name, reason)


@pytest.mark.parametrize("asked", ["iptables", "firewalld"])
@pytest.mark.parametrize("active", ["active", "inactive"])
def test_what_is_asked_for_is_taken(asked, active):
    choice = ask(asked, firewalld=unit(active=active))
    assert (choice.name, choice.reason) == (asked, f"{asked} was asked for")
    assert bool(choice.warnings) is (asked == "iptables" and active == "active")


@pytest.mark.parametrize(
    "host, words",
    [
        ({"firewalld": unit(enabled="enabled")}, ["firewalld does not run now", "systemctl start firewalld"]),
        (
            {"ufw": unit(active="active"), "files": {"/etc/ufw/ufw.conf": "# x\nENABLED=yes\n"}},
            ["ufw is", "ufw disable"],
        ),
        ({"netfilter_persistent": unit(enabled="enabled")}, ["systemctl disable netfilter-persistent"]),
        (
            {"nftables": unit(enabled="enabled", start=NFT), "files": {"/etc/nftables.conf": FLUSHES}},
            ["nftables.service", "flush ruleset", "systemctl disable nftables"],
        ),
        (
            {
                "nftables": unit(enabled="enabled", start=NFT.replace("/etc/nft", "/etc/sysconfig/nft")),
                "files": {"/etc/sysconfig/nftables.conf": FLUSHES},
            },
            ["/etc/sysconfig/nftables.conf"],
        ),
    ],
)
def test_rivals_are_named_with_their_remedy(host, words):
    warnings = ask("auto", **host).warnings
    assert len(warnings) == 1 and all(word in warnings[0] for word in words)


@pytest.mark.parametrize(
    "host",
    [
        {},
        {"installed": False, "systemd": False, "files": {"/etc/ufw/ufw.conf": "ENABLED=yes"}},
        {"firewalld": unit("masked", enabled="masked")},
        {"ufw": unit(active="active"), "files": {"/etc/ufw/ufw.conf": "ENABLED=no\n"}},
        {"ufw": unit(active="active")},
        {"netfilter_persistent": unit(enabled="disabled")},
        {"nftables": unit(enabled="disabled", start=NFT), "files": {"/etc/nftables.conf": FLUSHES}},
        {"nftables": unit(enabled="enabled", start=NFT), "files": {"/etc/nftables.conf": "# flush ruleset\n"}},
    ],
)
def test_nobody_else_is_named(host):
    assert ask("auto", **host).warnings == ()


def test_a_systemd_that_does_not_answer_is_an_error():
    with pytest.raises(commands.HostError) as caught:
        ask("auto", show=1)
    assert "no bus" in str(caught.value)
