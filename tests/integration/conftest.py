# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of rehearsals share."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from . import _rehearsing as rehearsing
from . import _schedule


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that share hosts one after the other."""
    _schedule.together(items)
    if "PYTEST_XDIST_WORKER" in os.environ:
        _schedule.longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Where several processes share the work, give a whole group to one of them."""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _schedule.group_of(nodeid)

    # The groups are in their order already.
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


@pytest.fixture(scope="session")
def desk():
    """A place that every user can read, with the collection and a home for everybody who rehearses."""
    # Not pytest's own directory: that one is root's alone.
    place = Path(tempfile.mkdtemp(prefix="determined-network-tests-", dir="/tmp"))
    try:
        rehearsing.furnish(place)
        for user in (0, rehearsing.ORDINARY, rehearsing.ANOTHER):
            rehearsing.Person(user, place).move_in()
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture(params=[0, rehearsing.ORDINARY], ids=["root", "ordinary user"])
def person(request, desk):
    return rehearsing.Person(request.param, desk)


@pytest.fixture
def root(desk):
    return rehearsing.Person(0, desk)


@pytest.fixture
def name(request):
    """A name of its own for the rehearsal of every test."""
    return "test-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def left_as_it_was(request):
    """For tests that share the host of a BootLab: none of them leaves something foreign changed."""
    lab = request.getfixturevalue("lab") if "lab" in request.fixturenames else None
    before = lab.foreign() if lab else set()
    yield
    changed = sorted(before ^ lab.foreign()) if lab else []
    assert not changed, f"the test leaves these changed: {changed}"
