"""Reboots of real hosts: who gets in meanwhile, and what a boot makes of broken, missing and unconfirmed files."""

from __future__ import annotations

import threading
import time

import pytest

from ._boot import FILE, HOST, OWN_PORT, PERMITTED, STRANGER, UNITS, BootLab

REBOOTS = 10
# Seconds until the host undoes a change that nobody confirms: long enough that the test reboots it before that, and no
# longer, because the controller tries to confirm until then.
UNCONFIRMED = 25


# All tests share a host.
pytestmark = pytest.mark.usefixtures("left_as_it_was")


@pytest.fixture(scope="module", params=["iptables", "firewalld"])
def lab(request):
    with BootLab(request.param) as made:
        made.furnish()
        yield made


@pytest.fixture
def restricted(lab):
    """The lab, its host in mode restrict, confirmed and stored."""
    result = lab.apply(policy=lab.policy())
    assert result.get("persisted"), result
    assert lab.gets_in(STRANGER) == [] and lab.gets_in(PERMITTED) == lab.targets
    return lab


def wait_for(lab: BootLab, source: str) -> None:
    lab.wait_until(lambda: lab.gets_in(source) == lab.targets, 60, f"{source} does not get in")


def test_without_rules_a_stranger_gets_in_while_the_host_boots(lab):
    """The control of the next test: what knocks does notice an open door."""
    assert lab.apply(state="absent").get("failed") is not True
    stranger = lab.knock(STRANGER)
    lab.boot()
    wait_for(lab, PERMITTED)
    assert set(stranger.stop()) == set(lab.targets)


def test_ten_reboots_let_no_stranger_in_and_permitted_peers_soon(restricted):
    lab = restricted
    before = lab.rules()
    stranger = lab.knock(STRANGER)
    for _number in range(REBOOTS):
        permitted = lab.knock(PERMITTED)
        lab.boot()
        wait_for(lab, PERMITTED)
        assert set(permitted.stop()) == set(lab.targets)
        assert lab.rules() == before
    assert stranger.stop() == []
    assert not lab.apply(policy=lab.policy())["changed"]


def test_rules_are_there_before_the_network_and_before_any_service(restricted):
    lab = restricted
    lab.boot()
    script = "systemctl show --property=ActiveEnterTimestampMonotonic --value"
    names = (*UNITS, "network-pre.target", "own.service")
    loaded, checked, network, own = (int(lab.shell(HOST, f"{script} {name}")) for name in names)
    assert 0 < loaded <= checked <= network and loaded <= own, (loaded, checked, network, own)
    failed = lab.shell(HOST, "systemctl --failed --plain --no-legend")
    assert failed == "" and "determined.network:" not in lab.told()


BREAKS = {
    "missing": f"rm {FILE}",
    "folder missing": "rm -r /etc/determined-network",
    "empty": f": > {FILE}",
    "truncated": f"truncate -s 700 {FILE}",
    "one letter": f"sed -i '0,/tcp/s//udp/' {FILE}",
    "refused by its tool": f"echo false >> {FILE}; sed -i '/^# sha256/d; s/^load .*/false/' {FILE}; "
    f'sum=$(sha256sum < {FILE}); echo "# sha256 ${{sum%% *}}" >> {FILE}',
}


@pytest.mark.parametrize(
    "lab, broken",
    [("iptables", broken) for broken in BREAKS] + [("firewalld", "missing"), ("firewalld", "refused by its tool")],
    indirect=["lab"],
    scope="module",
)
def test_a_broken_file_closes_the_host_and_keeps_management_open(restricted, broken):
    lab = restricted
    lab.shell(HOST, BREAKS[broken])
    stranger = lab.knock(STRANGER)
    lab.boot()
    assert lab.ssh(HOST, "true", address=lab.addresses[HOST][1]).returncode == 0
    assert lab.fetch(HOST, "127.0.0.1", OWN_PORT) is not None, "loopback is closed"
    for address in lab.addresses[HOST]:
        assert lab.run(STRANGER, "ping", "-c1", "-W2", address).returncode == 0, "ICMP is closed"
    time.sleep(1)
    assert stranger.stop() == [] and lab.gets_in(STRANGER) == []
    said = lab.told()
    assert "cannot be loaded" in said and "Play the playbook determined.network.site again" in said, said
    assert lab.shell(HOST, "systemctl --failed --plain --no-legend").count(".service") == 1
    # The remedy.
    assert lab.apply(policy=lab.policy())["changed"]
    wait_for(lab, PERMITTED)
    assert lab.gets_in(STRANGER) == []
    lab.shell(HOST, f"systemctl restart {UNITS[0]}")


@pytest.mark.parametrize("unit", UNITS)
def test_a_lost_unit_opens_nothing(restricted, unit):
    lab = restricted
    lab.shell(HOST, f"rm /etc/systemd/system/{unit}")
    stranger = lab.knock(STRANGER)
    lab.boot()
    wait_for(lab, PERMITTED)
    assert stranger.stop() == []
    assert lab.apply(policy=lab.policy())["changed"]


def test_a_broken_file_in_mode_permit_drops_nothing_and_is_told(lab):
    if lab.backend == "firewalld":
        # firewalld begins with its own files, and in mode permit nothing else is ours.
        result = lab.apply(policy=lab.policy("permit"))
        assert result["persisted"] and lab.run(HOST, "test", "-e", FILE).returncode != 0
        return
    assert lab.apply(policy=lab.policy("permit"))["persisted"]
    lab.shell(HOST, f"truncate -s 700 {FILE}")
    lab.boot()
    wait_for(lab, STRANGER)
    said = lab.told()
    assert "is damaged" in said and "so it would drop nothing" in said and "determined.network.site again" in said


def test_the_units_can_be_restarted_and_stopped_at_any_time(restricted):
    lab = restricted
    before = lab.rules()
    stranger = lab.knock(STRANGER)
    for _number in range(5):
        lab.shell(HOST, f"systemctl restart {' '.join(UNITS)}")
    assert lab.rules() == before
    lab.shell(HOST, f"systemctl stop {' '.join(UNITS)}")
    assert lab.rules() == before
    if lab.backend == "iptables":
        # What somebody took away comes back, and what somebody doubled is there once.
        lab.shell(
            HOST,
            "iptables -F DETERMINED-OUTPUT; iptables -D OUTPUT -j DETERMINED-OUTPUT; "
            "iptables -I INPUT -j DETERMINED-INPUT",
        )
    lab.shell(HOST, f"systemctl start {' '.join(UNITS)}")
    assert lab.rules() == before
    # A broken file takes nothing away either.
    lab.shell(HOST, f"cp -a {FILE} /root/copy; : > {FILE}")
    assert lab.run(HOST, "systemctl", "restart", UNITS[0]).returncode != 0
    assert lab.rules() == before and "stay as they are" in lab.told()
    lab.shell(HOST, f"cp -a /root/copy {FILE}; rm /root/copy; systemctl restart {UNITS[0]}")
    assert stranger.stop() == [] and lab.gets_in(PERMITTED) == lab.targets


def test_who_flushes_while_the_host_boots_is_corrected(restricted):
    """nftables.service of Debian begins with "flush ruleset", after the first of our units has loaded."""
    lab = restricted
    lab.shell(HOST, "systemctl enable --quiet nftables.service")
    try:
        stranger = lab.knock(STRANGER)
        lab.boot()
        wait_for(lab, PERMITTED)
        assert stranger.stop() == [] and lab.gets_in(STRANGER) == []
    finally:
        lab.shell(HOST, "systemctl disable --quiet nftables.service")
        lab.boot()


# What a service like netfilter-persistent does: save whatever is there, and bring it back while the host boots.
SAVED = {
    "iptables": (
        "iptables-save > /root/saved4; ip6tables-save > /root/saved6",
        "iptables-restore < /root/saved4; ip6tables-restore < /root/saved6",
    ),
    "firewalld": (
        "nft list table inet determined > /root/saved4",
        "nft delete table inet determined; nft -f /root/saved4",
    ),
}


def test_rules_of_ours_that_another_service_had_saved_do_not_come_back(restricted):
    """They are of an older, wider policy, and every jump of theirs is in place."""
    lab = restricted
    save, restore = SAVED[lab.backend]
    lab.shell(HOST, save)
    unit = (
        f"[Unit]\nDefaultDependencies=no\nAfter={UNITS[0]}\nBefore=network-pre.target\n"
        f"[Service]\nType=oneshot\nExecStart=/bin/sh -c '{restore}; touch /run/brought-back'\n"
        "[Install]\nWantedBy=sysinit.target\n"
    )
    lab.write(HOST, "/etc/systemd/system/netfilter-persistent.service", unit)
    try:
        assert lab.apply(policy=lab.policy(ports=(OWN_PORT,)))["changed"]
        before = lab.rules()
        lab.shell(HOST, "systemctl daemon-reload && systemctl enable --quiet netfilter-persistent.service")
        lab.boot()
        assert lab.run(HOST, "test", "-e", "/run/brought-back").returncode == 0, "nothing was brought back"
        assert lab.rules() == before
        own = [target for target in lab.targets if target.endswith(f",{OWN_PORT}")]
        lab.wait_until(lambda: lab.gets_in(PERMITTED) == own, 60, "a permitted peer does not get in")
        assert lab.shell(HOST, "systemctl --failed --plain --no-legend") == ""
    finally:
        lab.shell(
            HOST,
            "systemctl disable --quiet netfilter-persistent.service; "
            "rm /etc/systemd/system/netfilter-persistent.service /root/saved*; systemctl daemon-reload",
        )
        lab.apply(policy=lab.policy())
        lab.boot()


def begin_unconfirmed(lab: BootLab, wanted: dict) -> threading.Thread:
    """Begin a change that its controller cannot confirm, and wait until its commands have run."""
    options = {"policy": wanted, "allow_lockout": True, "confirm_timeout": UNCONFIRMED}
    thread = threading.Thread(target=lambda: lab.apply(**options), daemon=True)
    thread.start()
    lab.wait_until(
        lambda: lab.run(HOST, "sh", "-c", "test -e /run/determined-network/armed-*").returncode == 0, 60, "no change"
    )
    lab.wait_until(lambda: lab.ssh(HOST, "true").returncode != 0, 30, "the change does not cut the controller off")
    return thread


def test_an_unconfirmed_change_is_gone_after_a_reboot(restricted):
    lab = restricted
    before, stored = lab.rules(), lab.shell(HOST, f"cat {FILE}")
    thread = begin_unconfirmed(lab, lab.policy(peer=STRANGER, management=False))
    assert lab.rules() != before
    assert lab.shell(HOST, f"cat {FILE}") == stored
    began = time.monotonic()
    lab.boot()
    assert time.monotonic() - began < 40, "the dead man's switch delays the shutdown"
    wait_for(lab, PERMITTED)
    assert lab.rules() == before and lab.gets_in(STRANGER) == []
    thread.join(200)
    # What the change had put aside for the next boot goes with the next run.
    assert lab.apply(policy=lab.policy())["changed"]
    assert lab.shell(HOST, "find /etc -name '.determined*' -o -name '.firewall.*'") == ""
    assert not lab.apply(policy=lab.policy())["changed"]


def test_an_unconfirmed_first_change_leaves_no_rule_after_a_reboot(lab):
    lab.apply(state="absent")
    thread = begin_unconfirmed(lab, lab.policy(management=False))
    lab.boot()
    wait_for(lab, STRANGER)
    assert lab.rules() == []
    thread.join(200)
    assert lab.apply(state="absent").get("failed") is not True
    assert lab.stored() == ""
