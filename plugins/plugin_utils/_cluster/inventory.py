# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the cluster needs from Ansible's variables: the one place that knows how Ansible keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.determined.network.plugins.plugin_utils._cluster import cluster, settings, variables
from ansible_collections.determined.network.plugins.plugin_utils._cluster.problems import Problem

_HOST_VARIABLES = (*cluster.HOST_VARIABLES, *cluster.LOGIN_PORT_VARIABLES)
# Of the variables by which Tower and AWX tell a job about itself.
_TOWER_PREFIXES = ("awx", "tower")


class Inventory:
    """The variables of a play, seen from one task: ``variables`` as a lookup receives them."""

    def __init__(self, variables: Mapping[str, Any], templar: Any) -> None:
        self._variables = variables
        self._hosts = variables["hostvars"]
        self._templar = templar
        # Asking for a host's variables merges all its groups, so it is done once a host.
        self._views: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    def _view(self, host: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """A host's variables, templated when read, and the same before templating."""
        if host not in self._views:
            view = self._hosts[host]
            # Both Ansible's view and a plain mapping (in tests) serve.
            self._views[host] = (view, getattr(view, "_vars", view))
        return self._views[host]

    def host_variables(self, hosts: Iterable[str]) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
        """Hosts -> the variables of each that the cluster is made of, and what could not be templated."""
        found: dict[str, dict[str, Any]] = {}
        problems: list[Problem] = []
        for host in hosts:
            found[host] = {}
            for name in _HOST_VARIABLES:
                self._read(host, name, found[host], problems)
        return found, problems

    def misspelt(self, hosts: Iterable[str], groups: Iterable[str]) -> list[Problem]:
        """Variables with old names, and variables and groups with misspelt names: without effect."""
        hosts = list(hosts)
        on_hosts: dict[str, list[str]] = {}
        for host in hosts:
            view, raw = self._view(host)
            for name in raw:
                if name.startswith(variables.PREFIXES) and _is_ours(name, view.__getitem__):
                    on_hosts.setdefault(name, []).append(host)
        in_play = [
            name
            for name, value in self._variables.items()
            if name.startswith(variables.PREFIXES)
            and self._set_by_play(name)
            # A play also shows the defaults of other roles, which are empty for the most part.
            and (value or name not in variables.RENAMED)
            and _is_ours(name, lambda name: self._templar.template(self._variables[name]))
        ]
        problems = variables.problems(on_hosts, in_play, hosts)
        problems += [
            Problem(f"group {name}", "", "is no group of this collection", f"call it {meant}")
            for name in groups
            if name.startswith(variables.PREFIX) and (meant := variables.almost(name, cluster.GROUPS))
        ]
        return problems

    def from_facts(self, hosts: Iterable[str]) -> list[Problem]:
        """Variables of ours that come from a host's facts.

        Any module's result can carry facts, and facts override the inventory. So a host that lies about itself could
        open the other hosts with them.
        """
        problems = []
        for host in hosts:
            raw = self._view(host)[1]
            for name in raw.get("ansible_facts") or {}:
                if name in raw and (name.startswith(variables.PREFIX) or name in variables.RENAMED):
                    text = "comes from the facts of this host, which the host itself can choose"
                    remedy = "find out which task or fact cache returned it, and set the variable in the inventory"
                    problems.append(Problem(host, name, text, remedy))
        return problems

    def slices(self) -> list[Problem]:
        """Whether Tower or AWX has cut hosts out of the inventory: a policy made of what is left would cut them off.

        A job slice sees its hosts alone, in the groups too. AWX does not tell the job so, but it runs the slices of a
        template as a workflow under the template's own name, and tells both names.
        """
        for prefix in _TOWER_PREFIXES:
            template = self._variables.get(f"{prefix}_job_template_name")
            if template is not None and template == self._variables.get(f"{prefix}_workflow_job_name"):
                text = (
                    f"the workflow is called like the job template ({template!r}), so this is a slice that sees only "
                )
                remedy = "set the template's job slices to 1 and its forks higher, or split the work by limits"
                remedy += "; if it is a workflow of yours and no slice, give it another name"
                return [Problem("this job", "", text + "a part of the inventory", remedy)]
        return []

    def cluster_options(
        self, hosts: Iterable[str], given: Mapping[str, Any], default: Callable[[str], Any]
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Option -> value, by precedence: given to the lookup, set by the play, set on hosts, the default."""
        hosts = list(hosts)
        options: dict[str, Any] = {}
        problems: list[Problem] = []
        for option, variable in settings.VARIABLES.items():
            if option in given:
                options[option] = given[option]
                continue
            chosen, found = self.one_for_all(hosts, variable)
            problems += found
            unset = not chosen or settings.is_unanswered(option, chosen[0])
            options[option] = default(option) if unset else chosen[0]
        return options, problems

    def one_for_all(
        self, hosts: Iterable[str], variable: str, role_default: Any = None
    ) -> tuple[list[Any], list[Problem]]:
        """A cluster-wide variable: what the play sets, else what the hosts have -> its one value in a list, which is
        empty where nobody sets it, and problems. A role's own default for it is as if nobody did."""
        if self._set_by_play(variable):
            try:
                value = self._templar.template(self._variables[variable])
                str(value)  # as in _read
            except Exception as error:  # before ansible-core 2.19 whatever a template raises comes through
                return [], [_untemplatable("the play", variable, error)]
            if role_default is None or value != role_default:
                return [value], []
        values: dict[str, dict[str, Any]] = {}
        unreadable: list[Problem] = []
        for host in hosts:
            if variable in self._view(host)[1]:
                self._read(host, variable, values.setdefault(host, {}), unreadable)
        pairs = [(host, found[variable]) for host, found in values.items() if variable in found]
        chosen, conflicts = settings.collect(variable, pairs)
        return chosen, [*_summarize(unreadable), *conflicts]

    def _read(self, host: str, name: str, target: dict[str, Any], problems: list[Problem]) -> None:
        view, raw = self._view(host)
        if name not in raw:
            return
        try:
            value = view[name]
            str(value)  # since ansible-core 2.19 a failed template is a value that raises once it is used
            target[name] = value
        except Exception as error:  # as above
            problems.append(_untemplatable(host, name, error))

    def _set_by_play(self, variable: str) -> bool:
        """Whether a play, role, task or block sets it: then it differs from what the host itself has."""
        if variable not in self._variables:
            return False
        own = self._view(self._variables["inventory_hostname"])[1]
        return variable not in own or own[variable] != self._variables[variable]


def _is_ours(name: str, read: Callable[[str], Any]) -> bool:
    """Whether a variable can have been written for this collection, as far as its value tells; ``read`` gives it."""
    if name not in variables.SHARED_NAMES:
        return True
    try:
        return variables.is_ours(name, read(name))
    except Exception:  # as in _read; the role that the variable belongs to will say what is wrong with it
        return False


def _summarize(problems: list[Problem]) -> list[Problem]:
    """A group's variable fails alike on each of its hosts: say it once."""
    if len(problems) < 2:
        return problems
    return [problems[0]._replace(where=f"{problems[0].where} and {len(problems) - 1} more")]


def _untemplatable(where: str, variable: str, error: Exception) -> Problem:
    return Problem(where, variable, f"cannot be computed: {error}", "define what its template uses")
