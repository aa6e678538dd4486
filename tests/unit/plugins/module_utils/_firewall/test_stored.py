"""The stored files, and the steps from one state of them to another."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import boot_units, stored
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Boot

BOOT = Boot("true", "true", "true")
TOKEN = "a" * 32


def stored_entries(boot):
    return {path: entry for path, entry in stored.desired_entries(boot).items() if entry is not None}


def paths(steps, action):
    return [step.path for step in steps if step.action == action]


def test_nothing_to_store():
    assert set(stored.desired_entries(None)) == set(stored.PATHS) and stored_entries(None) == {}
    assert stored.steps({}, stored.desired_entries(None), [], TOKEN) == []


def test_files_are_stored_before_those_that_name_them():
    steps = stored.steps({}, stored.desired_entries(BOOT), [], TOKEN)
    assert paths(steps, "put") == list(stored.PATHS) and paths(steps, "remove") == []
    assert stored.reloads(steps) and not stored.removes_units(steps)
    modes = {step.path: (step.entry.kind, step.entry.mode) for step in steps}
    assert modes[stored.FOLDER] == ("folder", 0o700) and modes[boot_units.FILE] == ("file", 0o600)
    assert all(modes[path] == ("file", 0o644) for path in stored.UNITS)
    assert all(modes[path][0] == "link" for path in stored.LINKS)


def test_removal_is_in_the_opposite_order():
    steps = stored.steps(stored_entries(BOOT), stored.desired_entries(None), [], TOKEN)
    assert paths(steps, "remove") == list(reversed(stored.PATHS)) and paths(steps, "put") == []
    assert stored.reloads(steps) and stored.removes_units(steps)


def test_another_policy_replaces_one_file():
    steps = stored.steps(stored_entries(BOOT), stored.desired_entries(BOOT._replace(load="false")), [], TOKEN)
    assert [step.path for step in steps] == [boot_units.FILE]
    assert steps[0].staged == "/etc/determined-network/.firewall." + TOKEN
    assert not stored.reloads(steps)


@pytest.mark.parametrize("path", stored.PATHS)
@pytest.mark.parametrize("change", [{"mode": 0o666}, {"owner": 7}, {"kind": "device"}, {"text": "other"}])
def test_every_difference_is_repaired(path, change):
    current = stored_entries(BOOT)
    current[path] = current[path]._replace(**change)
    others = path == stored.FOLDER and "text" in change  # what others keep there
    assert paths(stored.steps(current, stored.desired_entries(BOOT), [], TOKEN), "put") == ([] if others else [path])


def test_a_folder_that_others_use_stays():
    current = stored_entries(BOOT)
    current[stored.FOLDER] = current[stored.FOLDER]._replace(text="note")
    desired = stored.desired_entries(None)
    assert stored.FOLDER not in paths(stored.steps(current, desired, [], TOKEN), "remove")
    assert stored.after(current, desired)[stored.FOLDER] == current[stored.FOLDER]
    only = {stored.FOLDER: current[stored.FOLDER]}
    assert stored.steps(only, desired, [], TOKEN) == []


def test_files_of_a_backend_are_stored_and_removed():
    boot = Boot("", "", files=(("/etc/other/new.xml", "<x/>"), ("/etc/other/old.xml", None)))
    current = {"/etc/other/old.xml": stored.Entry("file", "<y/>", 0o644)}
    steps = stored.steps(current, stored.desired_entries(boot), [], TOKEN)
    assert [(step.action, step.path) for step in steps] == [
        ("put", "/etc/other/new.xml"),
        ("remove", "/etc/other/old.xml"),
    ]
    assert not stored.reloads(steps)
    described = stored.describe(stored.desired_entries(boot))
    assert "# file /etc/other/new.xml, mode 0644, owner 0\n<x/>\n" in described and "old.xml" not in described


def test_if_storing_stops_no_file_names_a_missing_one():
    def files(*names):
        sets = [(f"/etc/firewalld/ipsets/{name}.xml", name) for name in ("a", "b", "c")]
        found = [(path, name if name in names else None) for path, name in sets]
        return tuple(found + [("/etc/firewalld/policies/p.xml", " ".join(names) or None)])

    for old, new in (("ab", "bc"), ("", "ab"), ("ab", ""), ("a", "c")):
        found = {
            path: entry for path, entry in stored.desired_entries(Boot("", "", files=files(*old))).items() if entry
        }
        for step in stored.steps(dict(found), stored.desired_entries(Boot("", "", files=files(*new))), [], TOKEN):
            if step.action == "put":
                found[step.path] = step.entry
            else:
                del found[step.path]
            named = found["/etc/firewalld/policies/p.xml"].text if "/etc/firewalld/policies/p.xml" in found else ""
            assert all(f"/etc/firewalld/ipsets/{name}.xml" in found for name in named.split())


def test_orphaned_files_are_removed_and_named():
    staged = "/etc/determined-network/.firewall." + TOKEN
    steps = stored.steps(stored_entries(BOOT), stored.desired_entries(BOOT), [staged], "b" * 32)
    assert [(step.action, step.path) for step in steps] == [("remove", staged)]
    assert staged in stored.describe({}, [staged])


@pytest.mark.parametrize(
    "name, token",
    [
        (".firewall.0123456789abcdef", "0123456789abcdef"),
        (".determined-network-firewall.service." + TOKEN, TOKEN),
        (".determined_agents_v4.xml." + TOKEN, TOKEN),
        ("firewall", None),
        (".firewall", None),
        (".firewall.swp", None),
        (".other.service." + TOKEN, None),
    ],
)
def test_a_staged_file_is_recognized_by_its_name(name, token):
    assert stored.staged_token(name) == token


@pytest.mark.parametrize("path", stored.PATHS)
def test_staged_names_are_recognized(path):
    staged = stored.staged_path(path, TOKEN)
    assert staged.rsplit("/", 1)[0] == path.rsplit("/", 1)[0]
    if path != stored.FOLDER:
        assert stored.staged_token(staged.rsplit("/", 1)[1]) == TOKEN


def test_steps_survive_json_without_their_texts():
    steps = stored.steps(dict(stored_entries(None)), stored.desired_entries(BOOT), ["/etc/x"], TOKEN)
    text = json.dumps(stored.dump(steps))
    assert "StandardInputText" not in text
    loaded = stored.load(json.loads(text))
    assert [step[:3] for step in loaded] == [step[:3] for step in steps]
    assert [step.entry and step.entry.mode for step in loaded] == [step.entry and step.entry.mode for step in steps]


def test_describe_is_the_same_for_equal_entries():
    one, other = stored_entries(BOOT), dict(reversed(list(stored_entries(BOOT).items())))
    assert stored.describe(one) == stored.describe(other)
    assert "-> /etc/systemd/system/determined-network-firewall.service" in stored.describe(one)
