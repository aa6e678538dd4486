# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of task containers in master.yaml: what changes, and that nothing else does."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import master_yaml
from ansible_collections.determined.network.plugins.module_utils._proxy.errors import FormatError

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
    found = master_yaml.set_task_variables(text, OURS)
    assert found == expected
    assert master_yaml.set_task_variables(found, OURS) == found


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
    with pytest.raises(FormatError) as problem:
        master_yaml.set_task_variables(text, OURS)
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
    changed = master_yaml.set_task_variables(original, OURS) + "mine: 1\n"
    assert master_yaml.restore_task_variables(changed, original) == original + "mine: 1\n"


def test_lines_to_show():
    assert "\n".join(master_yaml.task_lines(OURS)) + "\n" == "task_container_defaults:\n" + LIST
