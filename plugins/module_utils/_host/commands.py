# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a host, and their answers: commands to run, files to read, programs to look for.

These are plain values. Pure code yields them (``yield from question.ask()``) and :mod:`runner` answers them, so that
only the runner starts a process.
"""

from typing import Any, Callable, Generator, Match, NamedTuple, Optional, Pattern, Sequence, Tuple, TypeVar, Union


class HostError(Exception):
    """A problem of a host. The text says what is wrong, where it is, and what to do."""


class Command(NamedTuple):
    """A program to run.

    ``argv``: the program and its arguments. ``stdin``: what it reads. ``purpose``: completes the sentence
    "could not ...". ``timeout``: seconds until it is killed. ``retry_on``: the runner
    repeats the command for a few seconds while its stderr holds this text ("": never). ``loses``:
    sentences, what others have set up and lose by it.
    The answer is an :class:`Output`, also when the exit code is not 0.
    """

    argv: Tuple[str, ...]
    stdin: str = ""
    purpose: str = ""
    timeout: float = 60.0
    retry_on: str = ""
    loses: Tuple[str, ...] = ()

    def ask(self) -> "Conversation[Output]":
        """Yield this question -> its answer, for ``yield from``."""
        return (yield self)


class Output(NamedTuple):
    """The result of a program: exit code (negative: killed by that signal), stdout, stderr."""

    code: int
    stdout: str
    stderr: str


Meaning = Union[str, Callable[[Match[str]], str]]  # a sentence, or a function that makes one


def explanation(command: Command, output: Output, meanings: Sequence[Tuple[Pattern[str], Meaning]]) -> str:
    """A Command that failed, its Output, and what its errors mean -> what went wrong, where, and what to do.

    ``meanings``: pairs of a pattern and a sentence, or a function that makes one of the match. The first pattern that
    matches what the program wrote decides.
    """
    said = " ".join(line.strip() for line in output.stderr.splitlines() if line.strip())
    program = command.argv[0].rsplit("/", 1)[-1]
    if output.code < 0:
        meaning = "it was ended by signal %d (it may take %g s)" % (-output.code, command.timeout)
    else:
        meaning = ""
        for pattern, sentence in meanings:
            found = pattern.search(output.stderr)
            if found:
                meaning = sentence(found) if callable(sentence) else sentence
                break
    text = "Could not %s: %s" % (command.purpose, meaning) if meaning else "Could not %s" % command.purpose
    return "%s. %s (exit code %d) said: %s" % (text.rstrip("."), program, output.code, said or "nothing")


class ReadFile(NamedTuple):
    """A text file to read, mostly below /proc. The answer is its text; None when it is missing."""

    path: str

    def ask(self) -> "Conversation[Optional[str]]":
        """Yield this question -> its answer, for ``yield from``."""
        return (yield self)


class ListDirectory(NamedTuple):
    """A folder to look into. The answer is the sorted tuple of its entries' names; None when it is missing."""

    path: str

    def ask(self) -> "Conversation[Optional[Tuple[str, ...]]]":
        """Yield this question -> its answer, for ``yield from``."""
        return (yield self)


class FindTool(NamedTuple):
    """A program to look for in PATH and the sbin directories. The answer is its path or None."""

    name: str

    def ask(self) -> "Conversation[Optional[str]]":
        """Yield this question -> its answer, for ``yield from``."""
        return (yield self)


Question = Union[Command, ReadFile, ListDirectory, FindTool]

_Result = TypeVar("_Result")
# A generator that yields questions, is sent their answers, and returns a result. Python's types know only one type for
# all answers of a generator, so code asks with ``yield from question.ask()``, which has the type of this answer.
Conversation = Generator[Question, Any, _Result]
