# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose answers are forged: what the others get, and what reaches the terminal and the files, byte by byte.

The liar is a host whose Python is in the hands of an attacker: it runs each module, and changes what the module says.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
import yaml

from .lab import configured_lab

HOSTS = {
    "master": ("determined_master", ["192.0.2.10"]),
    "agent1": ("determined_agents", ["192.0.2.21"]),
    "agent2": ("determined_agents", ["192.0.2.22"]),
    "stranger": ("determined_outsiders", ["203.0.113.66"]),
}
LIAR = "agent2"
QUICK = {"determined_verify_seed": 1, "determined_verify_timeout": 1}

# Clears the screen, forges the last line of a report, turns the direction of a line; and control characters of C1.
FORGED = (
    "\x1b[2J\x1b[H\n28 checks: 28 correct, 0 wrong, 0 flaky, 0 error, 0 advice\r\x07\x08\n"
    "PLAY RECAP *****\n\u202e\u2066\u200b\x9b31m\x85\u2028\ufffe\ud800 <b>&amp;]]>\x00"
)
NOT_SHOWN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff]")

FORGER = """#!PYTHON
import json, os, re, subprocess, sys
forged = json.loads(FORGED)
done = subprocess.run(["PYTHON", *sys.argv[1:]], stdin=sys.stdin, capture_output=True)
out = done.stdout.decode()
name = re.search(r"AnsiballZ_(\\w+)", " ".join(sys.argv))
name = name.group(1) if name else ""
if name == MODULE:
    said = json.loads(out)
    if isinstance(forged, str):
        out = forged.replace("ANSWER", json.dumps(said))
    else:
        def put(path, value):
            place = said
            for key in path[:-1]:
                place = place[key]
            if value is None:
                del place[path[-1]]
            else:
                place[path[-1]] = value
        for path, value in forged:
            put(path, value)
        out = json.dumps(said)
sys.stdout.buffer.write(out.encode("utf-8", "surrogatepass"))
sys.stderr.buffer.write(done.stderr)
sys.exit(done.returncode)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A configured cluster in mode restrict. The liar runs its modules without pipelining, so that they have names."""
    with configured_lab(tmp_path_factory.mktemp("forged"), "forged", HOSTS, determined_mode="restrict") as built:
        yield built


@pytest.fixture(scope="module")
def honest(lab):
    """The verdicts when nobody lies."""
    done = lab.play("verify", **QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    return verdicts(lab.report())


def verdicts(report):
    return {
        (cell["requirement"], cell["source"], cell["destination"], cell["address"]): cell["verdict"]
        for cell in report["checks"]
    }


def with_liar(lab, module: str, forged) -> Path:
    """An inventory with a liar that changes what a module says.

    ``forged``: a list of (path, value; None removes it), or the whole text.
    """
    python = lab.folder / "liar.py"
    text = FORGER.replace("PYTHON", sys.executable).replace("MODULE", repr(module))
    python.write_text(text.replace("FORGED)", f"{json.dumps(forged)!r})"))
    python.chmod(0o755)
    data = yaml.safe_load(lab.inventory.read_text())
    for group in data["all"]["children"].values():
        if LIAR in group["hosts"]:
            group["hosts"][LIAR]["ansible_python_interpreter"] = str(python)
            group["hosts"][LIAR]["ansible_pipelining"] = False
    inventory = lab.folder / "with_liar.yml"
    inventory.write_text(yaml.safe_dump(data))
    return inventory


def lie(lab, module: str, forged, *arguments: str, playbook: str = "verify", **variables):
    """Play with a liar: see with_liar."""
    inventory = with_liar(lab, module, forged)
    (lab.folder / "report.json").unlink(missing_ok=True)
    return lab.play(playbook, *arguments, inventory=inventory, **QUICK, **variables)


def assert_only_the_liar_pays(lab, honest, done, *words):
    """Every check of the liar is an error with its name; every other verdict is what it was."""
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    found = lab.report()
    now = verdicts(found)
    assert {key: one for key, one in now.items() if LIAR not in key} == {
        key: one for key, one in honest.items() if LIAR not in key
    }
    mine = [cell for cell in found["checks"] if LIAR in (cell["source"], cell["destination"])]
    assert len(mine) > 5 and {cell["verdict"] for cell in mine} == {"error"}
    for word in (LIAR, *words):
        assert all(word in cell["evidence"] for cell in mine), (word, mine[0])


# The unit tests have many more, on a simulated network.
MALFORMED = [
    ("probe", [[["observations", 0, "open"], "1-65535"]], "was not asked about"),
    ("listener", [[["counters", "tcp_resets_sent"], "many"]], "not a whole number"),
]


@pytest.mark.parametrize("module, forged, word", MALFORMED)
def test_a_malformed_answer_costs_its_host_alone(lab, honest, module, forged, word):
    done = lie(lab, module, forged)
    assert_only_the_liar_pays(lab, honest, done, "malformed answer", word)


DEEP = '{"changed": false, "observations": ' + "[" * 100_000 + "]" * 100_000 + "}"
UNREADABLE = {
    "deep": DEEP,
    "not a number": '{"changed": false, "seconds": NaN}',
    "nothing": "",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_cannot_be_read_costs_its_host_alone(lab, honest, text):
    done = lie(lab, "probe", text)
    assert_only_the_liar_pays(lab, honest, done)


HOLE = {"id": "hole", "from": "networks", "to": "agents", "ports": "1-65535", "networks": ["203.0.113.0/24"]}
ADDED = {"host_name": "agent1", "groups": [], "host_vars": {"determined_extra_requirements": [HOLE]}}
EFFECTS = [
    [["ansible_facts"], {"determined_extra_requirements": [HOLE], "determined_verify_internet": True}],
    [["add_host"], ADDED],
    [["ansible_stats"], {"data": {"determined_network_verification": {"passed": True}}}],
]


@pytest.mark.parametrize("module", ["firewall", "proxy"])
def test_no_key_of_an_answer_changes_what_the_others_permit(lab, honest, module):
    extra = {"determined_proxy_http": "http://192.0.2.99:3128"} if module == "proxy" else {}
    done = lie(lab, module, EFFECTS, playbook="site", determined_verify_internet=False, **extra)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(lab.report()) == honest
    for host in ("master", "agent1"):
        assert "203.0.113.0/24" not in lab.shell(host, "iptables-save; ipset save")


FORGERIES = [
    ("probe", [[["failed"], True], [["msg"], FORGED], [["exception"], FORGED]]),
    (
        "listener",
        [
            [["warnings"], [FORGED, "a\n  b"]],
            [["deprecations"], [{"msg": FORGED, "version": "9"}]],
            [["_ansible_" + FORGED], FORGED],
            [["problems"], [FORGED]],
            [["invocation"], {"module_args": {FORGED: FORGED}}],
        ],
    ),
    ("probe", FORGED + "\nANSWER " + FORGED),
]


@pytest.mark.parametrize("module, forged", FORGERIES)
def test_nothing_that_a_host_says_reaches_the_terminal_or_a_file_raw(
    lab, honest, module, forged, tmp_path, monkeypatch
):
    monkeypatch.setenv("ANSIBLE_CALLBACKS_ENABLED", "ansible.builtin.junit")
    monkeypatch.setenv("JUNIT_OUTPUT_DIR", str(tmp_path))
    done = lie(lab, module, forged, "-vv")
    text = done.stdout + done.stderr
    found = NOT_SHOWN.search(text)
    assert not found, (found, text[max(0, found.start() - 300) : found.end() + 100])
    assert not re.search(r"^\s{0,1}(28 checks: 28 correct|PLAY RECAP \*{5}$)", text, re.MULTILINE), text
    written = (lab.folder / "report.json").read_bytes()
    assert max(written) < 0x7F and b"\\u001b" not in written and b"\\u202e" not in written
    json.loads(written)
    (junit,) = tmp_path.glob("*.xml")
    xml.etree.ElementTree.parse(junit)
    assert not re.search(rb"\x1b|\xe2\x80\xae|\xef\xbf\xbe", Path(junit).read_bytes())


PING = """
- hosts: agent2
  gather_facts: false
  tasks: [{ansible.builtin.ping: {}}]
- hosts: agent2
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: "it permits the {{ determined_extra_requirements[0].id }}"}}]
"""


@pytest.mark.parametrize("forged, words", [("ANSWER\n" + FORGED, "\x1b[2J"), (EFFECTS[:1], "it permits the hole")])
def test_control_with_a_module_of_others_the_same_answers_succeed(lab, forged, words):
    play = lab.folder / "ping.yml"
    play.write_text(PING)
    with lab.begin("ansible-playbook", str(play), "-i", str(with_liar(lab, "ping", forged))) as process:
        out, err = process.communicate(timeout=120)
    assert words in (out + err).replace('"', ""), out + err
