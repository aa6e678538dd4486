"""What others made under names of ours stays as it is, and what older versions of ours made is recognised."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ._firewall_host import Host, link, policy, rule
from .systemd_lab import SystemdLab

VERSIONS = Path(__file__).parents[1] / "unit/plugins/module_utils/_firewall/backends/iptables/golden/versions"
PORT, OTHER_PORT = 8000, 8001
PEERS = {"anybody": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]}, "agents": {"ipv4": ["192.0.2.2"], "ipv6": []}}
SSH = rule("tcp", "22", "anybody", "management")
# Somebody's own chain, which an administrator named after the product, and a set that holds their backup servers.
FOREIGN = """
ipset create determined_backup_v4 hash:net family inet maxelem 65536
ipset add determined_backup_v4 192.0.2.0/24
{tool} -N DETERMINED-INPUT
{tool} -A DETERMINED-INPUT -p tcp -m set --match-set determined_backup_v4 src -m tcp --dport {port} -j DROP
{tool} -A INPUT -j DETERMINED-INPUT
"""


@pytest.fixture
def link_of_two():
    with Host() as managed, Host() as other:
        link(managed, ["192.0.2.1/24", "2001:db8::1/64"], other, ["192.0.2.2/24", "2001:db8::2/64"], "eth0")
        for port in (PORT, OTHER_PORT):
            managed.listen("4", "tcp", port)
        yield managed, other


def state(host: Host) -> list[str]:
    """All rules, user chains and sets of a host, without what the kernel chooses, and members in one order."""
    found, sets, place = [], [], ""
    for line in host.rules().splitlines():
        if line.startswith(("#", "*")):
            place = line if line.startswith("#") else f"{place.partition('*')[0]}{line}"
        elif line.startswith(("create ", "add ")):
            sets.append(re.sub(r" (hashsize|bucketsize|initval) \S+", "", line))
        elif line not in ("", "COMMIT") and not (line[0] == ":" and line.endswith(" ACCEPT")):
            found.append(f"{place} {line}")
    return found + sorted(sets)


def wanted(mode: str) -> dict:
    return policy(mode, PEERS, [rule("tcp", str(OTHER_PORT), "agents")], [], [SSH])


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_foreign_chain_is_refused_by_name_and_keeps_its_effect(link_of_two, variant):
    managed, other = link_of_two
    assert other.connect("192.0.2.1", PORT) == "open"
    managed.shell(FOREIGN.format(tool=f"iptables-{variant}", port=PORT))
    assert other.connect("192.0.2.1", PORT) == "filtered"
    before = state(managed)
    for mode in ("permit", "restrict"):
        for check in (True, False):
            refused = managed.module("firewall", policy=wanted(mode), _ansible_check_mode=check)
            assert refused["failed"], refused
            for word in (
                "nothing was changed",
                f"the chain DETERMINED-INPUT in table filter of iptables-{variant}",
                f"iptables-{variant} -w -t filter -E DETERMINED-INPUT NEW-NAME",
            ):
                assert word in refused["msg"]
            assert state(managed) == before
    removed = managed.apply(None)
    assert not removed["changed"]
    assert "the chain DETERMINED-INPUT in table filter" in json.dumps(removed["warnings"])
    assert state(managed) == before
    assert managed.left_in_run() == []

    # The remedy of the message: with another name both go together, and each keeps its effect.
    managed.shell(f"iptables-{variant} -w -t filter -E DETERMINED-INPUT SITE-INPUT")
    renamed = state(managed)
    managed.apply(wanted("restrict"))
    assert other.connect("192.0.2.1", OTHER_PORT) == "open"
    assert other.connect("192.0.2.1", PORT) == "filtered"
    managed.apply(None)
    assert state(managed) == renamed
    assert other.connect("192.0.2.1", PORT) == "filtered"


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_foreign_set_stays_with_its_members_through_a_whole_life(link_of_two, variant):
    managed, other = link_of_two
    foreign = FOREIGN.replace("DETERMINED-INPUT", "SITE-INPUT")
    managed.shell(foreign.format(tool=f"iptables-{variant}", port=PORT))
    before, members = state(managed), managed.run("ipset", "save", "determined_backup_v4")
    for mode in ("permit", "restrict", "permit"):
        managed.apply(wanted(mode))
        assert managed.run("ipset", "save", "determined_backup_v4") == members
        assert other.connect("192.0.2.1", PORT) == "filtered"
    managed.apply(None)
    assert state(managed) == before


def test_a_foreign_set_whose_name_the_policy_needs_is_refused(link_of_two):
    managed, _other = link_of_two
    managed.shell("ipset create determined_agents_v4 hash:net; ipset add determined_agents_v4 203.0.113.0/24")
    before = state(managed)
    refused = managed.module("firewall", policy=wanted("permit"))
    assert refused["failed"]
    assert "the ipset determined_agents_v4" in refused["msg"]
    assert not managed.apply(None)["changed"]
    assert state(managed) == before


def load(managed: Host, version: str, variant: str) -> None:
    """Put on a host what an older version of this collection wrote there."""
    for part in (VERSIONS / f"{version}.txt").read_text().split("\n\n"):
        head, *lines = part.strip().splitlines() or [""]
        if head == "# ipset":
            managed.run("ipset", "restore", stdin="\n".join([*lines, ""]))
    for part in (VERSIONS / f"{version}.txt").read_text().split("\n\n"):
        head, *lines = part.strip().splitlines() or [""]
        if head.startswith("# iptables"):
            tool = "ip6tables" if "IPv6" in head else "iptables"
            rules = [line + " - [0:0]" if line.startswith(":") else line for line in lines]
            rules.sort(key=lambda line: ":-".find(line[0]))  # chains before the rules that jump to them
            text = "\n".join(["*" + head.split()[-1], *rules, "COMMIT", ""])
            managed.run(f"{tool}-{variant}-restore", "--noflush", stdin=text)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("version", ["0.2-agent-restrict", "0.3-agent-restrict", "0.2-wide-permit"])
def test_what_an_older_version_wrote_is_taken_over(link_of_two, version, variant):
    managed, other = link_of_two
    managed.run(f"iptables-{variant}", "-A", "INPUT", "-s", "203.0.113.9", "-j", "DROP")
    managed.run(f"ip6tables-{variant}", "-A", "INPUT", "-s", "2001:db8:9::9", "-j", "DROP")
    empty = state(managed)
    load(managed, version, variant)
    old = state(managed)
    assert "determined.network" not in str(old)

    # Nobody confirms this change, so the old state comes back.
    armed = managed.module("firewall", policy=wanted("restrict"), confirm_timeout=5)
    assert "awaiting_confirmation" in armed, armed
    managed.wait_until(lambda: state(managed) == old, 60)

    result = managed.apply(wanted("restrict"))
    assert result["changed"]
    assert "not made by" not in json.dumps(result)
    assert "determined.network" in str(state(managed))
    assert other.connect("192.0.2.1", OTHER_PORT) == "open"
    assert other.connect("192.0.2.1", PORT) == "filtered"
    assert not managed.apply(wanted("restrict"))["changed"]
    managed.apply(None)
    assert state(managed) == empty


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request):
    hosts = {"agent": "determined_agents", "other": "determined_outsiders"}
    with SystemdLab(hosts, release=request.param) as booted:
        booted.shell("agent", "systemctl enable --quiet --now firewalld")
        booted.shell("agent", f"firewall-cmd --quiet --permanent --add-port={PORT}/tcp; firewall-cmd --quiet --reload")
        booted.serve("agent", PORT)
        yield booted


# Name of the object in a refusal -> what makes it, what removes it, whether it drops what comes to PORT.
ON_FIREWALLD = {
    "the policy determined of firewalld": (
        """firewall-cmd --quiet --permanent --new-policy=determined
        firewall-cmd --quiet --permanent --policy=determined --add-ingress-zone=ANY
        firewall-cmd --quiet --permanent --policy=determined --add-egress-zone=HOST
        firewall-cmd --quiet --permanent --policy=determined --set-priority=-20000
        firewall-cmd --quiet --permanent --policy=determined --add-rich-rule="rule port port=8000 protocol=tcp drop"
        firewall-cmd --quiet --reload""",
        "firewall-cmd --quiet --permanent --delete-policy=determined; firewall-cmd --quiet --reload",
        True,
    ),
    "the ipset determined-agents-v4 of firewalld": (
        """firewall-cmd --quiet --permanent --new-ipset=determined-agents-v4 --type=hash:net
        firewall-cmd --quiet --permanent --ipset=determined-agents-v4 --add-entry=203.0.113.9
        firewall-cmd --quiet --reload""",
        "firewall-cmd --quiet --permanent --delete-ipset=determined-agents-v4; firewall-cmd --quiet --reload",
        False,
    ),
    "the zone determined of firewalld": (
        """firewall-cmd --quiet --permanent --new-zone=determined
        firewall-cmd --quiet --permanent --zone=determined --add-source=203.0.113.9
        firewall-cmd --quiet --reload""",
        "firewall-cmd --quiet --permanent --delete-zone=determined; firewall-cmd --quiet --reload",
        False,
    ),
    "the nft table inet determined": (
        """nft 'table inet determined { chain c { type filter hook input priority 0; tcp dport 8000 drop; }; }'""",
        "nft delete table inet determined",
        True,
    ),
}
EVERYTHING = "firewall-cmd --list-all-zones; firewall-cmd --list-all-policies; nft -s list ruleset; nft list tables"


def everything(lab: SystemdLab) -> str:
    files = lab.shell("agent", "cd /etc/firewalld && find . -type f | sort | xargs sha256sum")
    sets = lab.shell("agent", "for set in $(firewall-cmd --get-ipsets); do firewall-cmd --info-ipset=$set; done")
    return files + sets + re.sub(r"# handle \d+", "", lab.shell("agent", EVERYTHING))


def reaches(lab: SystemdLab) -> bool:
    return lab.connects("other", lab.addresses["agent"][0], PORT, 0.8)


@pytest.mark.parametrize("what", ON_FIREWALLD)
def test_foreign_objects_on_firewalld_are_refused_by_name(lab, what):
    makes, removes, drops = ON_FIREWALLD[what]
    assert reaches(lab)
    lab.shell("agent", makes)
    try:
        assert reaches(lab) is not drops
        before = everything(lab)
        refused = lab.task("agent", "determined.network.firewall", policy=wanted("restrict"))
        assert refused.get("failed"), refused
        assert what in refused["msg"]
        assert "nothing was changed" in refused["msg"]
        assert everything(lab) == before
        assert not lab.task("agent", "determined.network.firewall", state="absent")["changed"]
        assert everything(lab) == before
        assert reaches(lab) is not drops
    finally:
        lab.shell("agent", removes)
    assert reaches(lab)


def test_a_table_without_a_mark_of_an_older_version_is_taken_over(lab):
    assert lab.task("agent", "determined.network.firewall", policy=wanted("restrict"))["changed"]
    assert not reaches(lab)
    # An older version wrote neither the mark nor these chains.
    for chain, text in (("inbound", 'comment "determined.network"'), ("prerouting", "jump routed")):
        listed = lab.shell("agent", f"nft -a list chain inet determined {chain}")
        (handle,) = re.findall(rf"{text} # handle (\d+)", listed)
        lab.shell("agent", f"nft delete rule inet determined {chain} handle {handle}")
    lab.shell("agent", "for c in raw forged routed; do nft delete chain inet determined $c; done")
    again = lab.task("agent", "determined.network.firewall", policy=wanted("restrict"))
    assert again["changed"], again
    assert 'comment "determined.network"' in lab.shell("agent", "nft list table inet determined")
    lab.task("agent", "determined.network.firewall", state="absent")
    assert "determined" not in lab.shell("agent", "nft list tables")
    assert reaches(lab)
