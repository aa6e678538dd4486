# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host is an instance of GCP or AWS, and which addresses of the Internet its interfaces have.

The metadata service is asked directly, whatever proxy is set: its address is link-local (RFC 3927), and through a
proxy it would be that of the proxy's own instance. Sources: Google's "About VM metadata" (the field Metadata-Flavor),
Amazon's "Use the Instance Metadata Service" (tokens of IMDSv2).
"""

import json
import os
import socket
import time
from typing import NamedTuple

from ansible_collections.determined.network.plugins.module_utils._internet import answers, streams
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.module_utils._internet.targets import Broken

GCP, AWS = "gcp", "aws"

METADATA = "169.254.169.254"
DMI = "/sys/class/dmi/id"
_DMI_FILES = ("sys_vendor", "product_name", "bios_vendor", "bios_version", "board_vendor")
_MAKERS = (("google", GCP), ("amazon", AWS))

# The service is in the host's own hypervisor: who answers, answers at once.
_TIMEOUT = 2.0
_TIMEOUT_OF_A_GUESS = 0.5  # for the connection alone
_MOST_BODY = 1 << 20
_MOST_INTERFACES = 16
_MOST_TRIES = 4  # one that answers is enough

_GCP_INTERFACES = "/computeMetadata/v1/instance/network-interfaces/?recursive=true"
_AWS_TOKEN = "/latest/api/token"
_AWS_MACS = "/latest/meta-data/network/interfaces/macs/"


class Instance(NamedTuple):
    """``provider``: GCP, AWS or "" off these clouds. ``external``: public IPv4 addresses.

    ``known``: whether the metadata service told; if not, ``reason`` says why.
    """

    provider: str = ""
    external: tuple = ()
    known: bool = True
    reason: str = ""


class _Answer(NamedTuple):
    status: int
    fields: dict
    body: str


def read():
    """This host -> Instance."""
    provider = _by_dmi()
    if provider == "":
        return Instance()
    askers = {GCP: _ask_gcp, AWS: _ask_aws}
    if provider is not None:
        return askers[provider](_TIMEOUT) or Instance(provider, (), False, "its metadata service does not answer")
    for asker in (_ask_gcp, _ask_aws):
        instance = asker(_TIMEOUT_OF_A_GUESS)
        if instance:
            return instance
    return Instance()


def _by_dmi():
    """The maker of this machine as its firmware tells -> GCP, AWS, "" for any other, None where nothing tells."""
    texts = []
    for name in _DMI_FILES:
        try:
            with open(os.path.join(DMI, name)) as file:
                texts.append(file.read().lower())
        except (OSError, UnicodeDecodeError):
            continue
    for word, provider in _MAKERS:
        if any(word in text for text in texts):
            return provider
    return "" if any(text.strip() for text in texts) else None


def _ask_gcp(timeout):
    answer = _ask("GET", _GCP_INTERFACES, {"Metadata-Flavor": "Google"}, timeout)
    # Whoever else sits at that address does not send the field back.
    if answer is None or answer.fields.get("metadata-flavor", "").lower() != "google":
        return None
    if answer.status != 200:
        return Instance(GCP, (), False, "its metadata service answers %d" % answer.status)
    try:
        external = [
            config["externalIp"]
            for interface in json.loads(answer.body)
            for config in interface.get("accessConfigs") or []
            if config.get("externalIp")
        ]
    except (ValueError, TypeError, AttributeError, KeyError):
        return Instance(GCP, (), False, "its metadata service answers what cannot be read")
    return Instance(GCP, tuple(external))


def _ask_aws(timeout):
    token = _ask("PUT", _AWS_TOKEN, {"X-aws-ec2-metadata-token-ttl-seconds": "60", "Content-Length": "0"}, timeout)
    if token is None:
        return None
    headers = {}
    if token.status == 200 and token.body and token.body.strip().isprintable():
        headers["X-aws-ec2-metadata-token"] = token.body.strip()
    # Without a token, version 1 is asked, where it is allowed.
    macs = _ask("GET", _AWS_MACS, headers, timeout)
    if macs is None:
        return None
    if macs.status != 200:
        # On any other machine somebody else may answer at this address.
        known_to_be_aws = bool(headers) or macs.status == 401
        reason = "its metadata service answers %d" % macs.status
        return Instance(AWS, (), False, reason) if known_to_be_aws or timeout == _TIMEOUT else None
    external = []
    for mac in macs.body.split()[:_MOST_INTERFACES]:
        answer = _ask("GET", "%s%spublic-ipv4s" % (_AWS_MACS, mac.rstrip("/") + "/"), headers, timeout)
        if answer is None or answer.status not in (200, 404):  # 404: this interface has none
            reason = "no answer" if answer is None else str(answer.status)
            return Instance(AWS, (), False, "its metadata service answers %s for interface %s" % (reason, mac))
        if answer.status == 200:
            external += answer.body.split()
    return Instance(AWS, tuple(external))


def _ask(method, path, headers, timeout):
    """One request to the metadata service -> _Answer, or None if nobody answers in HTTP."""
    lines = ["%s %s HTTP/1.0" % (method, path), "Host: %s" % METADATA]
    lines += ["%s: %s" % pair for pair in sorted(headers.items())]
    deadline = time.monotonic() + timeout
    stream = None
    try:
        stream = streams.connect([(socket.AF_INET, (METADATA, 80))], deadline, "")
        stream.until(time.monotonic() + _TIMEOUT)
        stream.send(("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1"))
        data = b""
        while len(data) < _MOST_BODY:
            more = stream.receive()
            if not more:
                break
            data += more
            if _complete(data):
                break
        head, _unused, body = data.partition(b"\r\n\r\n")
        parsed = answers.parse_head(head)
        return _Answer(parsed.status, parsed.fields, body.decode("utf-8", "replace"))
    except (Broken, OSError, ValueError):
        return None
    finally:
        if stream:
            stream.close()


def _complete(data):
    """Whether the whole body is there, as far as Content-Length tells."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = answers.parse_head(head).fields.get("content-length", "")
    return length.isdigit() and len(body) >= int(length)


def reaches_outside(targets, timeout):
    """Whether a plain connection to one of some Targets succeeds -> ``(True, False or None, "host:port")``.

    None: nothing outside was named. Addresses inside a private network prove no way out, and are left out.
    """
    tried = False
    for target in targets[:_MOST_TRIES]:
        try:
            addresses = [
                (family, address)
                for family, address in streams.look_up(target.host, target.port, "")
                if not internet_targets.is_private(address[0])
            ]
        except Broken:
            tried = True
            continue
        if not addresses:
            continue
        tried = True
        try:
            streams.connect(addresses, time.monotonic() + timeout, "").close()
            return True, target.netloc()
        except Broken:
            continue
    return (False, "") if tried else (None, "")
