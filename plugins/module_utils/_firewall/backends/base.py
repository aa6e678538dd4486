# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a backend, and the values that it exchanges with the code that changes a host.

A backend has no effects. To learn something it yields a question (:class:`Command`, :class:`ReadFile`,
:class:`ListDirectory`, :class:`FindTool`) from a generator and is sent the answer. To change something it returns
commands. So every backend can be tested without a firewall, and only ``_host/runner`` starts a process.
"""

import abc
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.determined.network.plugins.module_utils._host.commands import Command, Conversation, Output
from ansible_collections.determined.network.plugins.module_utils._policy import HostPolicy

State = Any  # a backend's own type with ``==``: all objects of ours on a host
Facts = Dict[str, Any]  # see Backend.inspect


class Reading(NamedTuple):
    """A host's firewall as a backend has just read it.

    ``state``: our own objects. ``variant``: the tools that a change will use, None without any; ``reason``: why
    these. ``families``: "ipv4" and "ipv6", as far as the kernel has them. ``warnings``: sentences for the user.
    ``missing``: sentences that say what must be installed before a policy can be written here; empty if nothing is
    missing. ``details``: what else the backend needs in :meth:`Backend.transactions`.
    """

    state: State
    variant: Optional[str]
    reason: str
    families: Tuple[str, ...]
    warnings: Tuple[str, ...]
    missing: Tuple[str, ...]
    details: Any


class Boot(NamedTuple):
    """How a boot restores a state: texts of POSIX sh that root runs before the network is up.

    ``load``: puts the state in place, and ends with a code other than 0 when it cannot. On a host that has the
    state already, it changes nothing that a packet could notice. It may use the shell function
    ``say PRIORITY TEXT`` (PRIORITY as in syslog(3), 0 to 7), and no Python.
    ``holds``: ends with code 0 exactly when the state of ``load`` is in place.
    ``fallback``: the fallback rules, for a host on which ``load`` failed. They drop what the policy drops, and permit
    only management and what every host needs. They need no file, no set and no name to resolve. "" when the policy
    drops nothing.
    ``files``: pairs of path and text of further files that a boot reads (0644, root); text None: the file must not
    exist. They are put in place together with the rest, once the change is confirmed.
    ``flushed_by``: names of services that remove at their start what ``load`` has made, besides the services that
    flush everything.
    """

    load: str
    holds: str
    fallback: str = ""
    files: Tuple[Tuple[str, Optional[str]], ...] = ()
    flushed_by: Tuple[str, ...] = ()


class Backend(abc.ABC):
    """The syntax of one firewall. Instances hold settings (timeouts), and never the state of a host.

    ``folders``: where the ``files`` of its :class:`Boot` may be. ``programs``: names of the programs that only
    this backend runs.
    """

    name: str = ""
    programs: Tuple[str, ...] = ()
    folders: Tuple[str, ...] = ()

    @abc.abstractmethod
    def read(self) -> Conversation[Reading]:
        """Yields questions, is sent their answers, and returns a :class:`Reading`.

        It only reads: none of its commands changes the host, loads a table or creates a file. It raises HostError
        when an answer cannot be trusted: a failed read is never taken for an empty firewall.
        """

    @abc.abstractmethod
    def render(self, policy: Optional[HostPolicy], reading: Reading) -> State:
        """A policy (None: nothing of ours) and a Reading -> the state that the policy asks for.

        Pure and deterministic. Raises HostError when something of ``reading.missing`` is needed for it.
        """

    @abc.abstractmethod
    def transactions(self, reading: Reading, desired: State) -> List[Command]:
        """A Reading and a state -> the Commands that lead from one to the other.

        The list is empty exactly when ``reading.state == desired``. Each command does all of its work or none, as
        far as its tool allows. What other commands need comes first, and no command names a foreign object. A
        rollback is the same call with the old state and a new Reading, so it also starts from states that a killed
        run left. Raises HostError when others would lose something, unless the Reading went through :meth:`force`.
        """

    def force(self, reading: Reading) -> Reading:
        """A Reading -> the same for a rollback: :meth:`transactions` then refuses nothing.

        Access to the host is more important than what others lose. The Commands say what that is.
        """
        return reading

    def flushes_others(self, command: Command) -> bool:
        """Whether a Command of :meth:`transactions` also removes what other backends have written."""
        del command
        return False

    @abc.abstractmethod
    def describe(self, state: State) -> str:
        """A state -> its text for people: complete, sorted, the same for equal states."""

    @abc.abstractmethod
    def explain(self, command: Command, output: Output) -> str:
        """A Command that failed and its Output -> what is wrong and what to do."""

    @abc.abstractmethod
    def inspect(self) -> Conversation[Tuple[Reading, Facts]]:
        """Like :meth:`read`, with facts for ``firewall_info``.

        ``facts``: dict with "rules" (list of dicts: family, chain, rule, packets, bytes), "sets" (list of dicts:
        name, family, entries), "foreign_before" (list of dicts: family, chain, rule: foreign rules that packets
        meet before ours) and "foreign_variants" (variant -> number of foreign rules).
        """

    @abc.abstractmethod
    def dump(self, state: State) -> Any:
        """A state -> plain data for JSON."""

    @abc.abstractmethod
    def load(self, data: Any) -> State:
        """The data of :meth:`dump` -> an equal state."""

    def stored(self, policy: Optional[HostPolicy], desired: State, reading: Reading) -> Optional[Boot]:
        """A policy, the state that :meth:`render` made of it, and the Reading -> a :class:`Boot`.

        None: there is nothing to store, because there is no policy or because this firewall stores it by itself.
        Pure. ``policy`` is None, and ``desired`` an empty state, when nothing shall be stored.
        """
        del policy, desired, reading
        return None
