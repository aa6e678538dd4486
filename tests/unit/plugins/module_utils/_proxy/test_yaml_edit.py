# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of agent.yaml and the list of master.yaml: what changes, and that nothing else does."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import yaml_edit as edit
from ansible_collections.determined.network.plugins.module_utils._proxy.yaml_reader import YamlProblem


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


OURS = [("HTTP_PROXY", "x"), ("http_proxy", "x")]
TWO = '    - "HTTP_PROXY=x"\n    - "http_proxy=x"\n'
LIST = "  environment_variables:\n" + TWO


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "task_container_defaults:\n" + LIST),
        ("a: 1\n", "a: 1\ntask_container_defaults:\n" + LIST),
        ("task_container_defaults:\nb: 1\n", "task_container_defaults:\n" + LIST + "b: 1\n"),
        (
            "task_container_defaults:\n    shm: 1 # c\n\n# b\nb: 1\n",
            "task_container_defaults:\n    shm: 1 # c\n"
            '    environment_variables:\n      - "HTTP_PROXY=x"\n      - "http_proxy=x"\n\n# b\nb: 1\n',
        ),
        (
            "task_container_defaults:\n  environment_variables: []\n  a: 1\n",
            "task_container_defaults:\n" + LIST + "  a: 1\n",
        ),
        ("task_container_defaults:\n  environment_variables:\n", "task_container_defaults:\n" + LIST),
        (
            "task_container_defaults:\n  environment_variables:\n  - A=1 # c\n  - no_proxy=y\n  # d\n"
            "  - 'https_proxy=z'\nb: 1\n",
            'task_container_defaults:\n  environment_variables:\n  - A=1 # c\n  - "HTTP_PROXY=x"\n  - "http_proxy=x"\n'
            "  # d\nb: 1\n",
        ),
    ],
)
def test_task_variables(text, expected):
    found = edit.set_task_variables(text, OURS)
    assert found == expected
    assert edit.set_task_variables(found, OURS) == found


@pytest.mark.parametrize(
    "text, line",
    [
        ("task_container_defaults: {a: 1}\n", 1),
        ("a: 1\ntask_container_defaults: text\n", 2),
        ("task_container_defaults:\n  environment_variables: [A=1]\n", 2),
        ("task_container_defaults:\n  environment_variables:\n    cpu:\n      - A=1\n", 2),
        ("task_container_defaults:\n  a: [\n", 3),
    ],
)
def test_lists_that_cannot_be_extended(text, line):
    with pytest.raises(YamlProblem) as problem:
        edit.set_task_variables(text, OURS)
    assert problem.value.line == line


@pytest.mark.parametrize(
    "original",
    [
        "a: 1\n",
        "task_container_defaults:\nb: 1\n",
        "task_container_defaults:\n  environment_variables: []\nb: 1\n",
        "task_container_defaults:\n  environment_variables:\n    - A=1\nb: 1\n",
        "task_container_defaults:\n  shm: 1\nb: 1\n",
        "task_container_defaults:\n  environment_variables:\n    - A=1\n    - http_proxy=old # c\nb: 1\n",
    ],
)
def test_task_variables_are_taken_out_of_a_file_that_somebody_changed(original):
    changed = edit.set_task_variables(original, OURS) + "mine: 1\n"
    assert edit.restore_task_variables(changed, original) == original + "mine: 1\n"


def test_lines_to_show():
    assert "\n".join(edit.task_lines(OURS)) + "\n" == "task_container_defaults:\n" + LIST
