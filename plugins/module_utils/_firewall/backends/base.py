# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every backend promises, and the values it exchanges with those who act on it.

A backend never acts. To learn something it yields a question (:class:`Command`,
:class:`ReadFile`, :class:`ListDirectory`, :class:`FindTool`) from a generator and is sent the answer; to change
something it returns commands. So every backend can be tested without a firewall, and only
``_host.runner`` ever starts a process.
"""

import abc
from typing import NamedTuple


class Reading(NamedTuple):
    """A host's firewall as a backend has just read it.

    ``state``: our own objects, a backend's own type with ``==``. ``variant``: which tools a
    change will use, and ``reason`` why. ``families``: "ipv4", "ipv6" as the kernel has them.
    ``warnings``: sentences worth showing. ``missing``: sentences that say what must be
    installed before a policy can be written here (empty: all is there). ``details``: what
    else the backend wants to find again in :meth:`Backend.transactions`.
    """

    state: object
    variant: str
    reason: str
    families: tuple
    warnings: tuple
    missing: tuple
    details: object


class Boot(NamedTuple):
    """How a boot brings a state back: texts of POSIX sh, run by root before the network is up.

    ``load``: puts the state in place and ends with a code other than 0 when it cannot. Run on a
    host that has the state already, it changes nothing that a packet could notice. It may use
    the shell function ``say PRIORITY TEXT`` (PRIORITY as in syslog(3), 0 to 7), nothing of Python.
    ``holds``: ends with code 0 exactly when what ``load`` puts in place is there.
    ``emergency``: for a host whose ``load`` failed: drops what the policy drops and lets nothing
    in but what every host needs and management; needs no file, no set and no name to resolve.
    "" when the policy drops nothing.
    ``files``: tuple of (path, text) of further files that a boot reads (0644, root); text None:
    must not be there. They are put in place with the rest, once the change is confirmed.
    ``flushed_by``: names of services that take away at their start what ``load`` has made, besides
    those that flush everything.
    """

    load: str
    holds: str
    emergency: str = ""
    files: tuple = ()
    flushed_by: tuple = ()


class Backend(abc.ABC):
    """One syntax. Instances hold settings (timeouts), never what a host looks like.

    ``folders``: where the ``files`` of its :class:`Boot` may lie.
    """

    name = ""
    programs = ()  # names of programs that only this backend runs
    folders = ()

    @abc.abstractmethod
    def read(self):
        """Generator: yields questions, is sent their answers, returns a :class:`Reading`.

        Only reads: not one of its commands may change the host, load a table or create a
        file. Raises HostError when an answer cannot be trusted: a failed read is never
        taken for an empty firewall.
        """

    @abc.abstractmethod
    def render(self, policy, reading):
        """HostPolicy (or None: nothing of ours) and a Reading -> the state it asks for.

        Pure and deterministic. Raises HostError when ``reading.missing`` stands in the way.
        """

    @abc.abstractmethod
    def transactions(self, reading, desired):
        """A Reading and a state -> list of Commands that lead from one to the other.

        Empty exactly when ``reading.state == desired``. Each command either does all of its
        work or none as far as its tool allows, what others need comes first, and nothing
        foreign is named in any of them. Restoring is the same call with the old state and
        a fresh Reading, so it also starts from states in which a killed run left the host.
        Raises HostError when others would lose by it, unless the Reading went through :meth:`force`.
        """

    def force(self, reading):
        """A Reading -> the same for a way back: no refusal of :meth:`transactions` may stand in it.

        That a host is reached comes before what others lose, which the Commands then say.
        """
        return reading

    def flushes_others(self, command):
        """Whether a Command of :meth:`transactions` also removes what other backends have written."""
        del command
        return False

    @abc.abstractmethod
    def describe(self, state):
        """A state -> its text for people: complete, sorted, the same for equal states."""

    @abc.abstractmethod
    def explain(self, command, output):
        """A Command that failed and its Output -> what is wrong and what to do about it."""

    @abc.abstractmethod
    def inspect(self):
        """Generator like :meth:`read`: returns ``(Reading, facts)``, for ``firewall_info``.

        ``facts``: dict with "rules" (list of dicts: family, chain, rule, packets, bytes),
        "sets" (list of dicts: name, family, entries), "foreign_before" (list of dicts:
        family, chain, rule: what packets meet before our rules) and "foreign_variants"
        (variant -> number of rules that are not ours).
        """

    @abc.abstractmethod
    def dump(self, state):
        """A state -> plain data for JSON."""

    @abc.abstractmethod
    def load(self, data):
        """What :meth:`dump` gave -> an equal state."""

    def stored(self, policy, desired, reading):
        """HostPolicy, the state that :meth:`render` made of it, and the Reading -> a :class:`Boot`.

        None: nothing to store, since there is no policy or since this firewall stores it by itself.
        Pure. ``policy`` is None, and ``desired`` an empty state, where nothing shall be stored.
        """
        del policy, desired, reading
