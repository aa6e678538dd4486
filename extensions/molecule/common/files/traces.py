"""Look for anything of ours on this host: units, files, chains, rules, sets, policies.

Usage: traces.py      (as root)
Prints JSON: {where: [lines that name us]}, without the places where nothing was found. A place that could not be looked
at is an error.
"""

import json
import os
import shutil
import subprocess
import sys

OURS = "determined"
COMMANDS = [
    "nft list ruleset",
    "iptables-nft-save",
    "ip6tables-nft-save",
    "iptables-legacy-save",
    "ip6tables-legacy-save",
    "ipset list",
    "systemctl list-unit-files --all --no-pager",
    "systemctl list-units --all --no-pager --full",
]
FIREWALLD = [
    "firewall-cmd --list-all-policies",
    "firewall-cmd --permanent --list-all-policies",
    "firewall-cmd --list-all-zones",
    "firewall-cmd --permanent --list-all-zones",
    "firewall-cmd --get-ipsets",
    "firewall-cmd --permanent --get-ipsets",
    "firewall-cmd --direct --get-all-rules",
]
# Places that hold state, and what we have no business in.
FOLDERS = ["/etc", "/run", "/usr", "/opt", "/root", "/srv", "/home", "/tmp", "/var"]
FOREIGN = ["/var/lib/docker"]


def named(lines):
    return [line.strip() for line in lines if OURS in line.lower()]


def files():
    found = []
    for top in FOLDERS:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in FOREIGN]
            found += [os.path.join(folder, name) for name in folders + names if OURS in name.lower()]
    return found


def contents(top):
    found = []
    for folder, _unused, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, errors="replace") as file:
                if named(file):
                    found.append(path)
    return found


def main():
    found = {"files": files(), "contents of /etc/firewalld": contents("/etc/firewalld")}
    running = subprocess.run(["systemctl", "is-active", "--quiet", "firewalld"], check=False).returncode == 0
    for command in COMMANDS + (FIREWALLD if running else []):
        if shutil.which(command.split()[0]) is None:
            sys.exit(f"{command}: no such command here")
        done = subprocess.run(command.split(), capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command}: {done.stderr.decode()}")
        found[command] = named(done.stdout.decode().splitlines())
    print(json.dumps({place: lines for place, lines in found.items() if lines}))


if __name__ == "__main__":
    main()
