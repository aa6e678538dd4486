# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import os

import pytest
from ansible_collections.determined.network.plugins.module_utils._namespaces import files


@pytest.mark.parametrize(
    "mounted, expected",
    [
        ((), [""]),
        (("/elsewhere",), [""]),
        # A mount on the directory itself is no mount below it.
        (("",), [""]),
        (("lib/data",), ["cache", "lib/apt", "lib/data"]),
        (("lib",), ["cache", "lib"]),
        (("lib/data", "cache"), ["cache", "lib/apt", "lib/data"]),
    ],
)
def test_overlays_go_around_what_is_mounted_below(tmp_path, mounted, expected):
    for part in ("cache", "lib/apt", "lib/data"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("lib")
    places = [place if place.startswith("/") else os.path.join(str(tmp_path), place).rstrip("/") for place in mounted]
    found = files._without_mounts(str(tmp_path), places)
    assert found == [os.path.join(str(tmp_path), part).rstrip("/") for part in expected]


def test_a_copied_tree_has_content_links_and_modes(tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"\x00\xff")
    (source / "sub" / "file").chmod(0o640)
    (source / "link").symlink_to("sub/file")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(str(source / "pipe"))
    (source / "sub").chmod(0o751)
    files._copy(str(source), str(tmp_path / "target"))
    target = tmp_path / "target"
    assert (target / "sub" / "file").read_bytes() == b"\x00\xff"
    assert (target / "sub" / "file").stat().st_mode & 0o777 == 0o640
    assert (target / "sub").stat().st_mode & 0o777 == 0o751
    assert os.readlink(str(target / "link")) == "sub/file"
    assert os.readlink(str(target / "dangling")) == "nowhere"
    assert not (target / "pipe").exists()


def test_copied_directories_hold_no_files_and_end_at_the_depth(tmp_path):
    source = tmp_path / "source"
    (source / "a" / "b" / "c").mkdir(parents=True)
    (source / "a" / "file").write_text("")
    (source / "a").chmod(0o1777)
    files._copy_directories(str(source), str(tmp_path / "target"), 2)
    found = sorted(str(path.relative_to(tmp_path / "target")) for path in (tmp_path / "target").rglob("*"))
    assert found == ["a", "a/b"]
    assert (tmp_path / "target" / "a").stat().st_mode & 0o7777 == 0o1777
