#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: internet
short_description: Test from a host how its workloads reach services outside the cluster, and what uses a proxy
version_added: 0.2.0
description:
  - Connects to each of O(targets) as workloads do, directly or through one of O(proxies). Returns the step at which
    the attempt ended, and who has to repair what is wrong.
  - Finds out whether the host is an instance of GCP or AWS, and whether it has a public address.
  - Reads which proxy settings are in effect on the host, and which clients would send traffic to O(cluster) through
    a proxy.
  - All targets are tried at the same time. An attempt that fails for a reason that may be temporary (a timeout, a name
    server that does not answer, an HTTP status of 5xx) is retried twice. Refused credentials are not retried, because
    accounts get locked.
  - The module needs only Python on the host.
author:
  - The determined.network maintainers (@determined-network)
extends_documentation_fragment: [determined.network.asks]
attributes:
  check_mode:
    support: full
    details: The module changes nothing on the host, so it does the same in check mode.
options:
  targets:
    description: The services to reach.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: A name or an address. The host looks up a name, or the proxy does if one is used.
        type: str
        required: true
      port:
        description: The TCP port of the service.
        type: int
        required: true
      scheme:
        description:
          - The protocol of the service.
          - V(tcp) only establishes a connection, and never uses a proxy.
        type: str
        choices: [https, http, tcp]
        default: https
      purpose:
        description:
          - What the service is for. It decides which answers are right, and which client's rule decides whether
            O(no_proxy) covers the service.
          - A V(registry) must answer 200 or 401 at C(/v2/), unless O(targets[].path) names another path. The rule is
            that of Go.
          - A V(resource) may answer anything except 407, 511 and 5xx. The rule is that of Python's requests.
        type: str
        choices: [registry, resource]
        default: resource
      path:
        description:
          - The path to request. If it is empty, C(/v2/) is requested from a registry and C(/) from a resource.
        type: str
        default: ""
  proxies:
    description: The proxies, at most one for each scheme. Targets whose scheme has no proxy are reached directly.
    type: list
    elements: dict
    default: []
    suboptions:
      serves:
        description: The scheme of the targets that are reached through this proxy.
        type: str
        choices: [http, https]
        required: true
      scheme:
        description: The protocol of the connection to the proxy itself.
        type: str
        choices: [http, https]
        default: http
      host:
        description: The name or the address of the proxy.
        type: str
        required: true
      port:
        description: The TCP port of the proxy.
        type: int
        required: true
      authorization:
        description:
          - The value of C(Proxy-Authorization), such as C(Basic) and the credentials in Base64. Without it, no
            credentials are sent.
        type: str
  no_proxy:
    description: The variable C(no_proxy) of the workloads. Targets that it covers are reached directly.
    type: str
    default: ""
  ca_certificate:
    description: Certificates (PEM) that are trusted in addition to the system's.
    type: str
    default: ""
  cluster:
    description: Hosts of the cluster, which must be reached without a proxy.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The host's name in the inventory.
        type: str
        required: true
      group:
        description: The host's role. List a host that has both roles twice.
        type: str
        choices: [master, agents]
        required: true
      address:
        description: The host's address.
        type: str
        required: true
      port:
        description: The destination port, if clients always use the same. Without it, any port may be used.
        type: int
  own_name:
    description: The name of this host in O(cluster). Its own addresses are not checked.
    type: str
    default: ""
  reaches:
    description: The roles that this host's workloads connect to, and must reach without a proxy.
    type: list
    elements: str
    choices: [master, agents]
    default: []
  cloud:
    description:
      - Whether to find out if the host is an instance of a cloud. By default, no metadata service is requested.
    type: bool
    default: false
  timeout:
    description: Seconds for one attempt to reach a target.
    type: float
    default: 10
notes:
  - Metadata services are always requested directly, never through a proxy.
seealso:
  - module: determined.network.probe
"""

EXAMPLES = r"""
- name: Test whether this agent gets images and packages through the proxy
  determined.network.internet:
    targets:
      - {host: registry.example.com, port: 443, purpose: registry}
      - {host: packages.example.com, port: 80, scheme: http}
    proxies:
      - {serves: https, host: proxy.example.com, port: 3128}
      - {serves: http, host: proxy.example.com, port: 3128}
  register: outside
"""

RETURN = r"""
targets:
  description: One result for each of O(targets), in their order.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: As in O(targets).
      type: str
    port:
      description: As in O(targets).
      type: int
    scheme:
      description: As in O(targets).
      type: str
    via:
      description: Host and port of the proxy, or empty if the target was reached directly.
      type: str
    state:
      description:
        - V(open) if the target was reached. Otherwise what went wrong.
        - V(name_not_found), V(name_server_silent).
        - V(refused), V(rejected), V(filtered), V(no_route) and V(error) have the same meaning as in
          M(determined.network.probe). This host observed them, or the proxy reported them if RV(targets[].step) is
          V(proxy).
        - V(timeout), V(closed) if the other end stopped answering, or closed the connection, before its answer was
          complete.
        - V(proxy_credentials) (407), V(proxy_forbids) (403), V(proxy_cannot) for any other refusal of the proxy.
        - V(certificate_untrusted), V(certificate_expired), V(certificate_not_yet_valid), V(certificate_of_another),
          V(tls_failed).
        - V(no_http) if the answer is not HTTP, V(http_status) if its status is not right for the target.
      type: str
    step:
      description: The step at which the attempt ended, one of V(name), V(connect), V(proxy), V(tls), V(http).
      type: str
    blame:
      description:
        - Who has to repair what is wrong, one of V(host) (this one), V(network), V(proxy), V(target),
          V(proxy_or_target). It is empty if the target was reached.
      type: str
    reason:
      description: What was observed, as a text. It never contains credentials.
      type: str
    status:
      description: The status of the last HTTP answer, or null.
      type: int
    attempts:
      description: The number of attempts.
      type: int
    seconds:
      description: The duration of all attempts.
      type: float
  sample:
    - host: registry.example.com
      port: 443
      scheme: https
      via: proxy.example.com:3128
      state: proxy_credentials
      step: proxy
      blame: proxy
      reason: it refuses the credentials (407)
      status: 407
      attempts: 1
      seconds: 0.013
cloud:
  description: What the metadata service says, and whether the host reaches the Internet directly.
  returned: if O(cloud=true)
  type: dict
  contains:
    provider:
      description: V(gcp), V(aws) or empty.
      type: str
    external:
      description: The external (GCP) or public (AWS) IPv4 addresses of its interfaces.
      type: list
      elements: str
    known:
      description: Whether the metadata service named the addresses.
      type: bool
    reason:
      description: Why the metadata service did not name them, or empty.
      type: str
    egress:
      description: Whether one of O(targets) is reached without a proxy; null if no target is outside.
      type: bool
    egress_to:
      description: Host and port of the target that is reached without a proxy.
      type: str
bypass:
  description: The clients that would send traffic to O(cluster) through a proxy.
  returned: always
  type: dict
  contains:
    places:
      description: The files and processes that have proxy settings.
      type: list
      elements: str
    findings:
      description:
        - What would go through a proxy. Each finding has C(place) (a file or a process), the C(clients) that read
          C(variable) there, the C(group) of hosts, the first C(hosts) that the variable does not cover, and the
          C(count) of all such hosts.
      type: list
      elements: dict
    problems:
      description: Files that could not be read.
      type: list
      elements: str
seconds:
  description: The duration of the module.
  returned: always
  type: float
"""

import time
from typing import Any, Dict, List, Optional, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import attempts, cloud
from ansible_collections.determined.network.plugins.module_utils._internet.targets import (
    PURPOSES,
    SCHEMES,
    Target,
    proxy_for,
    read_proxies,
    read_targets,
)
from ansible_collections.determined.network.plugins.module_utils._proxy_check.read import Host
from ansible_collections.determined.network.plugins.module_utils._proxy_check.settings import Destination, findings

# Seconds, in which the kernel sends three SYNs.
EGRESS_TIMEOUT = 3.5

ARGUMENTS: Dict[str, Any] = {
    "targets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "scheme": {"type": "str", "choices": list(SCHEMES), "default": "https"},
            "purpose": {"type": "str", "choices": list(PURPOSES), "default": "resource"},
            "path": {"type": "str", "default": ""},
        },
    },
    "proxies": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "serves": {"type": "str", "choices": ["http", "https"], "required": True},
            "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "authorization": {"type": "str", "no_log": True},
        },
    },
    "no_proxy": {"type": "str", "default": ""},
    "ca_certificate": {"type": "str", "default": ""},
    "cluster": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "group": {"type": "str", "choices": ["master", "agents"], "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int"},
        },
    },
    "own_name": {"type": "str", "default": ""},
    "reaches": {"type": "list", "elements": "str", "choices": ["master", "agents"], "default": []},
    "cloud": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 10},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        if not 0 < params["timeout"] <= 600:
            raise ValueError("timeout is %g, not between 0 and 600 seconds" % params["timeout"])
        targets = read_targets(params["targets"])
        proxies = read_proxies(params["proxies"])
        context = attempts.make_context(params["ca_certificate"])
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    started = time.monotonic()
    inside = frozenset(host["address"] for host in params["cluster"])
    used = [proxy_for(target, proxies, params["no_proxy"], inside) for target in targets]
    results = attempts.run(targets, used, context, params["timeout"])
    result: Dict[str, Any] = {"targets": results, "bypass": read_bypass(params)}
    if params["cloud"]:
        result["cloud"] = read_cloud(targets, results)
    module.exit_json(changed=False, seconds=round(time.monotonic() - started, 3), **result)


def read_bypass(params: Dict[str, Any]) -> Dict[str, Any]:
    """RETURN's ``bypass``, for the module's parameters."""
    host = Host(params["reaches"]).read()
    destinations = host.destinations + [
        Destination(other["group"], other["address"], other["port"])
        for other in params["cluster"]
        if other["name"] != params["own_name"]
    ]
    return {
        "places": [place.name for place in host.places],
        "findings": findings(host.places, destinations),
        "problems": host.problems,
    }


def read_cloud(targets: Sequence[Target], results: List[Dict[str, Any]]) -> Dict[str, Any]:
    """RETURN's ``cloud``. ``results``: how each of the targets was reached."""
    instance = cloud.read()
    egress: Optional[bool] = None
    egress_to = ""
    if instance.provider:
        # Targets that were reached without a proxy come first, because they will be reached again.
        order = sorted(
            range(len(targets)),
            key=lambda index: (results[index]["state"] != _socket_states.OPEN, results[index]["via"]),
        )
        egress, egress_to = cloud.reaches_outside([targets[index] for index in order], EGRESS_TIMEOUT)
    return dict(instance._asdict(), external=list(instance.external), egress=egress, egress_to=egress_to)


if __name__ == "__main__":
    main()
