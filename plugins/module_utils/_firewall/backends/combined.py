# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several backends as one: the chosen one holds the policy, and the others hold nothing of ours.

So a change of backend, its rollback and ``state: absent`` are ordinary changes.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import (
    Backend,
    Boot,
    Facts,
    Reading,
)
from ansible_collections.determined.network.plugins.module_utils._host.commands import (
    Command,
    Conversation,
    HostError,
    Output,
)
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

States = Dict[str, Any]  # backend's name -> its state


class Several(Backend):
    """See :class:`Backend`. ``chosen``: the Backend that holds the policy. ``others``: those that hold nothing.

    A state is a dict, backend's name -> that backend's state. A backend that cannot be read here has no part in
    it and is not changed; for the chosen one that is an error.
    """

    def __init__(self, chosen: Backend, others: Sequence[Backend]) -> None:
        self.chosen = chosen
        self.others = tuple(others)
        self.name = chosen.name
        self.folders = tuple(folder for backend in self._all() for folder in backend.folders)

    def _all(self) -> Tuple[Backend, ...]:
        return (self.chosen,) + self.others

    def read(self) -> Conversation[Reading]:
        reading = yield from self.chosen.read()
        readings, warnings = {self.chosen.name: reading}, reading.warnings
        for backend in self.others:
            try:
                readings[backend.name] = yield from backend.read()
            except HostError as problem:
                warnings += (
                    "it is not known whether %s still holds anything of ours, and it is not changed: %s"
                    % (backend.name, problem),
                )
        state = {name: found.state for name, found in readings.items()}
        return reading._replace(state=state, warnings=warnings, details=readings)

    def render(self, policy: Optional[HostPolicy], reading: Reading) -> States:
        return {
            backend.name: backend.render(policy if backend is self.chosen else None, reading.details[backend.name])
            for backend in self._readable(reading)
        }

    def _readable(self, reading: Reading) -> List[Backend]:
        return [backend for backend in self._all() if backend.name in reading.details]

    def transactions(self, reading: Reading, desired: States) -> List[Command]:
        """In a change of backend, the new state is written first, and then the old one is removed.

        But a command that flushes the rules of others runs before anything of ours is written there, and after it is
        removed from there.
        """
        found = []
        for backend in self._readable(reading):
            if backend.name in desired:
                own, state = reading.details[backend.name], desired[backend.name]
                removes = state == backend.render(None, own)
                for command in backend.transactions(own, state):
                    found.append((removes, backend.flushes_others(command), command))
        new_one_flushes = any(flushes and not removes for removes, flushes, dummy in found)

        def rank(item: Tuple[bool, bool, Command]) -> int:
            removes, flushes, dummy = item
            if removes:
                return 0 if flushes else 2 if new_one_flushes else 4
            return 3 if flushes else 1

        return [command for dummy, dummy_flushes, command in sorted(found, key=rank)]

    def force(self, reading: Reading) -> Reading:
        forced = {backend.name: backend.force(reading.details[backend.name]) for backend in self._readable(reading)}
        return reading._replace(details=forced)

    def describe(self, state: States) -> str:
        texts = [backend.describe(state[backend.name]) for backend in self._all() if backend.name in state]
        return "".join(text for text in texts if text)

    def explain(self, command: Command, output: Output) -> str:
        program = command.argv[0].rsplit("/", 1)[-1]
        owners = [backend for backend in self._all() if program in backend.programs]
        owners += [backend for backend in self._all() if not backend.programs]
        return (owners or [self.chosen])[0].explain(command, output)

    def inspect(self) -> Conversation[Tuple[Reading, Facts]]:
        return self.chosen.inspect()

    def dump(self, state: States) -> Dict[str, Any]:
        return {backend.name: backend.dump(state[backend.name]) for backend in self._all() if backend.name in state}

    def load(self, data: Dict[str, Any]) -> States:
        return {backend.name: backend.load(data[backend.name]) for backend in self._all() if backend.name in data}

    def stored(self, policy: Optional[HostPolicy], desired: States, reading: Reading) -> Optional[Boot]:
        boot: Optional[Boot] = None
        files: Tuple[Tuple[str, Optional[str]], ...] = ()
        for backend in self._readable(reading):
            asked = policy if backend is self.chosen else None
            found = backend.stored(asked, desired[backend.name], reading.details[backend.name])
            if found is None:
                continue
            if backend is self.chosen:
                boot = found
            files += found.files
        if boot is None and not files:
            return None
        return (boot or Boot(load="", holds=""))._replace(files=files)
