# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place where commands run."""

import os
import subprocess
import time
from typing import Any, Optional, Sequence, TypeVar

from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    FindTool,
    HostError,
    ListDirectory,
    Output,
    Question,
)

# The PATH that sudo and cron set does not contain all of them.
_SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_RETRY_SECONDS = 5.0
_PAUSE_SECONDS = 0.05

_Result = TypeVar("_Result")


class Runner:
    """Answers questions and runs commands.

    ``path``: directories to search, as in PATH; None takes PATH and the system directories.
    ``inherited``: descriptors that children keep open. The lock of a change is one of them: it is held
    as long as a program that this process started may still write.
    """

    def __init__(self, path: Optional[str] = None, inherited: Sequence[int] = ()) -> None:
        if path is None:
            path = os.pathsep.join([os.environ.get("PATH", "")] + list(_SYSTEM_DIRECTORIES))
        self.path = path.strip(os.pathsep)
        self.inherited = tuple(inherited)
        self._environment = dict(os.environ, PATH=self.path, LC_ALL="C", LANG="C")

    def find(self, name: str) -> Optional[str]:
        """A program's name -> its path, None when there is none."""
        for directory in self.path.split(os.pathsep):
            candidate = os.path.join(directory, name)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
        return None

    def run(self, command: Command) -> Output:
        """A Command -> Output. One that exceeds its timeout is killed: its code is negative."""
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            output = self._run_once(command)
            again = output.code != 0 and command.retry_on and command.retry_on in output.stderr
            if not again or time.monotonic() >= deadline:
                return output
            time.sleep(_PAUSE_SECONDS)

    def _run_once(self, command: Command) -> Output:
        try:
            process = subprocess.Popen(
                list(command.argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                cwd="/",
                close_fds=True,
                pass_fds=self.inherited,
            )
        except OSError as problem:
            raise HostError("%s cannot be started: %s" % (command.argv[0], problem)) from problem
        try:
            stdout, stderr = process.communicate(command.stdin.encode("utf-8"), timeout=command.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
        return Output(process.returncode, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))

    def answer(self, question: Question) -> Any:
        """Command, ReadFile, ListDirectory or FindTool -> the answer that its class describes. Raises HostError."""
        if isinstance(question, Command):
            return self.run(question)
        if isinstance(question, FindTool):
            return self.find(question.name)
        try:
            if isinstance(question, ListDirectory):
                return tuple(sorted(os.listdir(question.path)))
            with open(question.path, encoding="utf-8", errors="replace") as handle:
                return handle.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            raise HostError("%s cannot be read: %s" % (question.path, problem)) from problem

    def drive(self, conversation: Conversation[_Result]) -> _Result:
        """A backend's generator -> what it returns, after all its questions were answered."""
        try:
            question = next(conversation)
            while True:
                question = conversation.send(self.answer(question))
        except StopIteration as end:
            result: _Result = end.value
            return result
