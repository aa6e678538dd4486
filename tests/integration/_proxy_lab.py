# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster whose only way out is a proxy that asks for a password.

``gate`` runs squid; ``far`` runs a registry and a package index behind TLS of a private authority, and accepts
connections only from the gate. Only the gate knows the names of what runs there. Agents run two releases of Docker.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import zipfile

import yaml

from .systemd_lab import SystemdLab

REGISTRY, INDEX = "registry.example.test", "index.example.test"
IMAGE = "tiny:1"
USERS = {"cluster": "p%40@:/#$'\"\\ &;`x", "second": "pässwörd € %zz"}
HOSTS = {
    "master": "determined_master",
    "agent1": "determined_agents",
    "agent2": "determined_agents",
    "gate": "beyond",
    "far": "beyond",
}
CLUSTER = ("master", "agent1", "agent2")
SQUID_PORT = 3128

AGENT_YAML = """## The agent of a cluster
master_host: head.cluster.example   # never by the proxy
master_port: 8080
resource_pool: "default"
no_proxy: old.example.com  # kept for the old cluster

fluent:
    image: fluent/fluent-bit:1.9.3
labels:
- a
- 'b: c'
"""
MASTER_YAML = """# The master
db:
  password: not-for-the-diff
task_container_defaults:
  shm_size_bytes: 4294967296
  environment_variables:
    - NCCL_DEBUG=INFO    # asked for
    - http_proxy=http://old.example.com:1/
checkpoint_storage: {type: shared_fs, host_path: /tmp}"""
STAND_IN = """[Unit]
Description=Stands in for %(name)s
%(more)s
[Service]
ExecStartPre=/bin/sleep 2
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
SNAPSHOT = """
import hashlib, json, os, stat
found = {}
for top in ("/etc", "/usr/local/share/ca-certificates", "/var/lib/determined-network"):
    for folder, folders, files in os.walk(top):
        for path in [folder] + [os.path.join(folder, name) for name in files + folders]:
            state = os.lstat(path)
            row = [oct(state.st_mode), state.st_uid, state.st_gid]
            if stat.S_ISLNK(state.st_mode):
                row.append(os.readlink(path))
            elif stat.S_ISREG(state.st_mode):
                row.append(hashlib.sha256(open(path, "rb").read()).hexdigest())
            found[path] = row
print(json.dumps(found))
"""


class ProxyLab(SystemdLab):
    """The hosts above, with everything that runs on them."""

    def __init__(self) -> None:
        super().__init__(HOSTS, releases={"agent2": "trixie"})
        self.variables: dict[str, object] = {}

    def __enter__(self) -> ProxyLab:
        super().__enter__()
        try:
            self._certificates()
            self._far()
            self._gate()
            self._cluster()
        except BaseException:
            self.close()
            raise
        return self

    # What was there before the test

    def _certificates(self) -> None:
        def openssl(words: str, *more: str) -> None:
            subprocess.run(["openssl", *words.split(), *more], cwd=self.folder, check=True, capture_output=True)

        (self.folder / "names").write_text(f"subjectAltName=DNS:{REGISTRY},DNS:{INDEX}")
        openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj", "/CN=A private authority")
        openssl("req -newkey rsa:2048 -nodes -keyout far.key -out far.csr -subj", f"/CN={REGISTRY}")
        openssl("x509 -req -in far.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out far.pem")

    def _far(self) -> None:
        four = self.addresses["gate"][0]
        for name in ("far.pem", "far.key"):
            self.write("far", f"/etc/far/{name}", (self.folder / name).read_text())
        self.shell("far", f"chmod -R a+rX /etc/far && echo '127.0.0.1 {REGISTRY} {INDEX}' >>/etc/hosts")
        registry = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": "/srv/registry"}},
            "http": {"addr": ":5000", "tls": {"certificate": "/etc/far/far.pem", "key": "/etc/far/far.key"}},
        }
        self._registry("far", registry)
        self.write("far", f"/etc/docker/certs.d/{REGISTRY}:5000/ca.crt", (self.folder / "ca.pem").read_text())
        self.start_docker("far")
        name = f"{REGISTRY}:5000/{IMAGE}"
        self.shell(
            "far", f"docker tag busybox:test {name} && docker push {name} && systemctl stop docker docker.socket"
        )
        self._packages()
        site = f"""server {{
            listen 80; listen 443 ssl; server_name {INDEX}; root /srv/index; autoindex on;
            ssl_certificate /etc/far/far.pem; ssl_certificate_key /etc/far/far.key;
        }}"""
        self.write("far", "/etc/nginx/sites-enabled/default", site)
        self.shell("far", "systemctl restart nginx")
        self.shell("far", f"iptables -A INPUT ! -i lo ! -s {four} -j DROP && ip6tables -A INPUT ! -i lo -j DROP")

    def _registry(self, host: str, settings: dict) -> None:
        self.write(host, "/srv/registry.yml", yaml.safe_dump(settings))
        self.shell(
            host,
            "mkdir -p /srv/registry"
            " && systemd-run --quiet --unit=test-registry docker-registry serve /srv/registry.yml",
        )

    def _packages(self) -> None:
        control = (
            "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: A test <a@example.com>\nDescription: nothing\n"
        )
        self.write("far", "/srv/tiny/DEBIAN/control", control)
        self.shell("far", "mkdir -p /srv/index/apt && dpkg-deb --build /srv/tiny /srv/index/apt/tiny.deb")
        size, digest = self.shell(
            "far", "stat -c %s /srv/index/apt/tiny.deb; sha256sum </srv/index/apt/tiny.deb | cut -d' ' -f1"
        ).split()
        row = f"{control}Filename: ./tiny.deb\nSize: {size}\nSHA256: {digest}\n"
        self.write("far", "/srv/index/apt/Packages", row)
        wheel = self.folder / "tiny-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("tiny.py", "")
            archive.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
            archive.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr("tiny-1.dist-info/RECORD", "")
        self.shell("far", "mkdir -p /srv/index/simple/tiny")
        subprocess.run(
            ["docker", "cp", str(wheel), f"{self.container('far')}:/srv/index/simple/tiny/"],
            check=True,
            capture_output=True,
        )

    def _gate(self) -> None:
        lines = []
        for name, password in USERS.items():
            done = subprocess.run(
                ["openssl", "passwd", "-apr1", "-stdin"], input=password, text=True, capture_output=True, check=True
            )
            lines.append(f"{name}:{done.stdout.strip()}\n")
        self.write("gate", "/etc/squid/users", "".join(lines))
        settings = f"""http_port {SQUID_PORT}
auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/users
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
access_log stdio:/var/log/squid/access.log logformat=squid
cache deny all
shutdown_lifetime 1 seconds
"""
        self.write("gate", "/etc/squid/squid.conf", settings)
        far = self.addresses["far"][0]
        self.shell("gate", f"echo '{far} {REGISTRY} {INDEX}' >>/etc/hosts && systemctl start squid")

    def _cluster(self) -> None:
        four = self.addresses["master"][0]
        plain = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": "/srv/registry"}},
            "http": {"addr": ":5000"},
        }
        # The same image in a plain registry on the master: what dockerd gets from there must not pass the proxy.
        far, master = self.container("far"), self.container("master")
        copy = f"docker exec {far} tar -C /srv -c registry | docker exec -i {master} tar -C /srv -x"
        subprocess.run(["sh", "-ec", copy], check=True, capture_output=True)
        self._registry("master", plain)
        self.serve("master", 8080)
        for agent in ("agent1", "agent2"):
            self.serve(agent, 8080)
            self.write(agent, "/etc/determined/agent.yaml", AGENT_YAML)
            self.write(agent, "/etc/docker/daemon.json", json.dumps({"insecure-registries": [f"{four}:5000"]}))
            self._stand_in(agent, "determined-agent", "Requires=docker.service\nAfter=docker.service\n")
            self.start_docker(agent)
            self.shell(agent, "systemctl start determined-agent")
        self.write("master", "/etc/determined/master.yaml", MASTER_YAML)
        self._stand_in("master", "determined-master", "")
        self.shell("master", "systemctl start determined-master")

    def _stand_in(self, host: str, name: str, more: str) -> None:
        self.write(host, f"/etc/systemd/system/{name}.service", STAND_IN % {"name": name, "more": more})
        self.shell(host, f"systemctl daemon-reload && systemctl enable --quiet {name}")

    # What tests ask

    def describe(self, per_host: dict[str, dict] | None = None, user: str = "cluster", **variables: object) -> None:
        """Write the inventory with the proxy's description."""
        proxy = f"http://{self.addresses['gate'][0]}:{SQUID_PORT}"
        described = {
            "determined_proxy_http": proxy,
            "determined_proxy_https": proxy,
            "determined_proxy_username": user,
            "determined_proxy_password": USERS[user],
            "determined_proxy_ca_certificate": str(self.folder / "ca.pem"),
            "determined_services": [{"host": REGISTRY, "ports": "5000", "purpose": "registry"}],
        }
        path = self.inventory(**{**described, **variables})
        data = yaml.safe_load(path.read_text())
        for name, own in (per_host or {}).items():
            group = data["all"]["children"][HOSTS.get(name, "determined_agents")]["hosts"]
            group.setdefault(name, {}).update(own)
        path.write_text(yaml.safe_dump(data, sort_keys=False))

    def configure(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        return self.play("site", "--tags", "proxy", "--limit", ",".join(CLUSTER), *arguments, **variables)

    def snapshot(self) -> dict[str, dict]:
        """Host -> path -> mode, owner, and content of everything below /etc and where we keep things."""
        return {host: json.loads(self.run(host, "python3", "-c", SNAPSHOT).stdout) for host in CLUSTER}

    def log(self) -> list[str]:
        """What squid was asked for, a line each."""
        return self.shell("gate", "cat /var/log/squid/access.log 2>/dev/null || true").splitlines()

    def pid(self, host: str, service: str) -> str:
        return self.shell(host, f"systemctl show --property=MainPID --value {service}").strip()

    def starting(self, host: str, service: str) -> tuple[int, int]:
        """When a service last began to start and when it had started, in microseconds of this machine's clock."""
        names = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        begun, done = (self.shell(host, f"systemctl show --property={name} --value {service}") for name in names)
        return int(begun), int(done)

    def variables_of(self, host: str, service: str) -> dict[str, str]:
        """The environment of a running service."""
        text = self.shell(host, f"tr '\\0' '\\n' </proc/{self.pid(host, service)}/environ")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def as_root(self, host: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in root's login shell, as an administrator would. (sudo alone drops the proxy's variables.)"""
        return self.ssh(host, f"sudo -i sh -c {shlex.quote(command)}")


def changes(before: dict, after: dict) -> dict[str, list[str]]:
    """Two snapshots -> host -> the paths that differ."""
    return {
        host: sorted(
            path for path in before[host].keys() | after[host].keys() if before[host].get(path) != after[host].get(path)
        )
        for host in before
    }
