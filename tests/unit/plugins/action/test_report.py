# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a report goes, and what is said where it cannot go."""

from pathlib import Path

import pytest
from ansible_collections.determined.network.plugins.action import report


@pytest.mark.parametrize(
    "directory, environment, expected",
    [
        ("", {}, "{here}/determined-network-report/report.json"),
        ("", {"AWX_ISOLATED_DATA_DIR": ""}, "{here}/determined-network-report/report.json"),
        (
            "",
            {"AWX_ISOLATED_DATA_DIR": "/runner/artifacts/7"},
            "/runner/artifacts/7/determined-network-report/report.json",
        ),
        ("/srv/reports", {"AWX_ISOLATED_DATA_DIR": "/runner/artifacts/7"}, "/srv/reports/report.json"),
        ("reports", {"AWX_ISOLATED_DATA_DIR": "/runner/artifacts/7"}, "{here}/reports/report.json"),
    ],
)
def test_where_it_goes(directory, environment, expected):
    assert str(report.report_path(directory, environment)) == expected.format(here=Path.cwd())


def test_finding_out_makes_the_folder_and_nothing_else(tmp_path):
    path = tmp_path / "a/b/report.json"
    assert report._writable(path) == {"changed": False, "report": str(path)}
    assert list(path.parent.iterdir()) == []


def a_file(place):
    place.write_text("")
    return place / "report.json"


def a_folder_in_its_place(place):
    (place / "report.json").mkdir(parents=True)
    return place / "report.json"


def the_kernels_own(_unused):
    return Path("/proc/1/report.json")


@pytest.mark.parametrize("make", [a_file, a_folder_in_its_place, the_kernels_own])
def test_what_cannot_be_written_is_told_before_and_after(tmp_path, make):
    path = make(tmp_path / "place")
    before = report._writable(path)
    assert before["failed"] and before["msg"].startswith("The report cannot be written: ")
    assert "determined_verify_report_dir" in before["msg"] and before["msg"].endswith("Nothing was verified.")
    with pytest.raises(OSError):
        report._write(path, "text")
    assert not list(tmp_path.rglob(".report*"))


def test_a_report_takes_the_place_of_an_earlier_one_as_a_whole(tmp_path):
    path = tmp_path / "new/report.json"
    report._write(path, "one")
    first = path.open()
    report._write(path, "two")
    # Who reads the earlier one reads it to its end.
    with first:
        assert first.read() == "one"
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]
