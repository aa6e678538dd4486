"""What is stored for the next boot: when, when not, what a second run sees of it, and that nothing remains."""

from __future__ import annotations

import time

import pytest

from ._boot import FILE, HOST, STRANGER, UNITS, BootLab
from ._firewall_host import Host, policy, rule

READ_ONLY = "mount --bind /etc /etc && mount -o remount,bind,ro /etc"
LINKS = [f"/etc/systemd/system/sysinit.target.wants/{unit}" for unit in UNITS]


# Storing knows no backend; what a backend adds to it is tried with each of them.
iptables = pytest.mark.parametrize("lab", ["iptables"], indirect=True)


# All tests share a host.
pytestmark = pytest.mark.usefixtures("left_as_it_was")


@pytest.fixture(scope="module", params=["iptables", "firewalld"])
def lab(request):
    with BootLab(request.param) as made:
        if request.param == "firewalld":
            made.shell(HOST, "systemctl enable --quiet --now firewalld")
        yield made


@pytest.fixture
def restricted(lab):
    result = lab.apply(policy=lab.policy())
    assert result.get("persisted"), result
    return lab


def test_a_second_run_writes_nothing(restricted):
    lab = restricted
    before = lab.stored()
    assert FILE in before
    assert not lab.apply(policy=lab.policy())["changed"]
    assert not lab.apply("--check", policy=lab.policy())["changed"]
    assert lab.stored() == before


DRIFT = {
    "file changed": f"echo '# mine' >> {FILE}",
    "file removed": f"rm {FILE}",
    "mode": f"chmod 644 {FILE}",
    "folder": "chmod 755 /etc/determined-network",
    "unit removed": f"rm /etc/systemd/system/{UNITS[0]}",
    "unit changed": f"sed -i s/120/1/ /etc/systemd/system/{UNITS[1]}",
    "disabled": f"systemctl disable --quiet {UNITS[0]}",
    "masked": f"rm /etc/systemd/system/{UNITS[0]}; systemctl mask --quiet {UNITS[0]}",
}


@iptables
@pytest.mark.parametrize("drift", list(DRIFT))
def test_what_somebody_changed_by_hand_is_repaired(restricted, drift):
    lab = restricted
    rules = lab.rules()
    lab.shell(HOST, DRIFT[drift])
    drifted = lab.stored()
    checked = lab.apply("--check", "--diff", policy=lab.policy())
    assert checked["changed"] and checked["diff"]["before"] != checked["diff"]["after"]
    assert lab.stored() == drifted, "check mode has written"
    result = lab.apply(policy=lab.policy())
    assert result["changed"] and "confirmed" not in result, "packets meet what they met before"
    assert not lab.apply(policy=lab.policy())["changed"] and lab.rules() == rules
    assert lab.shell(HOST, f"systemctl is-enabled {UNITS[0]}").strip() == "enabled"


@iptables
def test_check_mode_shows_what_would_be_stored(lab):
    lab.apply(state="absent")
    checked = lab.apply("--check", "--diff", policy=lab.policy())
    assert checked["changed"] and FILE in checked["diff"]["after"] and FILE not in checked["diff"]["before"]
    assert lab.stored() == "" and lab.rules() == []


@iptables
@pytest.mark.parametrize("check", [(), ("--check",)], ids=["apply", "check"])
def test_a_read_only_etc_is_refused_before_anything_is_touched(restricted, check):
    lab = restricted
    rules, stored = lab.rules(), lab.stored()
    lab.shell(HOST, READ_ONLY)
    try:
        assert not lab.apply(policy=lab.policy())["changed"], "there is nothing to write"
        for options in ({"policy": lab.policy(peer=STRANGER)}, {"state": "absent"}):
            result = lab.apply(*check, **options)
            assert result["failed"] and "Nothing was changed" in result["msg"], result
            for word in ("/etc", "Read-only file system", "remount,rw"):
                assert word in result["msg"], result["msg"]
            # To store nothing is a way out where something was to be stored, and none where it is to go.
            assert ("persist: false" in result["msg"]) == ("policy" in options), result["msg"]
            assert lab.rules() == rules
    finally:
        lab.shell(HOST, "umount /etc")
    assert lab.stored() == stored


@iptables
def test_a_full_disk_is_refused_before_anything_is_touched(restricted):
    lab = restricted
    rules = lab.rules()
    # Room for the file that is there, none for another one.
    lab.shell(
        HOST,
        f"cp {FILE} /root/copy; mount -t tmpfs -o size=32k,mode=700 tmpfs /etc/determined-network; "
        f"cp -p /root/copy {FILE}; chmod 600 {FILE}; rm /root/copy; "
        "dd if=/dev/zero of=/etc/determined-network/full bs=4k 2>/dev/null || true",
    )
    try:
        result = lab.apply(policy=lab.policy(peer=STRANGER))
        assert result["failed"] and "Nothing was changed" in result["msg"], result
        for word in (FILE, "No space left on device", "Free some space"):
            assert word in result["msg"], result["msg"]
        assert lab.rules() == rules
        assert lab.shell(HOST, "ls -A /etc/determined-network").split() == ["firewall", "full"]
    finally:
        lab.shell(HOST, "umount /etc/determined-network")
    assert not lab.apply(policy=lab.policy())["changed"]


@iptables
def test_a_change_that_is_confirmed_and_cannot_be_stored_says_so(restricted):
    lab = restricted
    # The new file can be written, and cannot take the old one's place.
    lab.shell(HOST, f"mount --bind {FILE} {FILE}")
    try:
        result = lab.apply(policy=lab.policy(peer=STRANGER))
        assert result["failed"] and result["changed"] and result["confirmed"] and not result["persisted"], result
        for word in ("not stored", FILE, "run this again"):
            assert word in result["msg"], result["msg"]
    finally:
        lab.shell(HOST, f"umount {FILE}")
    assert lab.run(HOST, "test", "-e", "/run/determined-network").returncode != 0
    repaired = lab.apply(policy=lab.policy(peer=STRANGER))
    assert repaired["changed"] and not lab.apply(policy=lab.policy(peer=STRANGER))["changed"]


def test_persist_false_stores_nothing_and_removes_what_was_stored(restricted):
    lab = restricted
    rules = lab.rules()
    result = lab.apply(policy=lab.policy(), persist=False)
    assert result["changed"] and not result["persisted"], result
    assert lab.stored() == "" and lab.rules() == rules
    assert lab.shell(HOST, "systemctl list-units --all --plain --no-legend 'determined-network-firewall*'") == ""
    assert not lab.apply(policy=lab.policy(), persist=False)["changed"]
    lab.boot()
    assert lab.rules() == []


@iptables
def test_the_switch_outlives_the_session_also_where_systemd_kills_what_it_leaves(restricted):
    lab = restricted
    rules = lab.rules()
    lab.shell(
        HOST,
        "mkdir -p /etc/systemd/logind.conf.d; printf '[Login]\\nKillUserProcesses=yes\\n' > "
        "/etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind",
    )
    try:
        # The control: what a session leaves behind is killed here.
        assert lab.ssh(HOST, "setsid sleep 333 >/dev/null 2>&1 </dev/null & sleep 0.2").returncode == 0
        lab.wait_until(lambda: lab.run(HOST, "pgrep", "-f", "sleep 333").returncode != 0, 30, "nothing is killed")
        wanted = lab.policy(peer=STRANGER, management=False)
        result = lab.apply(policy=wanted, allow_lockout=True, confirm_timeout=5)
        assert result["failed"] and result["restored"], result
        assert lab.rules() == rules
        scopes = lab.shell(HOST, "journalctl -b -o cat | grep -c 'Started determined-network-.*scope'")
        assert int(scopes) >= 1
    finally:
        lab.shell(HOST, "rm /etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind")
    assert not lab.apply(policy=lab.policy())["changed"]


HALVES = {
    "whole": "true",
    "after a boot": "",
    "file removed": f"rm {FILE}",
    "folder removed": "rm -r /etc/determined-network",
    "units removed": "rm /etc/systemd/system/determined-network-*",
    "links removed": f"rm {' '.join(LINKS)}",
    "only links": f"rm -r /etc/determined-network /etc/systemd/system/determined-network-*; test -L {LINKS[0]}",
    "staged": "touch /etc/determined-network/.firewall.0123456789abcdef "
    f"/etc/systemd/system/.{UNITS[0]}.0123456789abcdef",
    "rules removed": "iptables -D INPUT -j DETERMINED-INPUT; nft delete table inet determined; true",
    "fallback rules": f": > {FILE}",
}


@pytest.mark.parametrize(
    "lab, half",
    [("iptables", half) for half in HALVES] + [("firewalld", half) for half in ("whole", "after a boot", "staged")],
    indirect=["lab"],
    scope="module",
)
def test_removal_leaves_nothing(restricted, half):
    lab = restricted
    if HALVES[half]:
        lab.shell(HOST, f"({HALVES[half]}) 2>/dev/null || true")
    if half in ("after a boot", "fallback rules"):
        lab.boot()
    result = lab.apply(state="absent")
    assert not result.get("failed") and result["changed"], result
    assert lab.stored() == "" and lab.rules() == []
    assert (
        lab.shell(HOST, "find /etc -name '*determined*'; find /etc/systemd -xtype l | grep -v /dev/null || true") == ""
    )
    assert lab.shell(HOST, "systemctl list-units --all --plain --no-legend 'determined*service'") == ""
    assert lab.shell(HOST, "systemctl list-unit-files --no-legend 'determined*' || true") == ""
    assert lab.run(HOST, "test", "-e", "/run/determined-network").returncode != 0
    assert not lab.apply(state="absent")["changed"]


@iptables
def test_what_others_keep_in_our_folder_stays(restricted):
    lab = restricted
    lab.shell(HOST, "echo theirs > /etc/determined-network/note")
    assert not lab.apply(policy=lab.policy())["changed"]
    assert lab.apply(state="absent")["changed"]
    assert lab.shell(HOST, "ls -A /etc/determined-network; cat /etc/determined-network/note") == "note\ntheirs\n"
    assert not lab.apply(state="absent")["changed"]
    lab.shell(HOST, "rm -r /etc/determined-network")


def test_without_systemd_it_is_told_or_an_error():
    wanted = policy("permit", {"agents": {"ipv4": ["192.0.2.2"]}}, [rule("tcp", "80", "agents")])
    with Host() as host:
        refused = host.module("firewall", policy=wanted, persist="true")
        assert refused["failed"] and "systemd is not process 1" in refused["msg"], refused
        assert "DETERMINED" not in host.rules()
        told = host.apply(wanted)
        assert told["changed"] and not told["persisted"] and "do not survive a reboot" in str(told["warnings"])
        quiet = host.apply(wanted, persist="false")
        assert not quiet["changed"] and "warnings" not in quiet, quiet
        began = time.monotonic()
        assert host.apply(None)["changed"] and time.monotonic() - began < 10
