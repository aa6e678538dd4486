# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table against the Network Requirements page, row by row and bullet by bullet, both ways."""

from pathlib import Path

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements

DATA = Path(__file__).resolve().parents[3] / "data"
OUTLINE = yaml.safe_load((DATA / "requirements-document-outline.yml").read_text(encoding="utf-8"))
TABLE = requirements.load_table()
DOCUMENTED = [row for row in TABLE.requirements if row.provenance == requirements.DOCUMENT]
LATER = [row for row in TABLE.requirements if row.provenance == requirements.LATER]
REQUIRING = [key for key, item in OUTLINE.items() if not item.get("introduces")]


def read_figure(figure):
    """A figure of the page -> a port set. The page ends ranges at 65536, which is no port."""
    return _ports.parse_ports(figure.replace("65536", "65535"))


def ports_of(row):
    if row.ports == "master_port":
        return _ports.parse_ports(list(TABLE.default_master_port.values()))
    if row.ports in requirements.PORT_SETTINGS or not row.ports:
        return ()
    return _ports.parse_ports(row.ports)


def test_the_outline_and_the_table_hold_something():
    assert len(REQUIRING) == 19
    assert len(DOCUMENTED) == 17
    assert len(LATER) == 7


@pytest.mark.parametrize("key", REQUIRING)
def test_every_item_of_the_document_has_a_row(key):
    assert [row.id for row in DOCUMENTED if key in row.sections]


@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: row.id)
def test_every_row_cites_what_the_document_holds(row):
    assert row.sections
    assert set(row.sections) <= set(REQUIRING)


@pytest.mark.parametrize("row", LATER, ids=lambda row: row.id)
def test_rows_of_later_releases_cite_nothing_and_open_nothing_more(row):
    assert row.sections == ()
    documented = _ports.union(*[ports_of(other) for other in DOCUMENTED if other.part_of])
    assert _ports.subtract(ports_of(row), documented) == ()


@pytest.mark.parametrize("key", [key for key in REQUIRING if OUTLINE[key]["figures"]])
def test_every_figure_of_the_document_stands_in_a_row_that_cites_it(key):
    figures = _ports.union(*[read_figure(figure) for figure in OUTLINE[key]["figures"]])
    for row in DOCUMENTED:
        if key in row.sections:
            assert ports_of(row) == figures, row.id


@pytest.mark.parametrize(
    "row", [row for row in DOCUMENTED if row.ports and row.ports[0].isdigit()], ids=lambda row: row.id
)
def test_every_number_of_the_table_stands_in_the_document(row):
    figures = [read_figure(figure) for key in row.sections for figure in OUTLINE[key]["figures"]]
    assert _ports.union(*figures) == ports_of(row)


def test_the_master_serves_tls_on_the_first_port_that_the_document_names():
    assert [TABLE.default_master_port["tls"], TABLE.default_master_port["plain"]] == OUTLINE["master/1"]["figures"]


def test_introductions_state_no_figures():
    assert not [key for key, item in OUTLINE.items() if item.get("introduces") and item["figures"]]
