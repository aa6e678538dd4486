"""What lies on disk, and the way from one state of it to another."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils import _stored, _stored_texts
from ansible_collections.determined.network.plugins.module_utils._backends._base import Boot

BOOT = Boot("true", "true", "true")
TOKEN = "a" * 32


def lying(boot):
    return {path: entry for path, entry in _stored.wanted(boot).items() if entry is not None}


def paths(steps, action):
    return [step.path for step in steps if step.action == action]


def test_nothing_to_store():
    assert set(_stored.wanted(None)) == set(_stored.PATHS) and lying(None) == {}
    assert _stored.steps({}, _stored.wanted(None), [], TOKEN) == []


def test_the_first_time_data_comes_before_what_names_it():
    steps = _stored.steps({}, _stored.wanted(BOOT), [], TOKEN)
    assert paths(steps, "put") == list(_stored.PATHS) and paths(steps, "remove") == []
    assert _stored.reloads(steps) and not _stored.removes_units(steps)
    modes = {step.path: (step.entry.kind, step.entry.mode) for step in steps}
    assert modes[_stored.FOLDER] == ("folder", 0o700) and modes[_stored_texts.FILE] == ("file", 0o600)
    assert all(modes[path] == ("file", 0o644) for path in _stored.UNITS)
    assert all(modes[path][0] == "link" for path in _stored.LINKS)


def test_removal_goes_the_other_way():
    steps = _stored.steps(lying(BOOT), _stored.wanted(None), [], TOKEN)
    assert paths(steps, "remove") == list(reversed(_stored.PATHS)) and paths(steps, "put") == []
    assert _stored.reloads(steps) and _stored.removes_units(steps)


def test_another_policy_replaces_one_file():
    steps = _stored.steps(lying(BOOT), _stored.wanted(BOOT._replace(load="false")), [], TOKEN)
    assert [step.path for step in steps] == [_stored_texts.FILE]
    assert steps[0].staged == "/etc/determined-network/.firewall." + TOKEN
    assert not _stored.reloads(steps)


@pytest.mark.parametrize("path", _stored.PATHS)
@pytest.mark.parametrize("change", [{"mode": 0o666}, {"owner": 7}, {"kind": "device"}, {"text": "other"}])
def test_every_difference_is_repaired(path, change):
    current = lying(BOOT)
    current[path] = current[path]._replace(**change)
    others = path == _stored.FOLDER and "text" in change  # what others keep there
    assert paths(_stored.steps(current, _stored.wanted(BOOT), [], TOKEN), "put") == ([] if others else [path])


def test_a_folder_that_others_use_stays():
    current = lying(BOOT)
    current[_stored.FOLDER] = current[_stored.FOLDER]._replace(text="note")
    wanted = _stored.wanted(None)
    assert _stored.FOLDER not in paths(_stored.steps(current, wanted, [], TOKEN), "remove")
    assert _stored.after(current, wanted)[_stored.FOLDER] == current[_stored.FOLDER]
    only = {_stored.FOLDER: current[_stored.FOLDER]}
    assert _stored.steps(only, wanted, [], TOKEN) == []


def test_files_of_a_backend_come_and_go():
    boot = Boot("", "", files=(("/etc/other/new.xml", "<x/>"), ("/etc/other/old.xml", None)))
    current = {"/etc/other/old.xml": _stored.Entry("file", "<y/>", 0o644)}
    steps = _stored.steps(current, _stored.wanted(boot), [], TOKEN)
    assert [(step.action, step.path) for step in steps] == [
        ("put", "/etc/other/new.xml"),
        ("remove", "/etc/other/old.xml"),
    ]
    assert not _stored.reloads(steps)
    described = _stored.describe(_stored.wanted(boot))
    assert "# file /etc/other/new.xml, mode 0644, owner 0\n<x/>\n" in described and "old.xml" not in described


def test_wherever_storing_ends_no_file_names_one_that_is_not_there():
    def files(*names):
        sets = [(f"/etc/firewalld/ipsets/{name}.xml", name) for name in ("a", "b", "c")]
        found = [(path, name if name in names else None) for path, name in sets]
        return tuple(found + [("/etc/firewalld/policies/p.xml", " ".join(names) or None)])

    for old, new in (("ab", "bc"), ("", "ab"), ("ab", ""), ("a", "c")):
        lie = {path: entry for path, entry in _stored.wanted(Boot("", "", files=files(*old))).items() if entry}
        for step in _stored.steps(dict(lie), _stored.wanted(Boot("", "", files=files(*new))), [], TOKEN):
            if step.action == "put":
                lie[step.path] = step.entry
            else:
                del lie[step.path]
            named = lie["/etc/firewalld/policies/p.xml"].text if "/etc/firewalld/policies/p.xml" in lie else ""
            assert all(f"/etc/firewalld/ipsets/{name}.xml" in lie for name in named.split())


def test_leftovers_are_removed_and_named():
    left = "/etc/determined-network/.firewall." + TOKEN
    steps = _stored.steps(lying(BOOT), _stored.wanted(BOOT), [left], "b" * 32)
    assert [(step.action, step.path) for step in steps] == [("remove", left)]
    assert left in _stored.describe({}, [left])


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
def test_what_was_staged_is_told_by_its_name(name, token):
    assert _stored.staged_token(name) == token


@pytest.mark.parametrize("path", _stored.PATHS)
def test_staged_names_are_recognized(path):
    staged = _stored.staged_path(path, TOKEN)
    assert staged.rsplit("/", 1)[0] == path.rsplit("/", 1)[0]
    if path != _stored.FOLDER:
        assert _stored.staged_token(staged.rsplit("/", 1)[1]) == TOKEN


def test_steps_survive_json_without_their_texts():
    steps = _stored.steps(dict(lying(None)), _stored.wanted(BOOT), ["/etc/x"], TOKEN)
    text = json.dumps(_stored.dump(steps))
    assert "StandardInputText" not in text
    loaded = _stored.load(json.loads(text))
    assert [step[:3] for step in loaded] == [step[:3] for step in steps]
    assert [step.entry and step.entry.mode for step in loaded] == [step.entry and step.entry.mode for step in steps]


def test_describe_is_the_same_for_equal_entries():
    one, other = lying(BOOT), dict(reversed(list(lying(BOOT).items())))
    assert _stored.describe(one) == _stored.describe(other)
    assert "-> /etc/systemd/system/determined-network-firewall.service" in _stored.describe(one)
