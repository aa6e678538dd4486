# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target ca: certificates that a host trusts, for all its programs and for dockerd's registries. Pure."""

from typing import List, Optional

from ansible_collections.determined.network.plugins.module_utils._proxy.paths import (
    DOCKER_CERTIFICATES,
    SERVICES,
    STORES,
    TrustStore,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.request import (
    Host,
    Refused,
    RequestedFile,
    Settings,
    whole_file,
)

_CERTIFICATE_NAME = "determined-network-proxy"


def store_of(host: Host) -> Optional[TrustStore]:
    """Return the host's store of trusted certificates, None when it has none that is known."""
    return next((store for store in STORES if store.folder in host.paths and store.program in host.programs), None)


def ca(name: str, settings: Settings, host: Host) -> List[RequestedFile]:
    """The certificates in the host's store, and in dockerd's folder of each registry."""
    if not settings.certificates:
        return []
    store = store_of(host)
    if not store:
        raise Refused(
            "this host has no store for certificates that is known (Debian's ca-certificates, Red Hat's and SUSE's "
            "ca-trust). Install the package ca-certificates, or remove ca from determined_proxy_targets"
        )
    services = tuple(service for service in SERVICES if service in host.services)
    # Each file holds one certificate, since update-ca-certificates skips files with several.
    files = [
        RequestedFile(
            name,
            "%s/%s-%d.crt" % (store.folder, _CERTIFICATE_NAME, number),
            whole_file(certificate),
            services=services,
            program=store.program,
        )
        for number, certificate in enumerate(settings.certificates, 1)
    ]
    if "dockerd" in host.programs:
        # dockerd reads the host's store when it starts, and this folder at each pull, so no restart is needed for it.
        bundle = whole_file("".join(settings.certificates))
        files += [
            RequestedFile(name, "%s/%s/%s.crt" % (DOCKER_CERTIFICATES, registry, _CERTIFICATE_NAME), bundle)
            for registry in settings.registries
        ]
    return files
