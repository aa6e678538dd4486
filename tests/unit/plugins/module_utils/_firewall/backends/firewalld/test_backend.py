"""The backend against a firewalld without a kernel, and states that a person can read."""

import json
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as xml

import pytest
from ansible_collections.determined.network.plugins.module_utils import _policy
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    change as firewalld_change,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    files as firewalld_files,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    nft_listing,
    nft_table,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._host import commands

GOLDEN = os.path.join(os.path.dirname(__file__), "golden")
POLICIES, SETS = "/etc/firewalld/policies", "/etc/firewalld/ipsets"
BUS = "org.fedoraproject.FirewallD1"


def rule(protocol, ports, peers, *requirements):
    return {"protocol": protocol, "ports": ports, "peers": peers, "requirements": list(requirements)}


def policy(mode="permit", peers=None, **more):
    data = {
        "host": "agent1",
        "mode": mode,
        "peers": {
            "master": {"ipv4": ["192.0.2.10"], "ipv6": ["2001:db8::10"]},
            "agents": {"ipv4": ["192.0.2.11", "192.0.2.12", "198.51.100.0/24", "198.51.100.7"], "ipv6": []},
            "admins": {"ipv4": ["203.0.113.0/24"], "ipv6": ["2001:db8:a::/48"]},
            "anybody": {"ipv4": ["0.0.0.0/0"], "ipv6": ["::/0"]},
        },
        "inbound": [
            rule("tcp", "1-65535", "agents", "agents_from_agents"),
            rule("tcp", "22,2600-2900", "master", "tensorboard", "agents_from_master"),
            rule("udp", "4789", "anybody", "extra"),
        ],
        "outbound": [rule("tcp", "8080", "master", "master_from_agents"), rule("tcp", "443", "anybody", "registry")],
        "management": [rule("tcp", "22", "admins", "management"), rule("tcp", "9090", "anybody", "cockpit")],
    }
    data["peers"].update(peers or {})
    data.update(more)
    return _policy.HostPolicy.from_dict(data)


def members(*addresses):
    return {"agents": {"ipv4": list(addresses), "ipv6": []}}


# --- a firewalld ------------------------------------------------------------------------------------


def quoted(value):
    if isinstance(value, bool):
        return f"b {str(value).lower()}"
    if isinstance(value, int):
        return f"i {value}"
    if isinstance(value, str):
        return f"s {json.dumps(value)}"
    return " ".join(["as", str(len(value))] + [json.dumps(item) for item in value])


def dictionary(settings):
    return " ".join(["a{sv}", str(len(settings))] + [f"{json.dumps(key)} {quoted(settings[key])}" for key in settings])


def ipset(kind, options, entries):
    words = ["(ssssa{ss}as)", '"" "" ""', json.dumps(kind), str(len(options))]
    words += [f"{json.dumps(key)} {json.dumps(options[key])}" for key in sorted(options)]
    return " ".join(words + [str(len(entries))] + [json.dumps(entry) for entry in entries])


class FakeFirewalld:
    """``files``: path -> text. ``policies``: name -> settings, ``sets``: name -> [type, options, entries], ``zones``:
    name -> settings, what is in force; ``zone_files``: what is on disk of them. ``table``: text or None."""

    def __init__(self, version="2.3.1", running=True, tools=("firewall-cmd", "busctl", "nft", "iptables-nft-save")):
        self.version, self.running, self.tools = version, running, tools
        self.status, self.variant = "RUNNING", "nftables"
        self.files, self.policies, self.sets, self.table = {}, {}, {}, None
        self.zones = {"public": {"target": "default", "services": ["ssh"]}}
        self.zone_files = {"public": {"target": "default", "services": ["ssh"]}}
        self.iptables = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
        self.ipv6 = "0\n"
        self.reloads, self.ran, self.fails = 0, [], None

    def answer(self, question):
        if isinstance(question, commands.FindTool):
            return "/bin/" + question.name if question.name in self.tools else None
        if isinstance(question, commands.ListDirectory):
            if question.path == "/run/dbus":
                return ("system_bus_socket",)
            prefix = question.path + "/"
            return tuple(sorted(path[len(prefix) :] for path in self.files if path.startswith(prefix)))
        if isinstance(question, commands.ReadFile):
            return self.ipv6 if question.path.startswith("/proc/sys") else self.files.get(question.path)
        return self.run(question)

    def run(self, command):
        if self.fails and self.fails in " ".join(command.argv):
            return commands.Output(1, "", "Call failed: COMMAND_FAILED: python-nftables failed")
        program, words = command.argv[0], list(command.argv[1:])
        if program == "/bin/iptables-nft-save":
            return commands.Output(0, self.iptables, "")
        if program == "/bin/nft":
            return commands.Output(0, self._nft(words, command.stdin), "")
        if program == "/bin/sh":
            self.ran.append("reload")
            return commands.Output(0, self._script(command.stdin), "")
        assert program == "/bin/busctl" and words[0] == "--auto-start=no"
        text = self._property(words[5:]) if words[1] == "get-property" else self._call(words[3], words[5], words[6:])
        return commands.Output(0, text, "")

    def _nft(self, words, stdin):
        if words == ["-j", "list", "tables"]:
            tables = [{"table": {"family": "inet", "name": "determined"}}] if self.table else []
            return json.dumps({"nftables": tables})
        if words == ["-j", "list", "table", "inet", "determined"]:
            return self.table
        self.ran.append("nft")
        if words == ["-f", "-"]:
            head = "table inet determined\ndelete table inet determined\n"
            assert stdin.startswith(head)
            self.table = stdin[len(head) :]
        else:
            assert words == ["delete", "table", "inet", "determined"] and self.table
            self.table = None
        return ""

    def _property(self, names):
        values = {
            "version": self.version,
            "state": self.status,
            "FirewallBackend": self.variant,
            "FlushAllOnReload": "yes",
        }
        return "\n".join(quoted(values[name]) for name in names)

    def _call(self, path, method, arguments):
        values = arguments[1:]
        if method == "NameHasOwner":
            return quoted(self.running and values == [BUS])
        lists = {
            "getPolicies": sorted(self.policies),
            "getIPSets": sorted(self.sets),
            "getZones": sorted(self.zones),
            "getZoneNames": sorted(self.zone_files),
            "getPolicyNames": [],
            "getIPSetNames": [],
        }
        if method in lists:
            return quoted(lists[method])
        if method in ("getAllChains", "getAllRules", "getAllPassthroughs"):
            return "as 0"
        if method == "getSettings" and path.endswith("/config"):
            return "(asasas) 0 0 0"
        if method == "getPolicySettings":
            return dictionary(self.policies[values[0]])
        if method == "getIPSetSettings":
            return ipset(*self.sets[values[0]])
        if method == "getZoneSettings2":
            return dictionary(self.zones[values[0]])
        if method == "getZoneByName":
            return f'o "/zone/{values[0]}"'
        if method == "getSettings2":
            return dictionary(self.zone_files[path.split("/")[-1]])
        self.ran.append(method)
        return self._change(method, values)

    def _change(self, method, values):
        if method == "setPolicySettings":
            name, rules = values[0], values[5:]
            assert values[1:4] == ["1", "rich_rules", "as"] and int(values[4]) == len(rules)
            old = self.policies[name]["rich_rules"]
            # firewalld removes before it adds: whoever wants both in order calls twice.
            assert set(old) <= set(rules) or set(rules) <= set(old)
            self.policies[name]["rich_rules"] = rules
        elif method == "addEntry":
            assert values[1] not in self.sets[values[0]][2]
            self.sets[values[0]][2].append(values[1])
        elif method == "removeEntry":
            self.sets[values[0]][2].remove(values[1])
        else:
            assert method == "setEntries" and int(values[1]) == len(values[2:])
            self.sets[values[0]][2] = list(values[2:])
        return ""

    def _script(self, text):
        """Play the script: files as the lines before the reload say, reload, files as ``after`` says."""
        assert text.rstrip().splitlines()[-1].startswith("/bin/busctl --auto-start=no")
        after, before = text[text.index("after() {") : text.index("trap after EXIT")], text[text.index("trap after") :]
        self._place(before)
        self.reloads += 1
        self.policies, self.sets = {}, {}
        for path, content in self.files.items():
            root = xml.fromstring(content.encode("utf-8"))
            name = path.split("/")[-1][: -len(".xml")]
            if path.startswith(SETS):
                options = {option.get("name"): option.get("value") for option in root.iter("option")}
                self.sets[name] = [root.get("type"), options, [entry.text for entry in root.iter("entry")]]
            else:
                self.policies[name] = self._policy(root)
        self.zones = dict(self.zone_files)
        self._place(after)
        return ""

    def _place(self, script):
        for path in re.findall(r"^rm -f (\S+)", script, re.MULTILINE):
            self.files.pop(path, None)
        for path, content in re.findall(
            r"^put (\S+) <<'END OF FILE'.*\n((?:.*\n)*?)END OF FILE$", script, re.MULTILINE
        ):
            self.files[path] = content

    @staticmethod
    def _policy(root):
        rules = []
        for item in root.iter("rule"):
            parts = [item] + list(item)
            words = [" ".join([part.tag] + ['{}="{}"'.format(*pair) for pair in part.attrib.items()]) for part in parts]
            rules.append(" ".join(words))
        return {
            "short": "x",
            "target": root.get("target"),
            "priority": int(root.get("priority")),
            "masquerade": False,
            "rich_rules": rules,
            "ingress_zones": [zone.get("name") for zone in root.iter("ingress-zone")],
            "egress_zones": [zone.get("name") for zone in root.iter("egress-zone")],
        }


def parsed(text):
    """What :func:`_firewall.backends.firewalld.nft_table.text` wrote -> the Table, in place of what nft would list."""
    sets, chains, name = [], [], None
    for line in text.splitlines()[1:-1]:
        words = line.split()
        if line.startswith("\tset "):
            name, sets_members, kind, flags = words[1], [], "", ""
        elif line.startswith("\tchain "):
            name, hook, priority, rules = words[1], "", 0, []
        elif line == "\t}" and "rules" in locals() and rules is not None:
            chains.append(nft_table.Chain(name, hook, priority, tuple(rules)))
        elif line == "\t}":
            sets.append(nft_table.Set(name, kind, flags, tuple(sets_members)))
        elif words[0] == "type" and "hook" in words:
            hook, priority = words[3], int(words[5].rstrip(";"))
        elif words[0] == "type":
            kind, rules = words[1], None
        elif words[0] == "flags":
            flags = words[1]
        elif line.startswith("\t\t\t"):
            sets_members.append(words[0].rstrip(","))
        elif words[0] not in ("elements", "}"):
            rules.append(line.strip())
    return nft_table.Table(tuple(sets), tuple(chains)), []


@pytest.fixture(autouse=True)
def listing(monkeypatch):
    monkeypatch.setattr(nft_listing, "parse", parsed)


BACKEND = Firewalld(("docker0", "br-+"))


def read(host, generator=None):
    conversation = generator or BACKEND.read()
    answer = None
    try:
        while True:
            answer = host.answer(conversation.send(answer))
    except StopIteration as end:
        return end.value


def change(host, wanted):
    """Bring a host to a policy as a run and its confirmation do -> the names of what ran."""
    reading = read(host)
    desired = BACKEND.render(wanted, reading)
    host.ran = []
    for command in BACKEND.transactions(reading, desired):
        assert host.run(command).code == 0
    boot = BACKEND.stored(wanted, desired, reading)
    for path, text in boot.files if boot else ():
        if text is None:
            host.files.pop(path, None)
        else:
            host.files[path] = text
    again = read(host)
    assert again.state == desired
    assert BACKEND.transactions(again, desired) == []
    assert BACKEND.load(json.loads(json.dumps(BACKEND.dump(desired)))) == desired
    return host.ran


# --- texts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["permit", "restrict"])
def test_golden(mode):
    state = BACKEND.render(policy(mode), read(FakeFirewalld()))
    with open(os.path.join(GOLDEN, f"firewalld-agent-{mode}.txt"), encoding="utf-8") as handle:
        assert BACKEND.describe(state) == handle.read()


@pytest.mark.parametrize(
    "name", ["policies/determined.xml", "policies/determined-out.xml", "ipsets/determined-agents-v4.xml"]
)
def test_golden_files(name):
    state = BACKEND.render(policy(), read(FakeFirewalld()))
    with open(os.path.join(GOLDEN, "firewalld-" + name.replace("/", "-")), encoding="utf-8") as handle:
        assert firewalld_files.files(state)["/etc/firewalld/" + name] == handle.read()


def test_golden_fallback():
    text = nft_table.text(nft_table.fallback(policy("restrict"), ("ipv4", "ipv6"), ("docker0",)))
    with open(os.path.join(GOLDEN, "firewalld-fallback.txt"), encoding="utf-8") as handle:
        assert text == handle.read()


# --- changes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["permit", "restrict"])
def test_first_application_reloads_once_and_removal_leaves_nothing(mode):
    host = FakeFirewalld()
    assert change(host, policy(mode)) == (["nft"] if mode == "restrict" else []) + ["reload"]
    assert sorted(path.split("/")[-1] for path in host.files) == [
        "determined-agents-v4.xml",
        "determined-agents-v6.xml",
        "determined-master-v4.xml",
        "determined-master-v6.xml",
        "determined-out.xml",
        "determined.xml",
    ]
    assert change(host, policy(mode)) == []
    change(host, None)
    assert (host.files, host.policies, host.sets, host.table, host.reloads) == ({}, {}, {}, None, 2)


def test_files_lie_there_only_once_the_change_is_confirmed():
    host = FakeFirewalld()
    reading = read(host)
    for command in BACKEND.transactions(reading, BACKEND.render(policy(), reading)):
        host.run(command)
    assert host.files == {} and sorted(host.policies) == ["determined", "determined-out"]


@pytest.mark.parametrize(
    "wanted, expected",
    [
        (policy(peers=members("192.0.2.11", "192.0.2.12", "198.51.100.0/24", "192.0.2.13")), ["addEntry"]),
        (policy(peers=members("192.0.2.11", "198.51.100.0/24")), ["removeEntry"]),
        (policy(peers=members("192.0.2.11", "198.51.100.0/24", "192.0.2.9")), ["addEntry", "removeEntry"]),
        # Members that overlap cannot be there at once.
        (policy(peers=members("192.0.2.0/28", "198.51.100.0/24")), ["setEntries"]),
        (policy(peers={"agents": {"ipv4": ["192.0.2.11", "192.0.2.12", "198.51.100.0/24"], "ipv6": ["2001:db8::5"]}}),
         ["addEntry"]),
        (
            policy(inbound=policy().to_dict()["inbound"] + [rule("tcp", "12350", "master", "ssh")]),
            ["setPolicySettings"],
        ),
        (policy(outbound=[rule("tcp", "8080", "master", "m")]), ["setPolicySettings"]),
        (policy("restrict"), ["nft"]),
    ],
)  # fmt: skip
def test_what_needs_no_reload(wanted, expected):
    host = FakeFirewalld()
    change(host, policy())
    reloads = host.reloads
    # What firewalld's files do not hold would be lost by one.
    host.zones["public"]["ports"] = ["x"]
    assert [name for name in change(host, wanted) if name != "x"] == expected
    assert host.reloads == reloads and host.zones["public"]["ports"] == ["x"]


def test_many_members_at_once():
    host = FakeFirewalld()
    change(host, policy())
    many = [f"203.0.113.{number}" for number in range(firewalld_change.ONE_BY_ONE + 1)]
    assert change(host, policy(peers=members(*many))) == ["setEntries"]


def test_new_rules_come_before_old_ones_go():
    host = FakeFirewalld()
    change(host, policy())
    change(host, policy(inbound=[rule("tcp", "5000", "agents", "x")], peers=members("192.0.2.99")))
    ran = change(host, policy(inbound=[rule("tcp", "5001", "agents", "x")], peers=members("192.0.2.98")))
    assert ran == ["addEntry", "setPolicySettings", "removeEntry", "setPolicySettings"]


@pytest.mark.parametrize("step", [0, 1])
def test_the_way_back_from_a_change_that_was_killed(step):
    host = FakeFirewalld()
    old = read(host).state
    reading = read(host)
    for command in BACKEND.transactions(reading, BACKEND.render(policy("restrict"), reading))[: step + 1]:
        host.run(command)
    for command in BACKEND.transactions(read(host), old):
        host.run(command)
    assert read(host).state == old and host.files == {}


def test_tampering_is_undone():
    host = FakeFirewalld()
    change(host, policy())
    host.policies["determined"]["rich_rules"].pop()
    host.sets["determined-master-v4"][2].append("203.0.113.66")
    assert change(host, policy()) == ["setPolicySettings", "removeEntry"]
    host.policies["determined"]["masquerade"] = True
    assert change(host, policy()) == ["reload"]


# --- what stands in the way -------------------------------------------------------------------------


def test_a_reload_that_others_would_lose_by_is_refused():
    host = FakeFirewalld()
    host.zones = {"public": dict(host.zones["public"], ports=["7777"])}
    reading = read(host)
    with pytest.raises(commands.HostError) as caught:
        BACKEND.transactions(reading, BACKEND.render(policy("restrict"), reading))
    assert "zone public: ports (has 7777)" in str(caught.value)


def unreferenced(name):
    """The policy in mode restrict without what names these peers, as when the row that names them was dropped."""
    data = policy("restrict").to_dict()
    for key in ("inbound", "outbound"):
        data[key] = [row for row in data[key] if row["peers"] != name]
    del data["peers"][name]
    return _policy.HostPolicy.from_dict(data)


@pytest.mark.parametrize("wanted", [unreferenced("agents"), None], ids=["without_peers", "absent"])
@pytest.mark.parametrize("stored", [False, True], ids=["nothing_stored", "stored"])
def test_putting_back_is_never_refused_and_says_what_others_lose(wanted, stored):
    host = FakeFirewalld()
    change(host, policy("restrict"))
    if not stored:
        host.files = {}
    files, reading = dict(host.files), read(host)
    old = reading.state
    for command in BACKEND.transactions(reading, BACKEND.render(wanted, reading)):
        assert host.run(command).code == 0 and command.loses == ()
    host.zones = {"public": dict(host.zones["public"], rich_rules=["rule drop"])}
    reading = read(host)
    with pytest.raises(commands.HostError):
        BACKEND.transactions(reading, old)
    forced = BACKEND.transactions(BACKEND.force(reading), old)
    assert [lost for command in forced for lost in command.loses] == ["zone public: rich rules (has rule drop)"]
    for command in forced:
        assert host.run(command).code == 0
    assert read(host).state == old and host.files == files


def test_putting_back_takes_nothing_of_others_where_nothing_has_to_come_back():
    host = FakeFirewalld()
    old = read(host).state
    change(host, policy("restrict"))
    host.zones = {"public": dict(host.zones["public"], rich_rules=["rule drop"])}
    for command in BACKEND.transactions(BACKEND.force(read(host)), old):
        assert host.run(command).code == 0 and command.loses == ()
    assert host.reloads == 1 and host.table is None and "rich_rules" in host.zones["public"]
    assert not any(settings["rich_rules"] for settings in host.policies.values())


@pytest.mark.parametrize("version, refused", [("1.3.3", True), ("2.3.1", False)])
def test_rules_of_others_in_iptables(version, refused):
    host = FakeFirewalld(version)
    host.iptables = "*filter\n-A INPUT -j f2b-sshd\nCOMMIT\n"
    assert bool(read(host).details.lost) is refused


def test_removal_without_a_reload_empties_what_stays():
    host = FakeFirewalld()
    change(host, policy("restrict"))
    host.zones = {"public": dict(host.zones["public"], ports=["7777"])}
    for command in BACKEND.transactions(read(host), BACKEND.render(None, read(host))):
        host.run(command)
    assert host.reloads == 1 and host.table is None
    assert not any(settings["rich_rules"] for settings in host.policies.values())
    reading = read(host)
    assert BACKEND.transactions(reading, BACKEND.render(None, reading)) == []
    assert "7777" in reading.warnings[-1]


@pytest.mark.parametrize(
    "host, words",
    [
        (FakeFirewalld(tools=("nft",)), ["firewall-cmd is not installed", "package firewalld"]),
        (FakeFirewalld(tools=("firewall-cmd",)), ["busctl is not installed"]),
        (FakeFirewalld(running=False), ["does not run", "systemctl enable --now firewalld"]),
        (FakeFirewalld("0.6.3"), ["firewalld 0.6.3 is too old", "0.9"]),
    ],
)
def test_what_is_missing_is_named_and_removal_still_works(host, words):
    reading = read(host)
    with pytest.raises(commands.HostError) as caught:
        BACKEND.render(policy(), reading)
    assert all(word in str(caught.value) for word in words + ["Nothing was changed"])
    assert BACKEND.transactions(reading, BACKEND.render(None, reading)) == []


def test_a_firewalld_that_has_failed():
    host = FakeFirewalld()
    host.status = "FAILED"
    assert "--check-config" in read(host).missing[0]


def test_only_restrict_needs_nft():
    host = FakeFirewalld(tools=("firewall-cmd", "busctl"))
    reading = read(host)
    BACKEND.render(policy("permit"), reading)
    with pytest.raises(commands.HostError) as caught:
        BACKEND.render(policy("restrict"), reading)
    assert "nft is not installed" in str(caught.value)


def test_before_1_0_nothing_is_said_about_outgoing_traffic():
    reading = read(FakeFirewalld("0.9.11"))
    assert sorted(BACKEND.render(policy(), reading).policies) == ["determined"]
    assert any("cannot use an ipset as a destination" in text for text in reading.warnings)


def test_a_kernel_without_ipv6():
    host = FakeFirewalld()
    host.ipv6 = None
    text = BACKEND.describe(BACKEND.render(policy("restrict"), read(host)))
    assert "v6" not in text and "IPv4 is handled" in read(host).warnings[0]


@pytest.mark.parametrize("call", ["getZoneSettings2", "getPolicies", "NameHasOwner", "getAllRules", "list tables"])
def test_a_failed_read_is_never_an_empty_firewall(call):
    host = FakeFirewalld()
    host.fails = call
    with pytest.raises(commands.HostError) as caught:
        read(host)
    assert "COMMAND_FAILED" in str(caught.value)


@pytest.mark.parametrize(
    "said, meaning",
    [
        ("Call failed: ACCESS_DENIED: lockdown is enabled", "--add-lockdown-whitelist-uid=0"),
        ("/bin/sh: cannot create x: Read-only file system", "/etc is read-only"),
        ("cat: write error: No space left on device", "is full"),
        ("Call failed: INVALID_ZONE: x.xml", "firewall-cmd --check-config"),
        ("Failed to connect to bus: No such file or directory", "systemctl status dbus"),
        ("netlink: Error: Operation not permitted", "CAP_NET_ADMIN"),
        ("something new", "said: something new"),
    ],
)
def test_failures_are_explained(said, meaning):
    command = commands.Command(("/bin/sh", "-s"), purpose="reload firewalld")
    text = BACKEND.explain(command, commands.Output(1, "", said + "\n"))
    assert text.startswith("Could not reload firewalld") and meaning in text and said in text


# --- the script of a reload, played by the host's own shell ------------------------------------------


class Disk:
    """firewalld's folders on a real disk, and a busctl that says which of our files it meets."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        monkeypatch.setitem(firewalld_files.FOLDERS, "policy", str(folder / "policies"))
        monkeypatch.setitem(firewalld_files.FOLDERS, "ipset", str(folder / "ipsets"))
        self.busctl = folder / "busctl"
        self.busctl.write_text(f"#!/bin/sh\ncd {folder}; ls ipsets policies >met\n")
        self.busctl.chmod(0o755)
        reading = read(FakeFirewalld())
        self.reading = reading._replace(details=reading.details._replace(busctl=str(self.busctl)))
        self.wanted = BACKEND.render(policy(), reading)
        self.paths = sorted(firewalld_files.files(self.wanted))

    def play(self):
        (command,) = BACKEND.transactions(self.reading, self.wanted)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "universal_newlines": True}
        return subprocess.run(command.argv, input=command.stdin, check=False, **pipes)

    def met(self):
        return (self.folder / "met").exists()

    def files(self):
        # /dev/full has no end.
        return {str(path): path.is_file() and path.read_text() for path in self.folder.glob("*/*")}


@pytest.fixture
def disk(tmp_path, monkeypatch):
    return Disk(tmp_path, monkeypatch)


def test_the_files_lie_there_for_the_reload_only(disk):
    ended = disk.play()
    assert (ended.returncode, ended.stderr, disk.files()) == (0, "", {})
    names = (disk.folder / "met").read_text().split()
    assert [name for name in names if "xml" in name] == [path.split("/")[-1] for path in disk.paths]


@pytest.mark.parametrize("full", [0, -1], ids=["first", "last"])
def test_a_full_disk_leaves_the_files_as_they_were(disk, full):
    before = {disk.paths[1]: "<ipset/>\n"}
    os.makedirs(os.path.dirname(disk.paths[1]))
    os.makedirs(os.path.dirname(disk.paths[-1]))
    with open(disk.paths[1], "w", encoding="utf-8") as handle:
        handle.write(before[disk.paths[1]])
    disk.reading = disk.reading._replace(details=disk.reading.details._replace(files=before))
    os.symlink("/dev/full", disk.paths[full] + ".new")
    ended = disk.play()
    assert ended.returncode == 1 and "No space left" in ended.stderr and not disk.met()
    assert disk.files() == before


def test_what_is_ended_while_it_writes_leaves_the_files_as_they_were(disk):
    cat = disk.folder / "cat"
    cat.write_text(f"#!/bin/sh\n: >{disk.folder}/writes; exec sleep 60\n")
    cat.chmod(0o755)
    (command,) = BACKEND.transactions(disk.reading, disk.wanted)
    environment = {"PATH": f"{disk.folder}:{os.environ['PATH']}"}
    with subprocess.Popen(
        command.argv, stdin=subprocess.PIPE, env=environment, universal_newlines=True, start_new_session=True
    ) as process:
        process.stdin.write(command.stdin)
        process.stdin.close()
        deadline = time.monotonic() + 30
        while not (disk.folder / "writes").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(disk.files()) == [disk.paths[0] + ".new"]
        os.killpg(process.pid, signal.SIGTERM)
    assert disk.files() == {} and not disk.met()


# --- what a boot needs, and what is shown -----------------------------------------------------------


def test_stored():
    host = FakeFirewalld()
    reading = read(host)
    assert BACKEND.stored(None, BACKEND.render(None, reading), reading) is None
    permit = BACKEND.stored(policy(), BACKEND.render(policy(), reading), reading)
    assert permit.load == "" and permit.fallback == "" and len(permit.files) == 6
    restrict = BACKEND.stored(policy("restrict"), BACKEND.render(policy("restrict"), reading), reading)
    assert restrict.load.startswith("/bin/nft -f - <<'END OF TABLE'\ntable inet determined\n")
    assert "203.0.113.0/24" in restrict.fallback and "@" not in restrict.fallback
    assert restrict.files == permit.files
    assert [line.split()[5] for line in restrict.holds.splitlines()] == ["forward", "inbound", "input", "prerouting"]
    host.files[SETS + "/determined-gone-v4.xml"] = "<ipset/>"
    host.files[SETS + "/determined-gone-v4.xml.old"] = "<ipset/>"  # as firewall-cmd --runtime-to-permanent leaves it
    host.files[SETS + "/determined-gone-v4.xml.new"] = "<ips"  # as a change that was killed leaves it
    host.files[SETS + "/others.xml"] = "<ipset/>"
    host.files[SETS + "/determined-gone-v4.xml.bak"] = "<ipset/>"
    reading = read(host)
    files = dict(BACKEND.stored(policy(), BACKEND.render(policy(), reading), reading).files)
    assert [files[SETS + "/determined-gone-v4.xml" + more] for more in ("", ".old", ".new")] == [None] * 3
    assert SETS + "/others.xml" not in files and SETS + "/determined-gone-v4.xml.bak" not in files


def test_facts():
    host = FakeFirewalld()
    change(host, policy())
    host.policies["first"] = {"priority": -32768, "rich_rules": ["rule drop"], "ingress_zones": ["ANY"]}
    reading, facts = tuple(read(host, BACKEND.inspect()))
    assert reading.variant == "nftables"
    assert {row["chain"] for row in facts["rules"]} == {"policy determined", "policy determined-out"}
    assert [row["rule"] for row in facts["foreign_before"]] == ["rule drop"]
    assert {row["name"]: row["entries"] for row in facts["sets"]}["determined-agents-v4"] == 3
