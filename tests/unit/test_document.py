# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool that notices a new version of the Network Requirements page, on a small page of its own."""

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

PATH = Path(__file__).resolve().parents[1] / "document.py"
specification = importlib.util.spec_from_file_location("document", PATH)
document = importlib.util.module_from_spec(specification)
sys.modules["document"] = document
specification.loader.exec_module(document)

PAGE = """\
.. _garden:

########
 Garden
########

Beds need water
and light.

******************
 Tools and Sheds
******************

Every shed needs:

-  A spade, 120 cm long. See `catalogue 7
   <https://example.com/7>`_.

   -  A blade
      of steel, 30 - 40 mm.

   -  A handle.

-  A key:

   -  Number 5.

.. note::

   In winter, remember:

   - Salt, grade B2.

Watering
========

Ports ``8443`` and ``8080``, or 1024-65536.
"""

ITEMS = [
    ("garden/1", "Beds need water and light.", []),
    ("tools-and-sheds/1", "A spade, 120 cm long. See `catalogue 7 <https://example.com/7>`_.", ["120", "7"]),
    ("tools-and-sheds/1.1", "A blade of steel, 30 - 40 mm.", ["30-40"]),
    ("tools-and-sheds/1.2", "A handle.", []),
    ("tools-and-sheds/2", "A key:", []),
    ("tools-and-sheds/2.1", "Number 5.", ["5"]),
    ("tools-and-sheds/3", "In winter, remember:", []),
    ("tools-and-sheds/3.1", "Salt, grade B2.", []),
    ("watering/1", "Ports ``8443`` and ``8080``, or 1024-65536.", ["8443", "8080", "1024-65536"]),
]


@pytest.fixture
def outline():
    return {item.key: {"figures": item.figures, "digest": item.digest} for item in document.parse(PAGE)}


def test_items_keys_texts_and_figures():
    assert [(item.key, item.text, item.figures) for item in document.parse(PAGE)] == ITEMS


def test_line_breaks_and_indentation_change_nothing(outline):
    rewrapped = PAGE.replace("Beds need water\nand light.", "Beds need\n water and   light.")
    assert document.compare(document.parse(rewrapped), outline) == []


@pytest.mark.parametrize(
    "old, new, told",
    [
        (
            "30 - 40",
            "30 - 50",
            "tools-and-sheds/1.1: the figures were 30-40, now 30-50: A blade of steel, 30 - 50 mm.",
        ),
        ("A handle", "A wooden handle", "tools-and-sheds/1.2: the wording changed (digest now "),
        (
            "   -  A handle.\n",
            "   -  A handle.\n\n   -  A hook.\n",
            "tools-and-sheds/1.3: new (no figures; digest ",
        ),
        ("   -  A handle.\n", "", "tools-and-sheds/1.2: gone"),
        ("Watering\n========\n", "Watering places\n===============\n", "watering/1: gone"),
    ],
)
def test_differences_are_told(outline, old, new, told):
    assert old in PAGE
    differences = document.compare(document.parse(PAGE.replace(old, new)), outline)
    assert any(line.startswith(told) for line in differences)


def test_the_command(tmp_path, capsys, monkeypatch, outline):
    page, data = tmp_path / "page.rst", tmp_path / "outline.yml"
    page.write_text(PAGE)
    data.write_text(yaml.safe_dump(outline))
    monkeypatch.setattr(document, "OUTLINE", data)
    assert document.main([str(page)]) == 0
    page.write_text(PAGE.replace("120", "130"))
    assert document.main([str(page)]) == 1
    assert "tools-and-sheds/1: the figures were 120, 7, now 130, 7" in capsys.readouterr().out
    assert document.main([]) == 2
    assert document.main([str(tmp_path / "absent.rst")]) == 2
    assert "cannot read" in capsys.readouterr().err
