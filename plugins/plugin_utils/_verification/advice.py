# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cells of the table's advice rows, which are for information only. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._cluster.cluster import Cluster
from ansible_collections.determined.network.plugins.plugin_utils._verification import cells
from ansible_collections.determined.network.plugins.plugin_utils._verification.cells import UNKNOWN, Cell
from ansible_collections.determined.network.plugins.plugin_utils._verification.checks import OPEN, Pair
from ansible_collections.determined.network.plugins.plugin_utils._verification.observations import Knowledge

SAME_NETWORK = "same_network"
GCP, AWS = "cloud_gcp_egress", "cloud_aws_egress"
ROWS = {"gcp": GCP, "aws": AWS}

# In one data centre a connection usually takes less than 1 millisecond, and between sites more than this limit.
FAR = 10.0  # milliseconds

_EXTERNAL = {GCP: "an external IP address", AWS: "a public IP address"}
# The remedies of the document. AWS needs both parts of its remedy.
_WITHOUT_ADDRESS = {
    GCP: "give the instance an external IP address, or configure a Cloud NAT for its VPC",
    AWS: "give the instance a public IP address and configure an Internet Gateway for its VPC",
}
_WITH_ADDRESS = {
    GCP: "look at the egress rules of the VPC's firewall and at its route to the Internet",
    AWS: "configure an Internet Gateway for its VPC, and a route to it",
}


def cloud_cells(results: Mapping[str, Mapping[str, Any]]) -> Iterator[Cell]:
    """Host -> what the module ``internet`` returned -> a cell for each instance of a cloud; nothing for other hosts."""
    for source, result in results.items():
        cloud = result.get("cloud") or {}
        row = ROWS.get(cloud.get("provider", ""))
        if row:
            observed = {True: OPEN, False: "no_route"}.get(cloud["egress"], UNKNOWN)
            through_proxy = any(one["via"] and one["state"] == OPEN for one in result.get("targets") or [])
            address = ", ".join(cloud["external"])
            yield _cell(row, source, "", address, observed, *_cloud_sentences(row, cloud, through_proxy))


def _cloud_sentences(row: str, cloud: Mapping[str, Any], through_proxy: bool) -> tuple[str, ...]:
    if not cloud["known"]:
        has = f"whether it has {_EXTERNAL[row]} is not known: {cloud['reason']}"
    elif cloud["external"]:
        has = f"has {_EXTERNAL[row]}"
    else:
        has = f"has no {_EXTERNAL[row].split(' ', 1)[1]}"
    if cloud["egress"] is None:
        return has, "determined_services names no service outside that could be used to test its access to the Internet"
    if cloud["egress"]:
        if cloud["known"] and not cloud["external"]:
            return (f"{has}, and reaches {cloud['egress_to']} directly nevertheless, through some NAT",)
        return (f"{has}, and reaches {cloud['egress_to']} directly",)
    remedy = _WITH_ADDRESS[row] if cloud["external"] else _WITHOUT_ADDRESS[row]
    text = f"{has}, and reaches no service outside directly: {remedy}"
    if through_proxy:
        return text, "the proxy works, so this is needed only for traffic without the proxy"
    return (text,)


def distance_cells(cluster: Cluster, known: Mapping[Pair, Knowledge]) -> Iterator[Cell]:
    """The time of the connections between agents and master -> a cell for each agent that is far from the master."""
    agents = {host.name for host in cluster.with_role("agents")}
    masters = {host.name for host in cluster.with_role("master")}
    took: dict[tuple[str, str], list[float]] = {}
    for pair, knowledge in known.items():
        ends = {pair.source, pair.destination}
        if knowledge.milliseconds is not None and ends & agents and ends & masters:
            agent, master = (
                (pair.source, pair.destination) if pair.source in agents else (pair.destination, pair.source)
            )
            took.setdefault((agent, master), []).append(knowledge.milliseconds)
    for (agent, master), times in took.items():
        if min(times) > FAR:
            text = f"is more than {FAR:g} milliseconds away from {master}: best is one physical network or VPC for both"
            yield _cell(SAME_NETWORK, agent, master, "", f"{min(times):.1f} ms", text)


def _cell(row: str, source: str, destination: str, address: str, observed: str, *evidence: str) -> Cell:
    cell = cells.advice(row, evidence, source, destination, address, observed=observed)
    return cell._replace(via="", step="", blame="")
