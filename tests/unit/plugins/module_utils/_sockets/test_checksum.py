# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The internet checksum."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._sockets import checksum


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"", 0xFFFF),
        (b"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 0x220D),  # RFC 1071, section 3: sum ddf2
        (b"\xff", 0x00FF),
    ],
)
def test_checksum(data, expected):
    assert checksum.of(data) == expected
