"""What a boot runs: real shells, tools that only write down what they are told."""

import re
import shutil
import subprocess

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import ipset, iptables_chains
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables import stored
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.iptables.backend import Iptables
from ansible_collections.determined.network.plugins.module_utils._firewall.container_interfaces import DEFAULT

from tests.unit.plugins.module_utils._firewall.backends.iptables.test_backend import AGENT, policy

SHELLS = [shell for shell in ("dash", "bash", "sh") if shutil.which(shell)]


class Tools:
    """Stand-ins: ``save`` prints what lies in a file, ``restore`` and ``ipset`` write down what they read."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        self.log.write_text("")
        self.save, self.restore = {}, {}
        for family in ("ipv4", "ipv6"):
            for table in iptables_chains.TABLES:
                (folder / f"saved-{family}-{table}").write_text("")
            self.save["nft", family] = self.script("save-" + family, f'cat "{folder}/saved-{family}-$2"')
            self.restore["nft", family] = self.script("restore-" + family, self.logging("restore " + family))
        self.ipset = self.script("ipset", self.logging("ipset"))

    def logging(self, name):
        return 'echo "== %s $*" >> %s; cat >> %s; test ! -e %s/refuse-%s' % (
            (name, self.log, self.log, self.folder) + (name.split()[-1],)
        )

    def script(self, name, body):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    def run(self, text, shell="sh"):
        script = f"main() {{\n{text}\n}}\nmain </dev/null\n"
        done = subprocess.run([shell, "-s"], input=script.encode(), stderr=subprocess.PIPE, check=False)
        assert done.stderr == b""
        return done.returncode

    def told(self):
        return self.log.read_text()


@pytest.fixture
def tools(tmp_path):
    return Tools(tmp_path)


def boot(kernel, tools, mode="restrict", **changes):
    """The Boot of a policy, with the stand-ins for the tools that the backend found."""
    backend = Iptables(container_interfaces=DEFAULT)
    wanted = policy(mode, **dict(AGENT, **changes))
    reading = kernel.drive(backend.read())
    found = reading.details._replace(
        tools=reading.details.tools._replace(
            save={**reading.details.tools.save, **tools.save},
            restore={**reading.details.tools.restore, **tools.restore},
            ipset=tools.ipset,
        )
    )
    reading = reading._replace(details=found)
    return backend.stored(wanted, backend.render(wanted, reading), reading)


@pytest.mark.parametrize("shell", SHELLS)
def test_sets_come_before_rules_and_each_family_is_one_transaction(kernel, tools, shell):
    made = boot(kernel, tools)
    assert tools.run(made.load, shell) == 0
    steps = re.findall("^== (.*)", tools.told(), re.MULTILINE)
    assert [step.split(" --")[0] for step in steps] == ["ipset -exist restore", "restore ipv4", "restore ipv6"]
    assert all(step.endswith(f"--noflush --wait={stored.LOCK_SECONDS}") for step in steps[1:])


@pytest.mark.parametrize("shell", SHELLS)
def test_a_jump_that_is_there_is_moved_within_the_transaction(kernel, tools, shell):
    made = boot(kernel, tools)
    jump = "-m addrtype --dst-type LOCAL -j DETERMINED-PREROUTING"
    (tools.folder / "saved-ipv4-mangle").write_text("-A PREROUTING -j OTHER\n" + (f"-A PREROUTING {jump}\n") * 2)
    (tools.folder / "saved-ipv4-filter").write_text("-A FORWARD -j OTHER\n-A INPUT -j DETERMINED-INPUT\n")
    assert tools.run(made.load, shell) == 0
    first, second = tools.told().split("== restore ")[1:]
    lines = first.splitlines()
    assert lines.count("-D PREROUTING " + jump) == 2 and lines.count("-I PREROUTING 1 " + jump) == 1
    assert lines.index("-D INPUT -j DETERMINED-INPUT") == lines.index("-I INPUT 1 -j DETERMINED-INPUT") - 1
    assert "OTHER" not in first and "-D" not in second


@pytest.mark.parametrize("refused", ["restore", "ipv4", "ipv6"])
def test_what_a_tool_refuses_ends_with_a_code(kernel, tools, refused):
    made = boot(kernel, tools)
    (tools.folder / ("refuse-" + {"restore": "ipset"}.get(refused, refused))).write_text("")
    assert tools.run(made.load) != 0
    if refused == "restore":
        assert "== restore" not in tools.told(), "rules without their sets"


def test_holds_needs_every_jump_of_every_family(kernel, tools):
    made = boot(kernel, tools)
    assert tools.run(made.holds) != 0
    places = {}
    for base in iptables_chains.BASES:
        places.setdefault(base.table, []).append(f"-A {base.chain} {base.jump}\n")
    for family in ("ipv4", "ipv6"):
        for table, lines in places.items():
            (tools.folder / (f"saved-{family}-{table}")).write_text("".join(lines))
    assert tools.run(made.holds) == 0
    for family in ("ipv4", "ipv6"):
        for table, lines in places.items():
            path = tools.folder / (f"saved-{family}-{table}")
            for line in lines:
                path.write_text("".join(lines).replace(line, ""))
                assert tools.run(made.holds) != 0, (family, line)
            path.write_text("".join(lines))


def test_fallback_rules_need_no_set_and_keep_management(kernel, tools):
    office = {"ipv4": ["192.0.2.128/26", "198.51.100.7"], "ipv6": ["2001:db8:9::/64"]}
    management = [{"protocol": "tcp", "ports": "22", "peers": "office", "requirements": ["management"]}]
    made = boot(kernel, tools, peers=dict(AGENT["peers"], office=office), management=management)
    assert tools.run(made.fallback) == 0
    told = tools.told()
    assert "ipset" not in told and "match-set" not in told and "agents_from_agents" not in told
    four, six = told.split("== restore ")[1:]
    for chain in ("DETERMINED-INPUT", "DETERMINED-PREROUTING"):
        for source in ("192.0.2.128/26", "198.51.100.7"):
            assert re.search(f"-A {chain} -p tcp -s {source} .*--dport 22 .*-j RETURN", four)
        assert re.search(f"-A {chain} -p tcp -s 2001:db8:9::/64 .*--dport 22 .*-j RETURN", six)
        for part in (four, six):
            assert re.search(f'-A {chain} -m comment --comment "nothing else new comes in" -j DROP', part)
            assert f"-A {chain} -i lo -j RETURN" in part and "ESTABLISHED -j RETURN" in part
    assert "-p icmp -j RETURN" in four and "-p ipv6-icmp -j RETURN" in six
    assert "--sport 67 --dport 68" in four and "--sport 547 --dport 546" in six


@pytest.mark.parametrize("refused", ["ipv4", "ipv6"])
def test_fallback_rules_close_the_other_family_too(kernel, tools, refused):
    made = boot(kernel, tools)
    (tools.folder / f"refuse-{refused}").write_text("")
    assert tools.run(made.fallback) != 0
    assert re.findall("^== restore (ipv[46])", tools.told(), re.MULTILINE) == ["ipv4", "ipv6"]


def test_permit_has_no_fallback_rules_and_no_policy_nothing_to_store(kernel, tools):
    assert boot(kernel, tools, mode="permit").fallback == ""
    backend = Iptables()
    reading = kernel.drive(backend.read())
    assert backend.stored(None, backend.render(None, reading), reading) is None


def test_sets_are_filled_beside_and_swapped():
    value = ipset.make_set(["192.0.2.1"], "ipv4")
    lines = list(stored._sets({"determined_agents_v4": value}))
    assert lines == [
        "create determined_agents_v4 hash:net family inet maxelem 65536",
        "create determined_agents_t4 hash:net family inet maxelem 65536",
        "flush determined_agents_t4",
        "add determined_agents_t4 192.0.2.1",
        "swap determined_agents_t4 determined_agents_v4",
        "destroy determined_agents_t4",
    ]
