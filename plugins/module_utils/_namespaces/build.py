# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the keeper, process 1 of its own PID namespace, builds the namespaces of all hosts.

The keeper makes every namespace itself, one after the other, and holds each by an open file. That
costs a millisecond for each host and no process. A process enters a host through ``/proc/KEEPER/fd/N``.
When the keeper ends, nothing holds the namespaces any more, and the kernel kills every process of the PID
namespace (pid_namespaces(7)).
"""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
from typing import Dict, Iterator, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._namespaces import files, kernel
from ansible_collections.determined.network.plugins.module_utils._namespaces import hosts as namespaces

LAB = "/run/lab"
SEARCH_PATH = os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"])

Descriptors = Dict[str, int]  # {"mount": descriptor, "net": descriptor, "uts": descriptor}
Held = Dict[str, Descriptors]  # by the host's name


class BuildError(Exception):
    """The rehearsal cannot be built; the text is for the administrator."""


@contextlib.contextmanager
def step(what: str, ordinary_user: bool) -> Iterator[None]:
    """Turn a refused system call into a BuildError that says what was tried and what to do."""
    try:
        yield
    except OSError as problem:
        settings = {name: kernel.setting(name) for name in namespaces.FORBIDDING_SETTINGS}
        raise BuildError(
            namespaces.explain_refusal(what, problem, problem.errno == errno.ENOSPC, ordinary_user, settings)
        ) from problem


def build(hosts: Sequence[namespaces.Host], ordinary_user: bool) -> Held:
    """Hosts -> {name: {"mount": descriptor, "net": descriptor, "uts": descriptor}}, all open in this process.

    Raises BuildError.
    """
    has_ipv6 = os.path.isdir("/proc/sys/net/ipv6")
    _check_prerequisites(hosts, has_ipv6)
    with step("create network and mount namespaces", ordinary_user):
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS)
    with step("mount a private /proc and /run", ordinary_user):
        _mount_lab(ordinary_user)
    with step("overlay /etc (does this kernel have the overlay file system? 'modprobe overlay')", ordinary_user):
        plan = files.prepare(LAB, ordinary_user)
    outer = _open_current()
    held: Held = {}
    for host in hosts:
        with step("build the namespaces of host %s" % host.name, ordinary_user):
            held[host.name] = _build_host(host, plan, ordinary_user, has_ipv6)
            for kind in ("net", "uts", "mount"):
                kernel.enter(outer[kind])
    _connect(hosts, held, has_ipv6)
    kernel.enter(outer["net"])
    for descriptor in outer.values():
        os.close(descriptor)
    return held


def _check_prerequisites(hosts: Sequence[namespaces.Host], has_ipv6: bool) -> None:
    if shutil.which("ip", path=SEARCH_PATH) is None:
        raise BuildError(
            "The command 'ip' is missing on the control node: install the package iproute2 (Debian, Ubuntu) "
            "or iproute (Fedora, Enterprise Linux)."
        )
    with_ipv6 = [host.name for host in hosts if host.ipv6]
    if with_ipv6 and not has_ipv6:
        raise BuildError(
            "The control node's kernel has no IPv6 (ipv6.disable=1 on its command line?), but these hosts "
            "have IPv6 addresses: %s. Boot the control node with IPv6." % ", ".join(with_ipv6)
        )
    # Three open files hold a host. The others are the keeper's own.
    needed = 3 * len(hosts) + 200
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BuildError(
            "%d hosts need %d open files, and the hard limit is %d: raise it ('ulimit -Hn %d' as root, "
            "or LimitNOFILE= of the service)." % (len(hosts), needed, hard, needed)
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _mount_lab(ordinary_user: bool) -> None:
    # A mount of the rehearsal is not visible outside. What the machine unmounts is unmounted here too, so
    # that a rehearsal keeps no foreign device and no foreign namespace in use.
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    if not ordinary_user:
        for path in reversed(kernel.mount_points()):
            if path.startswith("/run/"):
                with contextlib.suppress(OSError):
                    kernel.unmount(path)
        # For real root, only the settings of the network have namespaces. The others are the machine's.
        kernel.mount("/proc/sys", "/proc/sys", "", kernel.MS_BIND)
        kernel.mount("/proc/sys/net", "/proc/sys/net", "", kernel.MS_BIND)
        kernel.mount("none", "/proc/sys", "", kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY)
    kernel.mount("run", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755")
    os.mkdir(LAB, 0o755)


def _build_host(host: namespaces.Host, plan: files.Plan, ordinary_user: bool, has_ipv6: bool) -> Descriptors:
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS)
    kernel.set_host_name(host.name)
    _write_settings(namespaces.host_settings(has_ipv6))
    try:
        kernel.mount(
            "sysfs",
            "/sys",
            "sysfs",
            kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC,
        )
    except OSError as problem:
        # Where parts of /sys are hidden (in containers), a user namespace may not see a new one.
        if problem.errno != errno.EPERM or not ordinary_user:
            raise
    private = os.path.join(LAB, "hosts", str(host.number))
    os.makedirs(private)
    files.make_private(plan, private, ordinary_user)
    return _open_current()


def _open_current() -> Descriptors:
    """Open the namespaces that this process is in."""
    return {
        kind: os.open("/proc/self/ns/" + file, os.O_RDONLY)
        for kind, file in (("mount", "mnt"), ("net", "net"), ("uts", "uts"))
    }


def _connect(hosts: Sequence[namespaces.Host], held: Held, has_ipv6: bool) -> None:
    _write_settings(namespaces.lab_settings(has_ipv6))
    # This process is number 1 of the /proc that it has mounted.
    paths = {name: "/proc/1/fd/%d" % descriptors["net"] for name, descriptors in held.items()}
    _ip(namespaces.lab_commands(hosts, paths, has_ipv6), "the lab")
    for host in hosts:
        kernel.enter(held[host.name]["net"])
        _ip(namespaces.host_commands(host, len(hosts)), "host %s" % host.name)


def _write_settings(settings: Sequence[Tuple[str, str]]) -> None:
    for path, value in settings:
        with open("/proc/sys/net/" + path, "w") as file:
            file.write(value)


def _ip(lines: Sequence[str], where: str) -> None:
    """Run iproute2 once for all lines (-batch in ip(8)). It stops at the first line that fails: BuildError."""
    process = subprocess.Popen(
        ["ip", "-batch", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
        close_fds=True,
    )
    output = process.communicate(("\n".join(lines) + "\n").encode("ascii"))[0]
    if process.returncode != 0:
        text = output.decode("utf-8", "replace").strip()
        number = text.rpartition("-:")[2]
        line = lines[int(number) - 1] if number.isdigit() and 0 < int(number) <= len(lines) else "?"
        raise BuildError("iproute2 cannot set up %s: %s (command: ip %s)" % (where, text, line))
