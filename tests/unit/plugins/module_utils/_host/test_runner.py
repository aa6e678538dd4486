"""Plans are texts; runners answer questions."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._host import commands
from ansible_collections.determined.network.plugins.module_utils._host import runner as host_runner


def question_and_answer():
    found = yield commands.FindTool("sh")
    missing = yield commands.FindTool("no-such-program-anywhere")
    nothing = yield commands.ReadFile("/proc/no-such-file")
    output = yield commands.Command((found, "-c", "cat; echo $LC_ALL; echo bad >&2; exit 3"), stdin="in ")
    return found, missing, nothing, output


def test_drive():
    answers = list(host_runner.Runner().drive(question_and_answer()))
    found, missing, nothing, output = answers
    assert os.access(found, os.X_OK) and missing is None and nothing is None
    assert output == commands.Output(3, "in C\n", "bad\n")


def test_a_command_without_end_is_killed():
    output = host_runner.Runner().run(commands.Command(("sleep", "20"), timeout=0.2))
    assert output.code == -9


def test_retried_only_for_what_passes_by_itself(tmp_path):
    count = tmp_path / "count"
    script = f"echo x >> {count}; [ $(wc -l < {count}) -ge 3 ] || {{ echo 'in use' >&2; exit 1; }}"
    assert host_runner.Runner().run(commands.Command(("sh", "-c", script), retry_on="in use")).code == 0
    assert len(count.read_text().split()) == 3
    count.write_text("")
    assert host_runner.Runner().run(commands.Command(("sh", "-c", script), retry_on="other")).code == 1


def test_a_program_that_cannot_start():
    with pytest.raises(commands.HostError) as caught:
        host_runner.Runner().run(commands.Command(("/no/such/program",)))
    assert "/no/such/program" in str(caught.value)


def test_sbin_is_searched_whatever_path_says(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    assert "/sbin" in host_runner.Runner().path.split(":")
    assert host_runner.Runner(path="/nowhere").find("sh") is None


def test_a_missing_folder_is_told_from_an_empty_one(tmp_path):
    runner = host_runner.Runner()
    assert runner.answer(commands.ListDirectory(str(tmp_path / "none"))) is None
    assert runner.answer(commands.ListDirectory(str(tmp_path))) == ()
    for name in ("b", "a"):
        (tmp_path / name).write_text("")
    assert runner.answer(commands.ListDirectory(str(tmp_path))) == ("a", "b")
