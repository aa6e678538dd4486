"""The stored file and the units: what a shell makes of them, in every case that a boot may meet."""

import re
import subprocess

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import boot_units
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Boot

FIRST, SECOND = boot_units.UNITS


def script_of(text):
    """A unit -> what systemd hands over as standard input (systemd.exec(5))."""
    lines = re.findall(r"^StandardInputText=(.*)$", text, re.MULTILINE)
    assert lines and all(line == line.strip() and line for line in lines)
    return "".join("{}\n".format(line.replace("%%", "%").replace("\\\\", "\\")) for line in lines)


class Disk:
    """A place for the stored file; "loaded", "held" and "closed" are files that the scripts make and look for."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "firewall"

    def boot(self, mode="restrict", load="true"):
        make = f"touch {self.folder}/"
        fallback = make + "closed; " + make + "held" if mode == "restrict" else ""
        made = Boot(f"{load} && {make}loaded && {make}held", f"test -e {self.folder}/held", fallback)
        self.file.write_text(boot_units.file_text(made))
        return made

    def run(self, unit, made):
        script = script_of(boot_units.unit_text(unit, made)).replace(boot_units.FILE, str(self.file))
        # As systemd does it: the script is on standard input.
        done = subprocess.run(["/bin/sh", "-s"], input=script.encode(), stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stderr.decode()

    def left(self):
        return sorted(path.name for path in self.folder.iterdir() if path.name != "firewall")


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


@pytest.mark.parametrize("unit", boot_units.UNITS)
@pytest.mark.parametrize("mode", ["restrict", "permit"])
def test_a_good_file_is_loaded(disk, unit, mode):
    assert disk.run(unit, disk.boot(mode)) == (0, "")
    assert disk.left() == ["held", "loaded"]


@pytest.mark.parametrize("unit", boot_units.UNITS)
def test_a_good_file_is_loaded_also_where_jumps_are_in_place(disk, unit):
    """They may lead to rules of an older policy, which another service had saved and brought back."""
    made = disk.boot()
    (disk.folder / "held").write_text("")
    assert disk.run(unit, made) == (0, "") and disk.left() == ["held", "loaded"]


def test_every_byte_and_every_length_of_the_file_counts(disk):
    made = disk.boot()
    good = disk.file.read_bytes()
    broken = [good[:length] for length in range(0, len(good) - 1, 37)]
    broken += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 41)]
    for text in broken + [good + b"\n", good + b"true\n", b"true\n"]:
        disk.file.write_bytes(text)
        code, said = disk.run(FIRST, made)
        assert code == 1 and "is damaged" in said, text
        assert disk.left() == ["closed", "held"]
        for name in disk.left():
            (disk.folder / name).unlink()


@pytest.mark.parametrize("unit", boot_units.UNITS)
@pytest.mark.parametrize("problem", ["missing", "folder", "refused"])
def test_restrict_fails_closed_and_says_what_to_do(disk, unit, problem):
    made = disk.boot(load="false" if problem == "refused" else "true")
    if problem != "refused":
        disk.file.unlink()
    if problem == "folder":
        disk.file.mkdir()
    code, said = disk.run(unit, made)
    assert code == 1 and disk.left() == ["closed", "held"]
    assert ("is missing" in said) == (problem != "refused")
    last = said.splitlines()[-1]
    assert last.startswith("<2>determined.network: ") and "management" in last and boot_units.REMEDY in last


@pytest.mark.parametrize("unit", boot_units.UNITS)
def test_permit_drops_nothing_and_says_what_to_do(disk, unit):
    made = disk.boot("permit")
    disk.file.unlink()
    code, said = disk.run(unit, made)
    assert code == 1 and disk.left() == []
    assert "it would drop nothing" in said and boot_units.REMEDY in said


@pytest.mark.parametrize("unit, expected", [(FIRST, 1), (SECOND, 0)])
@pytest.mark.parametrize("mode", ["restrict", "permit"])
@pytest.mark.parametrize("problem", ["damaged", "missing", "refused"])
def test_rules_that_are_there_are_not_taken_away_by_a_broken_file(disk, unit, expected, mode, problem):
    made = disk.boot(mode, load="false" if problem == "refused" else "true")
    if problem == "damaged":
        disk.file.write_text("")
    if problem == "missing":
        disk.file.unlink()
    (disk.folder / "held").write_text("")
    code, said = disk.run(unit, made)
    assert code == expected and disk.left() == ["held"]
    assert "stay as they are" in said and boot_units.REMEDY in said


@pytest.mark.parametrize("problem", ["missing", "refused"])
def test_a_broken_file_closes_a_host_once(disk, problem):
    made = disk.boot(load="false" if problem == "refused" else "true")
    if problem == "missing":
        disk.file.unlink()
    assert [disk.run(unit, made)[0] for unit in boot_units.UNITS] == [1, 0]
    assert disk.left() == ["closed", "held"]


def test_an_open_host_is_the_loudest_message(disk):
    made = disk.boot()._replace(fallback="false")
    disk.file.unlink()
    code, said = disk.run(FIRST, made)
    assert code == 1 and said.splitlines()[-1].startswith("<0>") and "THIS HOST IS OPEN" in said


def test_a_load_that_claims_success_is_checked(disk):
    made = disk.boot()._replace(load="true")
    disk.file.write_text(boot_units.file_text(made))
    code, _said = disk.run(FIRST, made)
    assert code == 1 and disk.left() == ["closed", "held"]


def test_order_at_boot():
    made = Boot("true", "true", "true", flushed_by=("firewalld",))
    first, second = (boot_units.unit_text(unit, made) for unit in boot_units.UNITS)
    assert "Before=network-pre.target sysinit.target" in first and "After=" not in first
    assert "Before=network-pre.target shutdown.target" in second and "sysinit.target s" not in second
    after = re.search("^After=(.*)$", second, re.MULTILINE).group(1).split()
    assert after[0] == FIRST and {"nftables.service", "netfilter-persistent.service", "firewalld.service"} < set(after)
    for text in (first, second):
        assert "DefaultDependencies=no" in text and "Wants=network-pre.target" in text
        assert "\nEnvironment=TMPDIR=/run\n" in text, "bash has here-documents in temporary files"
        assert "RemainAfterExit=yes" in text and "ExecStop" not in text
        assert f"WantedBy={boot_units.WANTED_BY}" in text


def test_what_systemd_would_expand_is_doubled():
    made = Boot("true", "printf '%s\\n' 50% >/dev/null\n\nfalse\n", "true")
    text = boot_units.unit_text(FIRST, made)
    assert "StandardInputText=printf '%%s\\\\n' 50%% >/dev/null\n" in text
    assert "printf '%s\\n' 50% >/dev/null\nfalse\n" in script_of(text)
