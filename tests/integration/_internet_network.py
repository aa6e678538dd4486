# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Internet in network namespaces: name service, a registry, web servers right and wrong, squid and tinyproxy.

``far`` holds the services, ``gate`` the proxies and the name service; master and agents are a cluster.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .lab import ROOT, Lab

GATE, FAR, SILENT = "198.51.100.40", "198.51.100.50", "198.51.100.99"
REGISTRY, INDEX, FORBIDDEN, GHOST = (f"{name}.example.test" for name in ("registry", "index", "forbidden", "ghost"))
PROXY = "proxy.example.test"
NAMES = {REGISTRY: FAR, INDEX: FAR, FORBIDDEN: FAR, PROXY: GATE, "nowhere.example.test": SILENT}
HOSTS = {
    "master": ("determined_master", ["192.0.2.10", "2001:db8:1::10"]),
    "agent1": ("determined_agents", ["192.0.2.21", "2001:db8:1::21"]),
    "agent2": ("determined_agents", ["192.0.2.22", "2001:db8:1::22"]),
    "gate": ("beyond", [GATE]),
    "far": ("beyond", [FAR]),
}
USER, PASSWORD = "cluster", "p%40@:/#$'\"\\ &;`pässwörd"
SQUID, SQUID_TLS, TINYPROXY, TINYPROXY_OPEN = 3128, 3129, 8888, 8889

# Ports of `far`, by what is wrong there.
GOOD, EXPIRED, NOT_YET, ANOTHER, UNTRUSTED = 8443, 8444, 8445, 8446, 8447
GARBAGE, SLOW, BROKEN, CLOSING, CLOSED, DROPPED, REJECTED, FORBIDS, LATE = (
    8448, 8450, 8451, 8453, 9999, 9998, 9997, 8455, 8456,
)  # fmt: skip

# A name service: answers A from its arguments, and NXDOMAIN for all else.
NAME_SERVICE = """
import socket, struct, sys, json
names = json.loads(sys.argv[1])
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[2], 53))
print("ready", flush=True)
while True:
    query, client = server.recvfrom(512)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind, name = struct.unpack("!H", query[at + 1 : at + 3])[0], ".".join(labels).lower()
    answer = names.get(name) if kind == 1 else None
    code = 0 if name in names else 3
    head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, bool(answer), 0, 0) + query[12 : at + 5]
    if answer:
        head += struct.pack("!HHHIH", 0xC00C, 1, 1, 5, 4) + socket.inet_aton(answer)
    server.sendto(head, client)
"""

# What no web server does: say something else, say nothing, hang up, answer late.
MISFITS = """
import socket, sys, threading, time
kept = []
def serve(port, manner):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((sys.argv[1], port))
    server.listen(16)
    times = 0
    def loop():
        nonlocal times
        while True:
            client = server.accept()[0]
            times += 1
            if manner == "garbage":
                client.sendall(b"220 mail: closed to strangers\\r\\n")
                kept.append(client)
            elif manner == "slow":
                kept.append(client)
            elif manner == "closing" or times == 1:
                client.recv(1)
                client.close()
            else:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
                client.close()
    threading.Thread(target=loop, daemon=True).start()
for argument in sys.argv[2:]:
    port, manner = argument.split("=")
    serve(int(port), manner)
print("ready", flush=True)
time.sleep(3600)
"""

# The metadata services, as Google and Amazon document them.
METADATA = """
import http.server, json, sys
cloud, address = sys.argv[1], sys.argv[2]
class Handler(http.server.BaseHTTPRequestHandler):
    def say(self, status, text="", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *arguments):
        print(self.command, self.path, file=open(sys.argv[3], "a"))
    def do_PUT(self):
        if cloud == "aws-v1":
            self.say(403)
        elif not cloud.startswith("aws") or self.path != "/latest/api/token":
            self.say(404)
        elif not 1 <= int(self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", 0)) <= 21600:
            self.say(400)
        else:
            self.say(200, "AQAEAtoken==", X_aws_ec2_metadata_token_ttl_seconds="60")
    def do_GET(self):
        if cloud == "another":
            return self.say(404)
        if cloud == "gcp":
            if self.headers.get("Metadata-Flavor") != "Google" or self.headers.get("X-Forwarded-For"):
                return self.say(403, "Missing Metadata-Flavor:Google header.")
            if self.path != "/computeMetadata/v1/instance/network-interfaces/?recursive=true":
                return self.say(404)
            config = {"externalIp": address, "type": "ONE_TO_ONE_NAT"}
            interface = {"accessConfigs": [config], "ip": "10.0.0.7", "mtu": 1460, "network": "projects/1/networks/x"}
            return self.say(200, json.dumps([interface]), Metadata_Flavor="Google", Content_Type="application/json")
        if cloud == "aws-v2" and self.headers.get("X-aws-ec2-metadata-token") != "AQAEAtoken==":
            return self.say(401)
        if self.path == "/latest/meta-data/network/interfaces/macs/":
            return self.say(200, "02:29:96:8f:6a:2d/")
        if self.path == "/latest/meta-data/network/interfaces/macs/02:29:96:8f:6a:2d/public-ipv4s" and address:
            return self.say(200, address)
        self.say(404)
server = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Handler)
print("ready", flush=True)
server.serve_forever()
"""

# Runs the host side with what stdin says, as the module does.
RUNNER = """
import json, sys
sys.path.insert(0, sys.argv[1])
asked = json.load(sys.stdin)
from ansible_collections.determined.network.plugins.module_utils._proxy_check import settings as proxy_check_settings
from ansible_collections.determined.network.plugins.module_utils._proxy_check import read as proxy_check_read
from ansible_collections.determined.network.plugins.module_utils._internet import targets as internet_targets
from ansible_collections.determined.network.plugins.module_utils._internet import cloud
from ansible_collections.determined.network.plugins.module_utils._internet import attempts
if asked["what"] == "cloud":
    instance = cloud.read()
    print(json.dumps(dict(instance._asdict())))
    sys.exit()
if asked["what"] == "bypass":
    host = proxy_check_read.Host(asked["reaches"]).read()
    wanted = [proxy_check_settings.Destination(*one) for one in asked["cluster"]] + host.destinations
    findings = proxy_check_settings.findings(host.places, wanted)
    print(json.dumps([findings, [p.name for p in host.places], host.problems]))
    sys.exit()
targets, proxies = internet_targets.read_targets(asked["targets"]), internet_targets.read_proxies(asked["proxies"])
used = [internet_targets.proxy_for(target, proxies, asked["no_proxy"]) for target in targets]
context = attempts.make_context(asked["ca"])
print(json.dumps(attempts.run(targets, used, context, asked["timeout"])))
"""


class Authority:
    """A private authority, and certificates of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._certificate("The test's authority", None, self._key, -30, 30)
        (folder / "ca.pem").write_text(self.pem)

    def _certificate(self, name: str, host: str | None, key, begins: int, ends: int, itself: bool = False) -> str:
        """``begins`` and ``ends`` in days from now."""
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The test's authority")])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject if itself else authority)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now + datetime.timedelta(days=begins))
        builder = builder.not_valid_after(now + datetime.timedelta(days=ends))
        builder = builder.add_extension(x509.BasicConstraints(host is None, None), True)
        if host is not None:
            names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address(FAR))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        signed = builder.sign(key if itself else self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, label: str, host: str, begins: int = -1, ends: int = 20, itself: bool = False) -> Path:
        """A certificate and its key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        path = self.folder / f"{label}.pem"
        path.write_text(self._certificate(host, host, key, begins, ends, itself) + secret)
        return path


class Network:
    """The running Internet of one test module."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.folder, self.lab = folder, lab
        self.python = os.environ.get("DETERMINED_HOST_PYTHON", sys.executable)
        self.authority = Authority(folder)
        self.processes: list[subprocess.Popen] = []
        self.squid_log = folder / "squid.log"

    def start(self) -> None:
        for host in HOSTS:
            self.lab.shell(host, f"rm -f /etc/resolv.conf; echo nameserver {GATE} > /etc/resolv.conf; "
                                 "echo options timeout:1 attempts:1 >> /etc/resolv.conf; "
                                 "echo hosts: files dns > /etc/nsswitch.conf")  # fmt: skip
        self.script("gate", NAME_SERVICE, json.dumps(NAMES), GATE)
        manners = {GARBAGE: "garbage", SLOW: "slow", CLOSING: "closing", LATE: "late"}
        self.script("far", MISFITS, FAR, *(f"{port}={manner}" for port, manner in manners.items()))
        self._web_servers()
        self._registry()
        self._proxies()
        self.lab.shell("far", f"iptables -w -A INPUT -p tcp --dport {DROPPED} -j DROP; "
                              f"iptables -w -A INPUT -p tcp --dport {REJECTED} -j REJECT --reject-with "
                              "icmp-admin-prohibited")  # fmt: skip
        self.wait("far", GOOD, 443, 80)
        self.wait("gate", SQUID, SQUID_TLS, TINYPROXY, TINYPROXY_OPEN)

    def _web_servers(self) -> None:
        certificates = {
            GOOD: self.authority.issue("good", INDEX),
            EXPIRED: self.authority.issue("expired", INDEX, -20, -10),
            NOT_YET: self.authority.issue("not-yet", INDEX, 10, 20),
            ANOTHER: self.authority.issue("another", "other.example.test"),
            UNTRUSTED: self.authority.issue("untrusted", INDEX, itself=True),
        }
        (self.folder / "web").mkdir()
        (self.folder / "web/index.html").write_text("an index of packages\n")
        tls = "".join(
            f"server {{ listen {FAR}:{port} ssl; ssl_certificate {path}; ssl_certificate_key {path}; }}\n"
            for port, path in certificates.items()
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {self.folder};" for kind in kinds)
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; user root; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log;\n"
            "events {}\n"
            f"http {{ access_log {self.folder}/access.log; {temporary}\nroot {self.folder}/web;\n{tls}"
            f"server {{ listen {FAR}:80; }}\n"
            f"server {{ listen {FAR}:{BROKEN}; return 503; }}\n"
            f"server {{ listen {FAR}:{FORBIDS}; return 403; }} }}\n"
        )
        self.command("far", f"exec nginx -c {configuration} -e {self.folder}/nginx.log")

    def _registry(self) -> None:
        pem = self.authority.issue("registry", REGISTRY)
        configuration = self.folder / "registry.yml"
        configuration.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.folder}/registry}}}}\n"
            f"http: {{addr: '{FAR}:443', tls: {{certificate: {pem}, key: {pem}}}}}\n"
        )
        self.command("far", f"exec docker-registry serve {configuration}")

    def _proxies(self) -> None:
        users = self.folder / "users"
        digest = subprocess.run(
            ["openssl", "passwd", "-apr1", "-stdin"], input=PASSWORD + "\n", capture_output=True, text=True, check=True
        )
        users.write_text(f"{USER}:{digest.stdout.strip()}\n")
        own = self.authority.issue("proxy", PROXY)
        configuration = self.folder / "squid.conf"
        configuration.write_text(
            f"http_port {GATE}:{SQUID}\nhttps_port {GATE}:{SQUID_TLS} tls-cert={own}\n"
            f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {users}\nauth_param basic utf8 on\n"
            "acl known proxy_auth REQUIRED\n"
            f"acl bad dstdomain {FORBIDDEN}\nhttp_access deny bad\nhttp_access allow known\nhttp_access deny all\n"
            f"cache deny all\naccess_log stdio:{self.squid_log}\ncache_log {self.folder}/squid-cache.log\n"
            f"pid_filename none\nconnect_timeout 3 seconds\nforward_timeout 4 seconds\ndns_nameservers {GATE}\n"
            "shutdown_lifetime 0 seconds\ncoredump_dir /tmp\nnetdb_filename none\ncache_effective_user proxy\n"
            f"visible_hostname {PROXY}\n"
        )
        # Its shared memory would outlive it, were it not the namespace's own.
        self.command("gate", f"mount -t tmpfs none /dev/shm; exec squid -N -f {configuration}")
        (self.folder / "filter").write_text("forbidden\n")
        for port, more in ((TINYPROXY, f"BasicAuth {USER} simple\n"), (TINYPROXY_OPEN, "")):
            path = self.folder / f"tinyproxy-{port}.conf"
            path.write_text(
                f'Port {port}\nListen {GATE}\nTimeout 5\nUser root\nGroup root\nFilter "{self.folder}/filter"\n{more}'
            )
            self.command("gate", f"exec tinyproxy -d -c {path}")

    def command(self, host: str, command: str) -> subprocess.Popen:
        """Start something on a host that goes on until the network is removed."""
        command_line = [*self.lab.enter(host), "setpriv", "--pdeathsig", "KILL", "sh", "-ec", command]
        with open(self.folder / f"{len(self.processes)}.err", "wb") as said:
            process = subprocess.Popen(command_line, stdout=subprocess.DEVNULL, stderr=said)
        self.processes.append(process)
        return process

    def script(self, host: str, script: str, *arguments: str) -> subprocess.Popen:
        """Start a Python script on a host, and wait until it is ready."""
        command = [*self.lab.enter(host), "setpriv", "--pdeathsig", "KILL", sys.executable, "-c", script, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    def wait(self, host: str, *ports: int) -> None:
        """Until all of these TCP ports of a host listen."""
        until = time.monotonic() + 30
        while True:
            listening = self.lab.shell(host, "ss -Hltn")
            if all(f":{port} " in listening for port in ports):
                return
            assert time.monotonic() < until, f"{host}: {listening}\n{self.errors()}"
            time.sleep(0.1)

    def errors(self) -> str:
        """What the services said."""
        paths = [*self.folder.glob("*.err"), *self.folder.glob("*cache.log"), self.folder / "nginx.log"]
        return "\n".join(f"{path}: {path.read_text(errors='replace')[-1500:]}" for path in paths if path.exists())

    def stop(self) -> None:
        for process in self.processes:
            end(process)

    def run(self, host: str, **asked: object) -> object:
        """Run the host side there, see RUNNER."""
        command = [*self.lab.enter(host), self.python, "-c", RUNNER, str(ROOT / "build/collections")]
        done = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def reach(self, *targets: dict, proxies: tuple = (), no_proxy: str = "", timeout: float = 3, ca: str | None = None):
        """Reach targets from agent1 -> for each (state, step, blame), and all results."""
        whole = [{"purpose": "resource", "path": "", "scheme": "https", **target} for target in targets]
        ways = [{"authorization": "", "scheme": "http", **proxy} for proxy in proxies]
        results = self.run(
            "agent1",
            what="reach",
            targets=whole,
            proxies=ways,
            no_proxy=no_proxy,
            timeout=timeout,
            ca=self.authority.pem if ca is None else ca,
        )
        return [(one["state"], one["step"], one["blame"]) for one in results], results


def end(process: subprocess.Popen) -> None:
    """End a process that this module started; nsenter's child dies with it."""
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


@contextlib.contextmanager
def network(folder: Path, name: str, **variables: object) -> Iterator[Network]:
    """The Internet, for as long as the block lasts."""
    # squid does not run as root, and pytest's folders are root's alone.
    services = Path(tempfile.mkdtemp(prefix="determined-network-"))
    services.chmod(0o777)
    with Lab(folder, name, HOSTS, **variables) as lab:
        built = Network(services, lab)
        try:
            built.start()
            yield built
        finally:
            built.stop()
            shutil.rmtree(services)
