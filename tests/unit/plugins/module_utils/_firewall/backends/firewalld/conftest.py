"""A firewalld without a kernel, and the policy that most tests of this folder use."""

import json
import re
import xml.etree.ElementTree as xml

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld import (
    nft_listing,
    nft_table,
)
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.firewalld.backend import Firewalld
from ansible_collections.determined.network.plugins.module_utils._host import commands
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

SETS = "/etc/firewalld/ipsets"
BUS = "org.fedoraproject.FirewallD1"
BACKEND = Firewalld(("docker0", "br-+"))


def _rule(protocol, ports, peers, *requirements):
    return {"protocol": protocol, "ports": ports, "peers": peers, "requirements": list(requirements)}


def make_policy(mode="permit", peers=None, **more):
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
            _rule("tcp", "1-65535", "agents", "agents_from_agents"),
            _rule("tcp", "22,2600-2900", "master", "tensorboard", "agents_from_master"),
            _rule("udp", "4789", "anybody", "extra"),
        ],
        "outbound": [_rule("tcp", "8080", "master", "master_from_agents"), _rule("tcp", "443", "anybody", "registry")],
        "management": [_rule("tcp", "22", "admins", "management"), _rule("tcp", "9090", "anybody", "cockpit")],
    }
    data["peers"].update(peers or {})
    data.update(more)
    return HostPolicy.from_dict(data)


@pytest.fixture
def policy():
    """The function that makes a HostPolicy from a mode and from what replaces its parts."""
    return make_policy


@pytest.fixture
def fake_firewalld(monkeypatch):
    """The class of the hosts. nft lists their tables as the text that was written."""
    monkeypatch.setattr(nft_listing, "parse", parsed)
    return FakeFirewalld


@pytest.fixture
def host(fake_firewalld):
    """A host with a new release of firewalld and without our objects."""
    return fake_firewalld()


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


def ipset(kind, options, entries, description=""):
    words = ["(ssssa{ss}as)", '"" ""', json.dumps(description), json.dumps(kind), str(len(options))]
    words += [f"{json.dumps(key)} {json.dumps(options[key])}" for key in sorted(options)]
    return " ".join(words + [str(len(entries))] + [json.dumps(entry) for entry in entries])


class FakeFirewalld:
    """What is in force: ``policies``: name -> settings, ``sets``: name -> [type, options, entries, description],
    ``zones``: name -> settings. The disk: ``files``: path -> text, ``zone_files``: name -> settings. ``table``: text
    or None. ``fails``: part of a command that fails. ``ran``: what has changed something."""

    def __init__(self, version="2.3.1", running=True, tools=("firewall-cmd", "busctl", "nft", "iptables-nft-save")):
        self.version, self.running, self.tools = version, running, tools
        self.status, self.variant = "RUNNING", "nftables"
        self.files, self.policies, self.sets, self.table = {}, {}, {}, None
        self.zones = {"public": {"target": "default", "services": ["ssh"]}}
        self.zone_files = {"public": {"target": "default", "services": ["ssh"]}}
        self.iptables = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
        self.ipv6 = "0\n"
        self.reloads, self.ran, self.fails = 0, [], None

    def read(self, conversation=None):
        """Answer a conversation of the backend, by default its ``read`` -> the result."""
        conversation = conversation or BACKEND.read()
        answer = None
        try:
            while True:
                answer = self.answer(conversation.send(answer))
        except StopIteration as end:
            return end.value

    def change(self, wanted):
        """Change this host to a policy and confirm the change, as the module does -> the names of what ran."""
        reading = self.read()
        desired = BACKEND.render(wanted, reading)
        self.ran = []
        for command in BACKEND.transactions(reading, desired):
            assert self.run(command).code == 0
        boot = BACKEND.stored(wanted, desired, reading)
        for path, text in boot.files if boot else ():
            if text is None:
                self.files.pop(path, None)
            else:
                self.files[path] = text
        again = self.read()
        assert again.state == desired
        assert BACKEND.transactions(again, desired) == []
        assert BACKEND.load(json.loads(json.dumps(BACKEND.dump(desired)))) == desired
        return self.ran

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
            # firewalld removes before it adds. Two calls are needed to add first.
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
        """Do what the script of a reload says: write files, reload, restore the files."""
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
                self.sets[name].append(root.findtext("description"))
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
            "description": root.findtext("description"),
            "target": root.get("target"),
            "priority": int(root.get("priority")),
            "masquerade": False,
            "rich_rules": rules,
            "ingress_zones": [zone.get("name") for zone in root.iter("ingress-zone")],
            "egress_zones": [zone.get("name") for zone in root.iter("egress-zone")],
        }


def parsed(text):
    """What :func:`nft_table.text` wrote -> the Table, instead of what nft would list, and no counters."""
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
