"""What systemd is asked for, and what is done where it refuses or is not there."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._host import commands, systemd


class Recorder:
    """A runner that answers every command with one code."""

    def __init__(self, code=0, stderr="", tools=("systemctl", "busctl"), act=None):
        self.code, self.stderr, self.tools, self.act = code, stderr, tools, act
        self.commands = []

    def find(self, name):
        return "/bin/" + name if name in self.tools else None

    def run(self, command):
        self.commands.append(command.argv)
        if self.act:
            self.act()
        return commands.Output(self.code, "", self.stderr)


@pytest.fixture
def booted(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "RUNS", str(tmp_path))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "RUNS", str(tmp_path / "missing"))


def test_reload_and_letting_go(booted):
    runner = Recorder()
    systemd.forget_units(runner, ["/etc/systemd/system/a.service", "/etc/systemd/system/b.service"])
    systemd.reload(runner)
    assert runner.commands == [
        ("/bin/systemctl", "stop", "a.service", "b.service"),
        ("/bin/systemctl", "reset-failed", "a.service", "b.service"),
        ("/bin/systemctl", "daemon-reload"),
    ]


def test_what_systemctl_refuses_is_told(booted):
    with pytest.raises(commands.HostError) as caught:
        systemd.reload(Recorder(1, "Access denied"))
    assert "daemon-reload" in str(caught.value) and "Access denied" in str(caught.value)
    systemd.forget_units(Recorder(5), [])  # the unit is not loaded


def test_without_systemd_nothing_is_asked(elsewhere):
    runner = Recorder()
    systemd.reload(runner)
    systemd.forget_units(runner, ["a"])
    assert not systemd.runs() and systemd.move_to_scope(runner, os.getpid(), "x") == ""
    assert runner.commands == []


def test_a_process_is_moved(booted, monkeypatch):
    places = ["session", "session", "scope"]
    monkeypatch.setattr(systemd, "_cgroups", lambda _pid: places.pop(0))
    runner = Recorder()
    assert systemd.move_to_scope(runner, 123, "determined-network-x") == ""
    (argv,) = runner.commands
    assert argv[:2] == ("/bin/busctl", "call") and "StartTransientUnit" in argv
    assert "determined-network-x.scope" in argv and argv[argv.index("PIDs") :][:4] == ("PIDs", "au", "1", "123")


@pytest.mark.parametrize(
    "runner, reason",
    [
        (Recorder(1, "Access denied\n"), "Access denied"),
        (Recorder(3), "code 3"),
        (Recorder(tools=()), "busctl"),
        (Recorder(), "did not move"),
    ],
)
def test_why_a_process_was_not_moved(booted, monkeypatch, runner, reason):
    monkeypatch.setattr(systemd, "_MOVE_SECONDS", 0.01)
    assert reason in systemd.move_to_scope(runner, os.getpid(), "x")
