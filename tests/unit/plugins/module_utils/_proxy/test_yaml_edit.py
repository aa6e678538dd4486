# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of agent.yaml: what changes, and that nothing else does."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_edit as edit


@pytest.mark.parametrize(
    "text, values, expected",
    [
        ("", {"http_proxy": "x"}, 'http_proxy: "x"\n'),
        ("# c\n", {"http_proxy": "x"}, '# c\nhttp_proxy: "x"\n'),
        ("a: 1", {"http_proxy": "x"}, 'a: 1\nhttp_proxy: "x"\n'),
        ("a: 1\n# end\n", {"http_proxy": "x"}, 'a: 1\n# end\nhttp_proxy: "x"\n'),
        ("http_proxy: y # why\na: 1\n", {"http_proxy": "x"}, 'http_proxy: "x" # why\na: 1\n'),
        ("http_proxy:\n\na: 1\n", {"http_proxy": "x"}, 'http_proxy: "x"\n\na: 1\n'),
        ("no_proxy: y\n# b\nb: 1\n", {"http_proxy": "x"}, 'no_proxy: y\n# b\nb: 1\nhttp_proxy: "x"\n'),
        (
            "no_proxy: y\n# b\nb: 1\n",
            {"http_proxy": "x", "no_proxy": "z"},
            'no_proxy: "z"\nhttp_proxy: "x"\n# b\nb: 1\n',
        ),
        ("b:\n  http_proxy: y\n", {"http_proxy": "x"}, 'b:\n  http_proxy: y\nhttp_proxy: "x"\n'),
        ("a: |\n  b", {"http_proxy": "x"}, 'http_proxy: "x"\na: |\n  b'),
    ],
)
def test_keys(text, values, expected):
    assert edit.set_keys(text, values) == expected
    assert edit.set_keys(expected, values) == expected
