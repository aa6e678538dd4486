# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as they are found on hosts, and the proxy settings in them."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy_check import files

P = "http://p:1"


SHELL = """
# https_proxy=http://commented:1
PATH=/bin
http_proxy=http://p:1
export HTTPS_PROXY="http://u:p w@p:1"; echo
  no_proxy='a,b' # why
NO_PROXY=
ftp_proxy="unfinished
"""


def test_assignments_of_a_shell():
    assert files.shell_assignments(SHELL) == {
        "http_proxy": "http://p:1",
        "HTTPS_PROXY": "http://u:p w@p:1",
        "no_proxy": "a,b",
        "NO_PROXY": "",
        "ftp_proxy": '"unfinished',
    }


@pytest.mark.parametrize(
    "line, expected",
    [
        ("export http_proxy=a https_proxy=b no_proxy=c", {"http_proxy": "a", "https_proxy": "b", "no_proxy": "c"}),
        ("export LANG=C http_proxy=a", {"http_proxy": "a"}),
        ('[ -n "$x" ] && export no_proxy=a; echo', {"no_proxy": "a"}),
        ("if [ -e /x ]; then http_proxy=$P; fi", {"http_proxy": "$P"}),
        ("http_proxy=a; no_proxy=b", {"http_proxy": "a", "no_proxy": "b"}),
        ("echo http_proxy=a", {}),
        ("unset http_proxy", {}),
    ],
)
def test_several_assignments_in_a_line(line, expected):
    assert files.shell_assignments(line) == expected


def test_a_list_that_only_the_shell_knows_is_told():
    with pytest.raises(ValueError, match="line 2: NO_PROXY contains other variables"):
        files.shell_assignments('http_proxy=$P\nexport NO_PROXY="$NO_PROXY,a"')


def test_the_environment_of_a_process():
    data = b"A=b\0HTTP_PROXY=http://p:1\0no_proxy=a=b\0\0NO_PROXY\0"
    assert files.process_environment(data) == {"HTTP_PROXY": P, "no_proxy": "a=b", "NO_PROXY": ""}


UNIT = """[Unit]
Environment=HTTP_PROXY=http://elsewhere:1
[Service]
# Environment=HTTP_PROXY=http://commented:1
Environment="HTTP_PROXY=http://u:a%%40b@p:1" OTHER=1
Environment=NO_PROXY=a,\\
b
EnvironmentFile=-/etc/default/docker
EnvironmentFile=/etc/more
"""


def test_a_unit():
    variables = {"HTTP_PROXY": "http://u:a%40b@p:1", "NO_PROXY": "a,"}
    assert files.unit_settings(UNIT) == (variables, ["/etc/default/docker", "/etc/more"], False)


def test_an_empty_assignment_of_a_unit_removes_what_was_before():
    lines = ["Environment=HTTP_PROXY=x", "Environment=", "Environment=NO_PROXY=a", "EnvironmentFile=/x"]
    text = "\n".join(["[Service]", *lines, "EnvironmentFile="])
    assert files.unit_settings(text) == ({"NO_PROXY": "a"}, [], True)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        ("{}", {}),
        ("[]", {}),
        ('{"proxies": 3}', {}),
        ('{"proxies": {"http-proxy": "http://p:1", "no-proxy": "a", "x": 1}}', {"HTTP_PROXY": P, "NO_PROXY": "a"}),
    ],
)
def test_daemon_json(text, expected):
    assert files.daemon_proxies(text) == expected


def test_broken_daemon_json_is_told():
    with pytest.raises(ValueError):
        files.daemon_proxies("{")


AGENT = """# comment
master_host: head.example.com   # the master
master_port: 8080
http_proxy: "http://u:\\u0070@p:1" # x
https_proxy: 'http://it''s:1'
no_proxy: a,b#c
fluent:
  http_proxy: not this one
"""


def test_agent_yaml_with_quoted_keys():
    text = """"http_proxy": http://p:1\n'no_proxy' : a\n"""
    assert files.agent_settings(text) == {"http_proxy": "http://p:1", "no_proxy": "a"}


def test_agent_yaml_between_brackets():
    assert files.agent_settings("{master_host: head}\n") == {}
    with pytest.raises(ValueError, match="line 2"):
        files.agent_settings("# all at once\n{master_host: head, http_proxy: 'http://p:1'}\n")


def test_agent_yaml():
    settings = files.agent_settings(AGENT)
    assert settings == {
        "master_host": "head.example.com",
        "master_port": "8080",
        "http_proxy": "http://u:p@p:1",
        "https_proxy": "http://it's:1",
        "no_proxy": "a,b#c",
    }
    assert files.agent_variables(settings) == {
        "HTTP_PROXY": "http://u:p@p:1",
        "HTTPS_PROXY": "http://it's:1",
        "NO_PROXY": "a,b#c",
    }
    assert files.agent_settings("no_proxy: ~\nhttp_proxy:\nhttps_proxy: # none\n") == {
        "no_proxy": "",
        "http_proxy": "",
        "https_proxy": "",
    }


MASTER_YAML = """
task_container_defaults:
  environment_variables:
    - NCCL_DEBUG=INFO
    - http_proxy=http://p:1 # why
    - "no_proxy=a,\\u0062"
    - 'NO_PROXY=a,b'
#   - https_proxy=http://commented:1
"""


def test_variables_for_tasks():
    expected = {"http_proxy": "http://p:1", "no_proxy": "a,b", "NO_PROXY": "a,b"}
    assert files.task_variables(MASTER_YAML) == expected
    assert files.task_variables("") == {}


@pytest.mark.parametrize("value", ["|", ">-", "*other", "&name x", "[a, b]", "{a: b}", '"unfinished', "'unfinished"])
def test_yaml_beyond_this_reader_is_told_by_its_line(value):
    with pytest.raises(ValueError, match="line 2: "):
        files.agent_settings(f"a: b\nno_proxy: {value}\n")


@pytest.mark.parametrize("text", ["https_proxy:\n  http://x:1", "a: 1\nno_proxy: a,\n\n  # so on\n  b"])
def test_agent_yaml_over_several_lines_is_told(text):
    with pytest.raises(ValueError, match="line [12]: this way"):
        files.agent_settings(text)


def test_agent_yaml_with_what_is_no_concern():
    text = "http_proxy:\n# no more\n\nlabels:\n  - a\nmaster_host: h\n"
    assert files.agent_settings(text) == {"http_proxy": "", "master_host": "h"}


@pytest.mark.parametrize("text", ["a: [http_proxy=http://p:1]", "- FOO=1\n- {b: no_proxy=a}"])
def test_variables_for_tasks_within_brackets_are_told(text):
    with pytest.raises(ValueError, match="line [12]: this way"):
        files.task_variables(text)


def test_a_comment_in_master_yaml_puzzles_nobody():
    assert files.task_variables("# http_proxy=a\nb: 1 # or no_proxy=c\n") == {}
