# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host is an instance of GCP or AWS, and which public addresses its interfaces have.

The metadata service is always requested directly: its address is link-local (RFC 3927), so a proxy would reach the
metadata service of its own instance. Sources: Google's "About VM metadata" (the field Metadata-Flavor), Amazon's "Use
the Instance Metadata Service" (tokens of IMDSv2).
"""

import json
import os
import socket
import time
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._internet import answers, connecting
from ansible_collections.determined.network.plugins.module_utils._internet.targets import (
    AttemptFailed,
    Target,
    is_private,
)

GCP, AWS = "gcp", "aws"

METADATA = "169.254.169.254"
DMI = "/sys/class/dmi/id"
_DMI_FILES = ("sys_vendor", "product_name", "bios_vendor", "bios_version", "board_vendor")
_MAKERS = (("google", GCP), ("amazon", AWS))

# Seconds. The service runs in the host's own hypervisor, so it answers at once.
_TIMEOUT = 2.0
_CONNECT_TIMEOUT_WITHOUT_FIRMWARE = 0.5
_MOST_BODY = 1 << 20  # bytes
_MOST_INTERFACES = 16
_MOST_EGRESS_TARGETS = 4

_GCP_INTERFACES = "/computeMetadata/v1/instance/network-interfaces/?recursive=true"
_AWS_TOKEN = "/latest/api/token"
_AWS_MACS = "/latest/meta-data/network/interfaces/macs/"


class Instance(NamedTuple):
    """An instance of a cloud.

    ``provider``: GCP, AWS, or "" if the host is an instance of neither. ``external``: public IPv4 addresses.
    ``known``: whether the metadata service named the addresses; if it did not, ``reason`` says why.
    """

    provider: str = ""
    external: Tuple[str, ...] = ()
    known: bool = True
    reason: str = ""


class _Answer(NamedTuple):
    status: int
    fields: Dict[str, str]
    body: str


def read() -> Instance:
    """Find out which cloud this host runs in.

    If the firmware does not name the provider, both metadata services are tried.
    """
    provider = _by_dmi()
    if provider == "":
        return Instance()
    readers = {GCP: _read_gcp, AWS: _read_aws}
    if provider is not None:
        return readers[provider](True) or Instance(provider, (), False, "its metadata service does not answer")
    for reader in (_read_gcp, _read_aws):
        instance = reader(False)
        if instance:
            return instance
    return Instance()


def _by_dmi() -> Optional[str]:
    """The provider that the firmware names: GCP, AWS, "" for any other, None if the firmware names nothing."""
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


def _read_gcp(named_by_firmware: bool) -> Optional[Instance]:
    """The instance as Google's metadata service describes it; None if no such service answers."""
    answer = _request("GET", _GCP_INTERFACES, {"Metadata-Flavor": "Google"}, named_by_firmware)
    # Another service at this address does not send the field back.
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
        return Instance(GCP, (), False, "the answer of its metadata service cannot be read")
    return Instance(GCP, tuple(external))


def _read_aws(named_by_firmware: bool) -> Optional[Instance]:
    """The instance as Amazon's metadata service describes it; None if no such service answers."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60", "Content-Length": "0"}
    token = _request("PUT", _AWS_TOKEN, lifetime, named_by_firmware)
    if token is None:
        return None
    headers = {}
    if token.status == 200 and token.body and token.body.strip().isprintable():
        headers["X-aws-ec2-metadata-token"] = token.body.strip()
    # A request without a token is one of version 1, which some instances permit.
    macs = _request("GET", _AWS_MACS, headers, named_by_firmware)
    if macs is None:
        return None
    if macs.status != 200:
        # On a host that is not of AWS, another service may answer at this address.
        is_aws = named_by_firmware or bool(headers) or macs.status == 401
        return Instance(AWS, (), False, "its metadata service answers %d" % macs.status) if is_aws else None
    external: List[str] = []
    for mac in macs.body.split()[:_MOST_INTERFACES]:
        path = "%s%s/public-ipv4s" % (_AWS_MACS, mac.rstrip("/"))
        answer = _request("GET", path, headers, named_by_firmware)
        if answer is None or answer.status not in (200, 404):  # 404: this interface has no public address
            reason = "no answer" if answer is None else str(answer.status)
            return Instance(AWS, (), False, "its metadata service answers %s for interface %s" % (reason, mac))
        if answer.status == 200:
            external += answer.body.split()
    return Instance(AWS, tuple(external))


def _request(method: str, path: str, headers: Dict[str, str], named_by_firmware: bool) -> Optional[_Answer]:
    """Send one request to the metadata service. Returns None if nobody answers in HTTP."""
    lines = ["%s %s HTTP/1.0" % (method, path), "Host: %s" % METADATA]
    lines += ["%s: %s" % pair for pair in sorted(headers.items())]
    connect_timeout = _TIMEOUT if named_by_firmware else _CONNECT_TIMEOUT_WITHOUT_FIRMWARE
    stream = None
    try:
        stream = connecting.connect([(socket.AF_INET, (METADATA, 80))], time.monotonic() + connect_timeout, "")
        stream.set_deadline(time.monotonic() + _TIMEOUT)
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
    except (AttemptFailed, OSError, ValueError):
        return None
    finally:
        if stream:
            stream.close()


def _complete(data: bytes) -> bool:
    """Whether the body has as many bytes as Content-Length says; False without that field."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = answers.parse_head(head).fields.get("content-length", "")
    return length.isdecimal() and len(body) >= int(length)


def reaches_outside(targets: Sequence[Target], timeout: float) -> Tuple[Optional[bool], str]:
    """Whether a direct TCP connection to one of some targets succeeds, and to which: ``(True, "host:port")``.

    The first value is None if no target is outside. A connection to a private address does not show that the host
    reaches the Internet, so private addresses are left out. ``timeout``: seconds for each connection.
    """
    tried = False
    for target in targets[:_MOST_EGRESS_TARGETS]:
        try:
            addresses = [
                (family, address)
                for family, address in connecting.look_up(target.host, target.port, "")
                if not is_private(address[0])
            ]
            if not addresses:
                continue
            tried = True
            connecting.connect(addresses, time.monotonic() + timeout, "").close()
            return True, target.netloc()
        except AttemptFailed:
            tried = True
    return (False, "") if tried else (None, "")
