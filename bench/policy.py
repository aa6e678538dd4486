# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the controller computes policies: the inventory, the lookup and the filter, as a play runs them.

    python bench/policy.py [AGENTS ...]

Prints seconds for 1,000 and 10,000 agents (or the given numbers). What counts is the sum of the lookup
`determined.network.cluster` and the filter `determined.network.host_policies`, both with Ansible's own
inventory and variable manager; what Ansible needs to load the inventory is shown besides.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "build/collections"))  # laid out by scripts/setup
import yaml
from ansible import constants
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.determined.network.plugins.filter import host_policies
from ansible_collections.determined.network.plugins.lookup import cluster as lookup_cluster

GOALS = {1_000: 2.0, 10_000: 25.0}
NAME = "determined.network.cluster"


def make_inventory(agents: int) -> tuple[InventoryManager, VariableManager, DataLoader]:
    """A dual-stack cluster of that many agents, in memory."""
    loader = DataLoader()
    # "localhost," gives an inventory without a file.
    inventory = InventoryManager(loader=loader, sources=["localhost,"])
    for group in ("determined_master", "determined_agents", "determined_clients"):
        inventory.add_group(group)
    inventory.groups["all"].set_variable("determined_mode", "restrict")
    inventory.groups["determined_agents"].set_variable("determined_gpus", 8)

    def add(name: str, group: str, ipv4: str, ipv6: str) -> None:
        inventory.add_host(name, group=group)
        inventory.hosts[name].set_variable("determined_address", [ipv4, ipv6])

    add("master", "determined_master", "192.0.2.1", "2001:db8:ffff::1")
    add("laptop", "determined_clients", "192.0.2.2", "2001:db8:ffff::2")
    for number in range(agents):
        # 240.0.0.0/4 is used by nobody (RFC 1112) and large enough; nothing is sent to it.
        ipv4 = f"240.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        add(f"agent{number}", "determined_agents", ipv4, f"2001:db8::{number + 1:x}")
    inventory.reconcile_inventory()
    return inventory, VariableManager(loader=loader, inventory=inventory), loader


def measure(agents: int) -> float:
    """Print what each step took, return the seconds that count."""
    started = time.perf_counter()
    inventory, manager, loader = make_inventory(agents)
    HostVars(inventory=inventory, variable_manager=manager, loader=loader)
    play = Play().load({"hosts": "all"}, variable_manager=manager, loader=loader)
    variables = manager.get_vars(play=play, host=inventory.get_host("agent0"))
    loaded = time.perf_counter()
    plugin = lookup_cluster.LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))
    plugin._load_name = NAME
    (cluster,) = plugin.run([], variables=variables)
    looked_up = time.perf_counter()
    policies = host_policies.host_policies(cluster)
    derived = time.perf_counter()
    assert len(policies["by_host"]) == agents + 1
    size = len(json.dumps(policies["policies"]["agents"]))
    total = derived - loaded
    goal = f" (goal: less than {GOALS[agents]:g} s)" if agents in GOALS else ""
    print(
        f"{agents:>6} agents: {total:6.2f} s in total{goal}: lookup {looked_up - loaded:.2f} s, "
        f"policies {derived - looked_up:.2f} s; besides, inventory {loaded - started:.2f} s; "
        f"an agent's policy has {size / 1000:,.0f} kB"
    )
    return total


def main() -> None:
    constants.config.initialize_plugin_configuration_definitions(
        "lookup", NAME, yaml.safe_load(lookup_cluster.DOCUMENTATION)["options"]
    )
    measure(10)  # imports and caches
    for agents in [int(text) for text in sys.argv[1:]] or list(GOALS):
        measure(agents)


if __name__ == "__main__":
    main()
