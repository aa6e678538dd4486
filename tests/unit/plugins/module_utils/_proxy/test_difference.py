# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of a change: the lines that differ, without anybody's credentials."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy.difference import difference, masked
from ansible_collections.determined.network.plugins.module_utils._proxy.file_change import FileChange, FileState


def state(text, mode=0o644):
    return None if text is None else FileState(text.encode("utf-8"), mode, 0, 0)


def change(before, after, mode=0o644):
    return FileChange("/f", state(before), state(after, mode), "t", (), "")


def test_differences_hide_credentials_and_unchanged_lines():
    before = "a: 1\ndb:\n  password: theirs\nhttp_proxy: http://u:old@h:1\nsecret_key: x\n"
    after = before.replace("http://u:old@h:1", '"http://me:p%25w@h:1"')
    text = difference(change(before, after, 0o600), ["p%25w"])
    assert text == (
        "--- before: /f\n+++ after: /f\n@@ -4 +4 @@\n-http_proxy: http://********@h:1\n"
        '+http_proxy: "http://********@h:1"\n-mode 0644\n+mode 0600\n'
    )


def test_differences_of_new_and_removed_files():
    assert difference(change(None, "ours\n"), []) == (
        "--- before: /f\n+++ after: /f\n@@ -0,0 +1 @@\n+ours\n+mode 0644\n"
    )


@pytest.mark.parametrize(
    "text, expected",
    [
        ("password: x y", "password: ********"),
        ('"api_token" = "x"', '"api_token" = ********'),
        ("proxy_password=x", "proxy_password=********"),
        ("http://a:b@c/ http://d", "http://********@c/ http://d"),
        ("http_proxy: http://u:it's@c:1", "http_proxy: http://********@c:1"),
        ("http_proxy: http://u:p/w@c", "http_proxy: http://********@c"),
        ("http_proxy: http://u:p w@c", "http_proxy: http://********@c"),
        ("http_proxy: 'http://u:p@c'", "http_proxy: 'http://********@c'"),
        ('{"http-proxy": "http://a:b\\"@c", "no-proxy": "a"}', '{"http-proxy": "http://********@c", "no-proxy": "a"}'),
        (
            '"http-proxy": "http://a:b@c", "x": "http://d:e@f"',
            '"http-proxy": "http://********@c", "x": "http://********@f"',
        ),
        ("proxy = u:p@c:3128", "proxy = ********@c:3128"),
        ('"https_proxy": "u:p@c"', '"https_proxy": "********@c"'),
        ("bypass the tokens", "bypass the tokens"),
        ("a pw b", "a ******** b"),
    ],
)
def test_masks(text, expected):
    assert masked(text, ["pw"]) == expected
