"""What the tests of the host side share."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._firewall import boot_units, stored

ENTRY = stored.Entry


@pytest.fixture
def etc(tmp_path, monkeypatch):
    """All paths of ours below a folder of the test's."""
    (tmp_path / "systemd").mkdir()
    folder, units = tmp_path / "determined-network", tmp_path / "systemd"
    wants = units / "sysinit.target.wants"
    file = folder / "firewall"
    monkeypatch.setattr(boot_units, "FILE", str(file))
    monkeypatch.setattr(stored, "FOLDER", str(folder))
    monkeypatch.setattr(stored, "WANTS_FOLDER", str(wants))
    monkeypatch.setattr(stored, "UNITS", tuple(str(units / name) for name in boot_units.UNITS))
    monkeypatch.setattr(stored, "LINKS", tuple(str(wants / name) for name in boot_units.UNITS))
    monkeypatch.setattr(stored, "PATHS", (str(folder), str(file)) + stored.UNITS + stored.LINKS)
    # The tests may run as somebody who is not root.
    monkeypatch.setattr(stored, "Entry", lambda *words, **more: ENTRY(*words, **more)._replace(owner=os.geteuid()))
    return tmp_path
