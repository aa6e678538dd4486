# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several backends as one: the policy in the words of the chosen one, and nothing of ours in the others.

So a change of backend, its way back and ``state: absent`` are changes like any other.
"""

from ansible_collections.determined.network.plugins.module_utils._firewall.backends.base import Backend, Boot
from ansible_collections.determined.network.plugins.module_utils._host.commands import HostError


class Several(Backend):
    """See :class:`Backend`. ``chosen``: the Backend that holds the policy. ``others``: those that hold nothing.

    A state is a dict, backend's name -> that backend's state. A backend that cannot be read here has no part in
    it and is left alone; for the chosen one that is an error.
    """

    def __init__(self, chosen, others):
        self.chosen = chosen
        self.others = tuple(others)
        self.name = chosen.name
        self.folders = tuple(folder for backend in self._all() for folder in backend.folders)

    def _all(self):
        return (self.chosen,) + self.others

    def read(self):
        reading = yield from self.chosen.read()
        readings, warnings = {self.chosen.name: reading}, reading.warnings
        for backend in self.others:
            try:
                readings[backend.name] = yield from backend.read()
            except HostError as problem:
                warnings += (
                    "whether anything of ours is left in %s is not known, and it is left alone: %s"
                    % (backend.name, problem),
                )
        state = {name: found.state for name, found in readings.items()}
        return reading._replace(state=state, warnings=warnings, details=readings)

    def render(self, policy, reading):
        return {
            backend.name: backend.render(policy if backend is self.chosen else None, reading.details[backend.name])
            for backend in self._readable(reading)
        }

    def _readable(self, reading):
        return [backend for backend in self._all() if backend.name in reading.details]

    def transactions(self, reading, desired):
        """The order of a change of backend: what is to be there comes first, then the old goes. But what flushes
        the rules of others comes before anything of ours is written there, and after it is removed from there.
        """
        found = []
        for backend in self._readable(reading):
            if backend.name in desired:
                own, wanted = reading.details[backend.name], desired[backend.name]
                goes = wanted == backend.render(None, own)
                for command in backend.transactions(own, wanted):
                    found.append((goes, backend.flushes_others(command), command))
        coming_flushes = any(flushes and not goes for goes, flushes, dummy in found)

        def rank(item):
            goes, flushes, dummy = item
            if goes:
                return 0 if flushes else 2 if coming_flushes else 4
            return 3 if flushes else 1

        return [command for dummy, dummy_flushes, command in sorted(found, key=rank)]

    def force(self, reading):
        forced = {backend.name: backend.force(reading.details[backend.name]) for backend in self._readable(reading)}
        return reading._replace(details=forced)

    def describe(self, state):
        texts = [backend.describe(state[backend.name]) for backend in self._all() if backend.name in state]
        return "".join(text for text in texts if text)

    def explain(self, command, output):
        program = command.argv[0].rsplit("/", 1)[-1]
        owners = [backend for backend in self._all() if program in backend.programs]
        owners += [backend for backend in self._all() if not backend.programs]
        return (owners or [self.chosen])[0].explain(command, output)

    def inspect(self):
        return self.chosen.inspect()

    def dump(self, state):
        return {backend.name: backend.dump(state[backend.name]) for backend in self._all() if backend.name in state}

    def load(self, data):
        return {backend.name: backend.load(data[backend.name]) for backend in self._all() if backend.name in data}

    def stored(self, policy, desired, reading):
        boot, files = None, ()
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
