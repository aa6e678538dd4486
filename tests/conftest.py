"""Tests import the collection by its full name, from wherever the checkout lies."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def link_collection() -> Path:
    """Make build/collections/ansible_collections/determined/network lead to this checkout."""
    link = ROOT / "build/collections/ansible_collections/determined/network"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(ROOT)
    return ROOT / "build/collections"


collections = link_collection()
if str(collections) not in sys.path:
    sys.path.insert(0, str(collections))
