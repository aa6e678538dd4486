"""What the tests of the host side share."""

import os

import pytest
from ansible_collections.determined.network.plugins.module_utils import _stored, _stored_texts

ENTRY = _stored.Entry


@pytest.fixture
def etc(tmp_path, monkeypatch):
    """All paths of ours below a folder of the test's."""
    (tmp_path / "systemd").mkdir()
    folder, units = tmp_path / "determined-network", tmp_path / "systemd"
    wants = units / "sysinit.target.wants"
    file = folder / "firewall"
    monkeypatch.setattr(_stored_texts, "FILE", str(file))
    monkeypatch.setattr(_stored, "FOLDER", str(folder))
    monkeypatch.setattr(_stored, "WANTS_FOLDER", str(wants))
    monkeypatch.setattr(_stored, "UNITS", tuple(str(units / name) for name in _stored_texts.UNITS))
    monkeypatch.setattr(_stored, "LINKS", tuple(str(wants / name) for name in _stored_texts.UNITS))
    monkeypatch.setattr(_stored, "PATHS", (str(folder), str(file)) + _stored.UNITS + _stored.LINKS)
    # The tests may run as somebody who is not root.
    monkeypatch.setattr(_stored, "Entry", lambda *words, **more: ENTRY(*words, **more)._replace(owner=os.geteuid()))
    return tmp_path
