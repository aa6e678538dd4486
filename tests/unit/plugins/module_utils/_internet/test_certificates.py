# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why certificates are refused, and from when to when they are valid."""

import base64
import textwrap

import pytest
from ansible_collections.determined.network.plugins.module_utils._internet import certificates


@pytest.mark.parametrize(
    "code, state",
    [(9, "not_yet_valid"), (10, "expired"), (18, "untrusted"), (20, "untrusted"), (62, "of_another"), (0, "untrusted")],
)
def test_openssls_numbers(code, state):
    assert certificates.certificate_state(code) == "certificate_" + state


# Valid from 2020-01-02 03:04:05 (UTCTime) to 2051-06-07 08:09:10 (GeneralizedTime).
CERTIFICATE = textwrap.dedent("""
MIIBHjCBxaADAgECAgEBMAoGCCqGSM49BAMCMBgxFjAUBgNVBAMMDWEuZXhhbXBsZS5jb20wIBcNMjAwMTAyMDMwNDA1WhgPMjA1
MTA2MDcwODA5MTBaMBgxFjAUBgNVBAMMDWEuZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARO6WnLg8+MmMO4
5X5X6mtHSgKohIDDx+Rpu7FVlYuN0GvLxIGmHyAkKjNOBSI7O12X8wuXM8lnOppokvCfBERxMAoGCCqGSM49BAMCA0gAMEUCIQDQ
iDQyOPNEpg+AlB+7B3lf5WVNypqozUvL6Yp7mKebdwIgS5aDG8i4X3dFMKqkGn2+Y6ddnWqw4r2H+Xj39S3thOw=
""")


def test_the_validity_of_a_certificate():
    der = base64.b64decode(CERTIFICATE)
    assert certificates.validity(der) == (1577934245, 2569738150)
    for broken in (b"", b"\x30", b"\x30\x03\x02\x01", der[:60], b"\x30\x82\xff\xff" + der[4:]):
        with pytest.raises(ValueError, match="this is not a certificate"):
            certificates.validity(broken)
