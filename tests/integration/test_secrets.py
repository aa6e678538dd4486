# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ordinary user of a host, and one of the controller, can read of the secrets while a whole ``site`` runs.

The password of the proxy and the secret of the verification are random letters and digits, so each file and each
command line that holds one of them, in whatever form, holds these letters or their base64.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from ._watcher import NOBODY_ELSE, Watcher
from .systemd_lab import ROOT, SystemdLab

HOSTS = {"master": "determined_master", "agent1": "determined_agents", "gate": "beyond"}
CLUSTER = ("master", "agent1")
SERVICE, PROXY_PORT = "index.example.test", 3128
FOLDERS = ["/tmp", "/var/tmp", "/run", "/etc", "/dev/shm"]
MORE_FOLDERS = ["/home", "/var/lib", "/var/log"]  # of the hosts
STAND_IN = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


class SecretsLab(SystemdLab):
    """A cluster behind a proxy that wants a password. Its controller works in a home that everybody can read."""

    def __init__(self) -> None:
        super().__init__(HOSTS)
        self.password, self.secret = secrets.token_hex(12), secrets.token_hex(20)
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.home.mkdir()

    def environment(self, **more: str) -> dict[str, str]:
        # Without pipelining, modules pass through files on the hosts, as Ansible does it by default.
        return super().environment(HOME=str(self.home), ANSIBLE_PIPELINING="False", **more)

    def furnish(self) -> None:
        password = f"p%@ {self.password}"
        hashed = subprocess.run(
            ["openssl", "passwd", "-apr1", "-stdin"], input=password, text=True, capture_output=True, check=True
        )
        self.write("gate", "/etc/squid/users", f"cluster:{hashed.stdout}")
        settings = (
            f"http_port {PROXY_PORT}\nauth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/users\n"
            "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\ncache deny all\n"
        )
        self.write("gate", "/etc/squid/squid.conf", settings)
        self.shell("gate", f"echo '127.0.0.1 {SERVICE}' >>/etc/hosts; systemctl start squid nginx")
        for host, unit in (("master", "determined-master"), ("agent1", "determined-agent")):
            self.write(host, f"/etc/systemd/system/{unit}.service", STAND_IN)
            self.write(host, f"/etc/determined/{unit.partition('-')[2]}.yaml", "# empty\nlabel: a\n")
            self.shell(host, f"systemctl daemon-reload; systemctl enable --quiet --now {unit}")
            self.shell(host, f"useradd --uid {NOBODY_ELSE} curious")  # D-Bus talks only to users that have a name
        self.start_docker("agent1")
        proxy = f"http://{self.addresses['gate'][0]}:{PROXY_PORT}"
        self.inventory(
            determined_mode="restrict",
            determined_proxy_http=proxy,
            determined_proxy_https=proxy,
            determined_proxy_username="cluster",
            determined_services=[{"host": SERVICE, "ports": 80, "scheme": "http"}],
            determined_verify_sweep="sample",
        )
        self.variables = self.folder / "secrets.json"
        self.variables.touch(0o600)
        # Extra variables also outrank what the role makes itself, so the secret of the verification is known here.
        self.variables.write_text(json.dumps({"determined_proxy_password": password, "__verify_secret": self.secret}))

    def site(self, *arguments: str, **variables: object) -> str:
        done = self.play("site", "--limit", "master,agent1", "-e", f"@{self.variables}", *arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.password not in done.stdout + done.stderr and self.secret not in done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def lab():
    with SecretsLab() as made:
        made.furnish()
        yield made


@pytest.fixture
def watchers(lab):
    """Place -> its watcher: an ordinary user of agent, master, and controller, which is this machine."""
    known = [lab.password, lab.secret]
    with ExitStack() as stack:
        found = {host: Watcher(lab.enter(host, "python3"), known, [*FOLDERS, *MORE_FOLDERS]) for host in CLUSTER}
        found["controller"] = Watcher([sys.executable], known, [*FOLDERS, str(lab.folder)])
        for one in found.values():
            stack.enter_context(one)
        yield found


def asked_by_a_user(lab: SystemdLab, host: str) -> str:
    """What systemd tells any user of a host."""
    user = ["setpriv", f"--reuid={NOBODY_ELSE}", f"--regid={NOBODY_ELSE}", "--clear-groups"]
    script = "systemctl show --all '*'; systemctl cat '*.service'; systemctl status '*'; journalctl --no-pager; true"
    return lab.run(host, *user, "sh", "-c", script).stdout


def test_a_user_reads_no_secret_while_a_whole_site_runs_nor_afterwards(lab, watchers):
    said = lab.site()
    assert "resource_access            open         1 of 1     correct" in said, "the proxy was used"
    assert {name: watcher.found() for name, watcher in watchers.items()} == dict.fromkeys(watchers, {})
    for host in CLUSTER:
        holding = lab.shell(host, f"grep -rl {lab.password} /etc").split()
        assert len(holding) >= 4, f"the control: the password is there, {holding}"
        told = asked_by_a_user(lab, host)
        assert "EnvironmentFiles=/etc/" in told and lab.password not in told and lab.secret not in told


# Writes a secret into a file that everybody can read until shortly before that.
CARELESS = """
import base64, os, sys, time
path, secret = sys.argv[1], sys.stdin.read()
os.mkdir(os.path.dirname(path))
with open(path, "w") as file:
    time.sleep(0.5)
    os.chmod(path, 0o600)
    file.write(base64.b64encode(b"cluster:" + secret.encode()).decode())
os.remove(path)
os.rmdir(os.path.dirname(path))
"""


@pytest.mark.parametrize("name", [*CLUSTER, "controller"])
def test_the_watchers_see_what_a_careless_command_shows(lab, watchers, name):
    def run(*command: str, text: str = "") -> None:
        entered = list(command) if name == "controller" else lab.enter(name, *command)
        subprocess.run(entered, input=text, text=True, check=True)

    run("sh", "-c", "sleep 0.5; true", "sh", lab.secret)
    (place,) = watchers[name].found()
    assert re.fullmatch(r"/proc/\d+/cmdline", place)
    path = f"{lab.home if name == 'controller' else '/run'}/careless/file"
    run("python3", "-c", CARELESS, path, text=lab.password)
    assert set(watchers[name].found()) == {place, path}
    # What belongs to root alone is not seen.
    script = 'umask 077; read -r HIDDEN; export HIDDEN; exec sh -c \'echo "$HIDDEN" >"$1"; sleep 0.5\' sh "$1"'
    run("sh", "-c", script, "sh", path.replace("/careless/", "-"), text=f"{lab.secret}\n")
    assert set(watchers[name].found()) == {place, path}


def documented_as_shared() -> list[str]:
    """The paths of docs/proxy.md that have other permissions if users may read the credentials."""
    text = (ROOT / "docs/proxy.md").read_text()
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("| `")]
    rows = [row for row in rows if row[3].startswith(("0600:", "not written"))]
    return [path for row in rows for path in re.findall(r"`(/etc/[\w./-]+)`", row[2])]


def test_shared_credentials_are_read_where_it_is_documented_and_nowhere_else(lab, watchers):
    """A control with the product itself: what an administrator opens by this variable, the watchers see."""
    lab.site("--tags", "proxy", determined_proxy_share_credentials=True)
    documented = documented_as_shared()
    folders = {str(Path(path).parent) for path in documented} | set(documented)
    for host in CLUSTER:
        found = watchers[host].found()
        assert "/etc/environment" in found
        # A file is written beside its place, with its permissions, and then renamed.
        new = {path for path in found if "/.determined-network-" in path}
        assert {str(Path(path).parent) for path in new} <= folders
        assert [path for path in found if path not in new and not path.startswith(tuple(documented))] == []
    assert watchers["controller"].found() == {}
