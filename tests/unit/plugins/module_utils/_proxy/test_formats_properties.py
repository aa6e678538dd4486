# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written is read back by the real reader of each format, whatever the credentials are."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils._proxy import (
    description,
    edits,
    formats,
    paths,
    targets,
)
from ansible_collections.determined.network.plugins.module_utils._proxy.request import Host, Settings
from hypothesis import given, settings
from hypothesis import strategies as st

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

odd = st.text(
    st.one_of(st.sampled_from("%@:/#$'\"\\ &;`?[]{}!*=+~<>|^ü€"), st.characters(blacklist_categories=("Cs", "Cc"))),
    min_size=1,
)
checked = settings(derandomize=True, deadline=None, max_examples=60)
slow = settings(derandomize=True, deadline=None, max_examples=8)
NO_PROXY = ["localhost", "127.0.0.1", "::1", "[::1]", "head.example.com", ".example.com", "198.51.100.0/24", "h:8080"]


def describe(password, username="me"):
    found, problems = description.describe(
        dict.fromkeys(description.PROTOCOLS, "http://proxy.example.com:3128"),
        username,
        password,
        NO_PROXY,
        NO_PROXY[:3],
    )
    assert problems == []
    return found


def credentials(url):
    found = description.parse(url)
    return found.username, found.password


@checked
@given(odd)
def test_shells_and_environment_files(password):
    """Both are also read by shells; systemd's and PAM's own rules are tested on hosts."""
    pairs = description.environment(describe(password))
    for text in (
        formats.shell_script(pairs),
        formats.environment_file(pairs),
        "\n".join(formats.login_environment(pairs)),
    ):
        words = [shlex.split(line.replace("export ", ""), comments=True) for line in text.splitlines()]
        assert [tuple(found[0].split("=", 1)) for found in words if found] == pairs
    assert credentials(dict(pairs)["https_proxy"]) == ("me", password)


@slow
@given(odd)
def test_a_real_shell(password):
    pairs = description.environment(describe(password))
    for text in (formats.shell_script(pairs), "set -a\n" + formats.environment_file(pairs)):
        done = subprocess.run(["sh", "-c", text + "\nenv -0"], env={}, capture_output=True, check=True)
        found = dict(item.split("=", 1) for item in done.stdout.decode().split("\0") if "_" in item.partition("=")[0])
        assert {name: found[name] for name, _value in pairs} == dict(pairs)


@checked
@given(st.text(st.characters(blacklist_categories=("Cs", "Cc"))))
def test_shell_words_of_anything(text):
    assert shlex.split(formats.shell_quoted(text)) == [text]
    assert shlex.split(formats.sysconfig(text).replace("\\$", "$").replace("\\`", "`")) == [text]


@checked
@given(odd)
def test_toml_and_ini(password):
    found = describe(password)
    pairs = description.environment(found)
    read = tomllib.loads(formats.containers_conf(pairs))
    assert [tuple(item.split("=", 1)) for item in read["engine"]["env"]] == pairs
    url = found.proxies["https"].url
    edit = edits.Edit(edits.INI, "global", ("proxy",), {"proxy": url})
    parser = configparser.RawConfigParser()  # pip's
    parser.read_string(edits.apply(edit, "[global]\nindex-url = http://x\nproxy = old\n"))
    assert parser["global"]["proxy"] == url


@checked
@given(odd)
def test_yaml_and_json(password):
    found = describe(password)
    host = Host(("master", "agents"), frozenset(paths.PATHS), frozenset(["dockerd"]), frozenset(), (26, 1), False)
    wanted = Settings(found, (), (), tuple(targets.TARGETS), "auto", "write", False)
    files, _skipped, problems = targets.requested(wanted, host)
    assert problems == []
    texts = {file.path: edits.apply(file.edit, None) for file in files}
    agent = yaml.safe_load(texts[paths.AGENT_YAML])
    assert {credentials(agent[f"{protocol}_proxy"]) for protocol in description.PROTOCOLS} == {("me", password)}
    assert agent["no_proxy"] == ",".join(NO_PROXY)
    items = yaml.safe_load(texts[paths.MASTER_YAML])["task_container_defaults"]["environment_variables"]
    assert [tuple(item.split("=", 1)) for item in items] == description.environment(found)
    proxies = json.loads(texts[paths.DAEMON_JSON])["proxies"]
    assert credentials(proxies["https-proxy"]) == ("me", password)
    assert proxies["no-proxy"] == ",".join(NO_PROXY[:3])
    assert set(proxies) == {"http-proxy", "https-proxy", "no-proxy"}


@slow
@given(password=odd)
def test_git(password, tmp_path_factory):
    path = tmp_path_factory.mktemp("git") / "config"
    found = describe(password)
    path.write_text(edits.apply(edits.Edit(edits.BLOCK, "", (), formats.git_lines(found)), "[http]\n\tproxy = old\n"))
    done = subprocess.run(["git", "config", "--file", path, "http.proxy"], capture_output=True, text=True, check=True)
    assert done.stdout == found.proxies["https"].url + "\n"


@pytest.mark.parametrize("password", ["p%40@:/#$'\"\\ &;`ü€", "plain", "//{};"])
def test_apt(password, tmp_path):
    found = describe(password)
    # The parts' folder must be named by a file, and hold nothing else.
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/proxy.conf").write_text(formats.apt(found))
    (tmp_path / "main").write_text(f'Dir::Etc::parts "{tmp_path}/parts";\n')
    program = shutil.which("apt-config")
    assert program, "apt-config belongs to Debian and Ubuntu, on which these tests run"
    environment = {**os.environ, "APT_CONFIG": str(tmp_path / "main")}
    text = subprocess.run([program, "dump"], env=environment, capture_output=True, text=True, check=True).stdout
    read = dict(re.findall(r'^Acquire::(\S+) "(.*)";$', text, re.MULTILINE))
    for protocol in description.PROTOCOLS:
        assert credentials(read[f"{protocol}::Proxy"]) == ("me", password)
    direct = {name.partition("::Proxy::")[2] for name, value in read.items() if value == "DIRECT"}
    assert {"localhost", "127.0.0.1", "::1", "head.example.com"} <= direct
    assert not [name for name in direct if name.startswith((".", "[")) or "/" in name]


def test_units():
    assert formats.unit_drop_in("/a%b.env").endswith("[Service]\nEnvironmentFile=/a%%b.env\n")


def test_logins_have_no_escapes():
    lines = formats.login_environment([("A", "x#y\"z'")])
    assert lines == ['A="x%23y%22z%27"']
