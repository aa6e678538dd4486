"""Several backends as one: in which order, and what stays when one of them cannot be read."""

import json

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall.backends import base
from ansible_collections.determined.network.plugins.module_utils._firewall.backends.combined import Several
from ansible_collections.determined.network.plugins.module_utils._host import commands


class Fake(base.Backend):
    """A state is a text; writing and removing it is one command, or with ``flush`` two."""

    def __init__(self, name, state="", flush=False, broken=False):
        self.name, self.state, self.flush, self.broken = name, state, flush, broken
        self.programs = (name,) if flush else ()
        self.folders = (f"/{name}",)

    def read(self):
        if self.broken:
            raise commands.HostError("it is broken")
        answer = yield commands.FindTool(self.name)
        return base.Reading(self.state, answer, "", ("ipv4",), (f"{self.name} warns",), (), None)

    def render(self, policy, reading):
        return policy or ""

    def transactions(self, reading, desired):
        if reading.state == desired:
            return []
        first = [commands.Command((self.name, "reload"))] if self.flush else []
        return first + [commands.Command((self.name, desired or "remove"))]

    def force(self, reading):
        return reading._replace(details="forced")

    def flushes_others(self, command):
        return command.argv[1] == "reload"

    def describe(self, state):
        return state and f"{self.name}: {state}\n"

    def explain(self, command, output):
        return self.name

    def inspect(self):
        return self.read()

    def dump(self, state):
        return [state]

    def load(self, data):
        return data[0]

    def stored(self, policy, desired, reading):
        if not policy and not self.state:
            return None
        return base.Boot(load=policy or "", holds="", files=((f"/{self.name}/file", policy),))


def read(several):
    conversation = several.read()
    question = next(conversation)
    while True:
        try:
            question = conversation.send(f"found {question.name}")
        except StopIteration as end:
            return end.value


def command_lines(several, reading, desired):
    return [" ".join(command.argv) for command in several.transactions(reading, desired)]


def fire(state=""):
    return Fake("fire", state, flush=True)


def test_the_chosen_one_holds_the_policy_and_the_others_nothing():
    several = Several(Fake("tables"), [fire("old")])
    reading = read(several)
    desired = several.render("new", reading)
    assert desired == {"tables": "new", "fire": ""}
    assert (several.name, reading.variant, reading.families) == ("tables", "found tables", ("ipv4",))
    assert several.describe(reading.state) == "fire: old\n" and several.describe(desired) == "tables: new\n"
    assert several.load(json.loads(json.dumps(several.dump(desired)))) == desired
    assert several.folders == ("/tables", "/fire")


@pytest.mark.parametrize(
    "backends, policy, expected",
    [
        # What flushes comes before anything is written that it would take away.
        ([Fake("tables"), fire("old")], "new", ["fire reload", "tables new", "fire remove"]),
        # What it would take away anyway is removed before: it could not be removed afterwards.
        ([fire(), Fake("tables", "old")], "new", ["fire new", "tables remove", "fire reload"]),
        ([fire("old"), Fake("tables", "old")], None, ["fire reload", "fire remove", "tables remove"]),
        ([fire("old"), Fake("tables")], "new", ["fire new", "fire reload"]),
        ([Fake("a"), Fake("b", "old")], "new", ["a new", "b remove"]),
        ([Fake("a", "new"), Fake("b")], "new", []),
    ],
)
def test_the_order_of_a_change_of_backend(backends, policy, expected):
    several = Several(backends[0], backends[1:])
    reading = read(several)
    assert command_lines(several, reading, several.render(policy, reading)) == expected


def test_the_way_back_is_the_same_call():
    before = {"fire": "", "tables": "old"}
    several = Several(fire("new"), [Fake("tables")])
    assert command_lines(several, read(several), before) == ["fire reload", "tables old", "fire remove"]


def test_a_way_back_is_forced_in_every_backend_that_could_be_read():
    several = Several(fire(), [Fake("tables"), Fake("more", broken=True)])
    forced = several.force(read(several))
    assert {name: found.details for name, found in forced.details.items()} == {"fire": "forced", "tables": "forced"}
    assert several.force(read(several)).state == read(several).state


def test_another_backend_that_cannot_be_read_is_left_alone():
    several = Several(Fake("tables"), [Fake("fire", "old", broken=True)])
    reading = read(several)
    assert "it is broken" in reading.warnings[-1]
    desired = several.render("new", reading)
    assert desired == {"tables": "new"}
    assert command_lines(several, reading, dict(desired, fire="")) == ["tables new"]


def test_the_chosen_one_that_cannot_be_read_is_an_error():
    with pytest.raises(commands.HostError):
        read(Several(Fake("tables", broken=True), [fire()]))


def test_a_failure_is_explained_by_whose_program_it_was():
    several = Several(fire(), [Fake("tables")])
    assert several.explain(commands.Command(("/usr/bin/fire",)), None) == "fire"
    assert several.explain(commands.Command(("/sbin/ipset",)), None) == "tables"


@pytest.mark.parametrize(
    "chosen, other, policy, load, files",
    [
        (Fake("a"), Fake("b"), "p", "p", (("/a/file", "p"),)),
        (Fake("a"), Fake("b", "old"), "p", "p", (("/a/file", "p"), ("/b/file", None))),
        (Fake("a"), Fake("b", "old"), None, "", (("/b/file", None),)),
    ],
)
def test_what_is_stored_is_the_chosen_ones_and_what_the_others_left_goes(chosen, other, policy, load, files):
    several = Several(chosen, [other])
    reading = read(several)
    boot = several.stored(policy, several.render(policy, reading), reading)
    assert (boot.load, boot.files) == (load, files)


def test_nothing_is_stored_where_there_is_nothing():
    several = Several(Fake("a"), [Fake("b")])
    reading = read(several)
    assert several.stored(None, several.render(None, reading), reading) is None
