# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which nothing runs (a runner that only answers, and systemd as process 1), the module's arguments, and YAML
as plain values."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._host import systemd
from ansible_collections.determined.network.plugins.module_utils._host.commands import Output
from ansible_collections.determined.network.plugins.module_utils._proxy.yaml_nodes import (
    BlockScalar,
    FlowMapping,
    FlowSequence,
    Mapping,
    Scalar,
    Sequence,
)


class Runner:
    """Knows some programs, and what each prints; remembers what ran."""

    def __init__(self, answers):
        """``answers``: program -> what it prints, an Output, or an exception to raise."""
        self.answers = answers
        self.ran = []

    def find(self, name):
        return "/bin/" + name if name in self.answers else None

    def run(self, command):
        name = os.path.basename(command.argv[0])
        self.ran.append((name,) + command.argv[1:])
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Output) else Output(0, answer, "")


@pytest.fixture
def answering():
    """The class of that runner."""
    return Runner


@pytest.fixture
def booted(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "RUNS", str(tmp_path))


@pytest.fixture
def arguments():
    """The arguments of the module on an agent."""
    return {
        "state": "present",
        "roles": ["agents"],
        "http": "http://p:1",
        "https": "http://p:1",
        "ftp": None,
        "username": "me",
        "password": "sec ret",
        "no_proxy": ["a", "agent1"],
        "stable_no_proxy": ["a"],
        "ca_certificate": None,
        "registries": [],
        "targets": ["agent_config", "docker", "environment"],
        "docker_method": "auto",
        "task_environment": "write",
        "share_credentials": False,
    }


def plain_value(node):
    if isinstance(node, Mapping):
        return plain_entries(node.entries)
    if isinstance(node, Sequence):
        return [plain_value(item.node) for item in node.items]
    if isinstance(node, FlowMapping):
        return {key: plain_value(value) for key, value in node.pairs}
    if isinstance(node, FlowSequence):
        return [plain_value(value) for value in node.nodes]
    if isinstance(node, Scalar):
        return node.text
    return node.lines if isinstance(node, BlockScalar) else None


def plain_entries(entries):
    return {entry.key: plain_value(entry.node) for entry in entries}


# For the whole session, so that hypothesis can use it: it has no state.
@pytest.fixture(scope="session")
def plain():
    """A function: what the reader of YAML returns -> plain values; a block of text is the tuple of its lines."""
    return plain_entries
