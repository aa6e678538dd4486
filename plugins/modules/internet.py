#!/usr/bin/python
# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: internet
short_description: Try from a host how its workloads reach services outside, and what would go through a proxy
version_added: 0.2.0
description:
  - Goes to each of O(targets) by the way that workloads take, directly or through one of O(proxies), and returns at
    which step it ended and who is to blame.
  - Finds out whether the host is an instance of GCP or AWS, and whether it has an address of the Internet.
  - Reads which proxy settings are in force on the host, and which clients would lead traffic of O(cluster) to a proxy.
  - All targets are tried at the same time. What may be different a second later (a timeout, a name server that says
    nothing, an answer 5xx) is tried three times; credentials are not, because accounts get locked.
  - It needs nothing on the host but Python.
author:
  - The determined.network maintainers (@determined-network)
extends_documentation_fragment: [determined.network.asks]
attributes:
  check_mode:
    support: full
    details: It changes nothing on the host, so it asks in check mode too.
options:
  targets:
    description: What to reach.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: A name, which is looked up on the host (or by the proxy), or an address.
        type: str
        required: true
      port:
        description: Its TCP port.
        type: int
        required: true
      scheme:
        description: What is spoken there. V(tcp) ends with the connection, and knows no proxy.
        type: str
        choices: [https, http, tcp]
        default: https
      purpose:
        description:
          - A V(registry) must answer 200 or 401 at C(/v2/), unless O(targets[].path) asks for something else. Any
            answer of a V(resource) will do but 407, 511 and 5xx.
          - Whether O(no_proxy) holds is decided by the rule of Go for a registry, and of Python's requests for
            a resource.
        type: str
        choices: [registry, resource]
        default: resource
      path:
        description: What to ask for. By default C(/v2/) of a registry and C(/) of a resource.
        type: str
        default: ""
  proxies:
    description: The proxies, one at most for each scheme.
    type: list
    elements: dict
    default: []
    suboptions:
      serves:
        description: The scheme of the targets that are reached through it.
        type: str
        choices: [http, https]
        required: true
      scheme:
        description: How the proxy itself is reached.
        type: str
        choices: [http, https]
        default: http
      host:
        description: Its name or address.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
      authorization:
        description: The value of C(Proxy-Authorization), such as C(Basic) and the credentials in Base64.
        type: str
  no_proxy:
    description: The variable C(no_proxy) of the workloads.
    type: str
    default: ""
  ca_certificate:
    description: Certificates (PEM) to trust besides the system's.
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
        description: Its role. A host that has both stands here twice.
        type: str
        choices: [master, agents]
        required: true
      address:
        description: Its address.
        type: str
        required: true
      port:
        description: The port that is spoken to, if it is always the same.
        type: int
  own_name:
    description: The name of this host in O(cluster).
    type: str
    default: ""
  reaches:
    description: Whom this host's workloads talk to, and must reach without a proxy.
    type: list
    elements: str
    choices: [master, agents]
    default: []
  cloud:
    description: Whether to find out if the host is an instance of a cloud.
    type: bool
    default: false
  timeout:
    description: Seconds for one attempt to reach a target.
    type: float
    default: 10
notes:
  - Metadata services are asked directly, never through a proxy.
seealso:
  - module: determined.network.probe
"""

EXAMPLES = r"""
- name: Does this agent get images and packages through the proxy
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
  description: One for each of O(targets), in their order.
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
      description: The proxy, or empty if the way was direct.
      type: str
    state:
      description:
        - V(open) if all is well. Else what went wrong.
        - V(name_not_found), V(name_server_silent).
        - V(refused), V(rejected), V(filtered), V(no_route), V(error) as M(determined.network.probe) has them, seen by
          this host, or told by the proxy if RV(targets[].step) is V(proxy).
        - V(timeout), V(closed) for a conversation that went no further.
        - V(proxy_credentials) (407), V(proxy_forbids) (403), V(proxy_cannot) for any other refusal.
        - V(certificate_untrusted), V(certificate_expired), V(certificate_not_yet_valid), V(certificate_of_another),
          V(tls_failed).
        - V(no_http), V(http_status).
      type: str
    step:
      description: Where it ended, one of V(name), V(connect), V(proxy), V(tls), V(http).
      type: str
    blame:
      description:
        - Who has to mend it, one of V(host) (this one), V(network), V(proxy), V(target), V(proxy_or_target); empty if
          all is well.
      type: str
    reason:
      description: What was seen, in words. Never holds credentials.
      type: str
    status:
      description: The status of the last HTTP answer, or null.
      type: int
    attempts:
      description: How often it was tried.
      type: int
    seconds:
      description: How long that took.
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
  description: What the metadata service tells, and whether there is a direct way out.
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
      description: Whether the metadata service told.
      type: bool
    reason:
      description: Why it did not, or empty.
      type: str
    egress:
      description: Whether some of O(targets) is reached without a proxy; null if there is nothing outside to try.
      type: bool
    egress_to:
      description: Which one.
      type: str
bypass:
  description: Which clients would lead traffic of O(cluster) to a proxy.
  returned: always
  type: dict
  contains:
    places:
      description: Where proxy settings were found.
      type: list
      elements: str
    findings:
      description:
        - What would go through a proxy. Holds C(place) (a file or a process), C(clients) that read C(variable) there,
          the C(group) of hosts, the first C(hosts) that the variable lacks, and their C(count).
      type: list
      elements: dict
    problems:
      description: Files that could not be read.
      type: list
      elements: str
seconds:
  description: How long all of it took.
  returned: always
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.determined.network.plugins.module_utils import _socket_states
from ansible_collections.determined.network.plugins.module_utils._internet import attempts
from ansible_collections.determined.network.plugins.module_utils._internet import cloud as internet_cloud
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.module_utils._proxy_check import read, settings

# Enough for three SYNs.
EGRESS_TIMEOUT = 3.5


def main():
    module = AnsibleModule(
        argument_spec={
            "targets": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "host": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "scheme": {"type": "str", "choices": list(internet_targets.SCHEMES), "default": "https"},
                    "purpose": {"type": "str", "choices": list(internet_targets.PURPOSES), "default": "resource"},
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
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        if not 0 < asked["timeout"] <= 600:
            raise ValueError("timeout is %g, and not between 0 and 600 seconds" % asked["timeout"])
        targets = internet_targets.read_targets(asked["targets"])
        proxies = internet_targets.read_proxies(asked["proxies"])
        context = attempts.make_context(asked["ca_certificate"])
    except ValueError as problem:
        module.fail_json(msg=str(problem))
    started = time.monotonic()
    inside = frozenset(one["address"] for one in asked["cluster"])
    ways = [internet_targets.way_of(target, proxies, asked["no_proxy"], inside) for target in targets]
    result = {"targets": attempts.run(targets, ways, context, asked["timeout"]), "bypass": bypass(asked)}
    if asked["cloud"]:
        result["cloud"] = cloud(targets, result["targets"])
    module.exit_json(changed=False, seconds=round(time.monotonic() - started, 3), **result)


def bypass(asked):
    """The module's parameters -> RETURN's ``bypass``."""
    host = read.Host(asked["reaches"]).read()
    destinations = host.destinations + [
        settings.Destination(one["group"], one["address"], one["port"])
        for one in asked["cluster"]
        if one["name"] != asked["own_name"]
    ]
    return {
        "places": [place.name for place in host.places],
        "findings": settings.findings(host.places, destinations),
        "problems": host.problems,
    }


def cloud(targets, results):
    """Targets and how each was reached -> RETURN's ``cloud``."""
    instance = internet_cloud.read()
    egress, egress_to = None, ""
    if instance.provider:
        # What was reached without a proxy is tried first.
        order = sorted(
            range(len(targets)), key=lambda at: (results[at]["state"] != _socket_states.OPEN, results[at]["via"])
        )
        egress, egress_to = internet_cloud.reaches_outside([targets[at] for at in order], EGRESS_TIMEOUT)
    return dict(instance._asdict(), external=list(instance.external), egress=egress, egress_to=egress_to)


if __name__ == "__main__":
    main()
