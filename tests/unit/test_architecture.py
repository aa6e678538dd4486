# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md names files and packages that exist, every package of the code, and what each may know and do.

What a package may know is what the contracts of import-linter (pyproject.toml) permit.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:plugins|tests|roles|extensions)/[\w./-]+)`", TEXT)))
PACKAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for side in ("module_utils", "plugin_utils")
    for path in (ROOT / "plugins" / side).iterdir()
    if path.name.startswith("_") and path.name != "__pycache__"
)


def test_there_are_paths_to_hold():
    assert len(PATHS) > 30


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_the_page_names_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", PACKAGES)
def test_the_page_names_every_package(path):
    assert Path(path).name.removesuffix(".py") in TEXT


# --- what a package may use, and its effects --------------------------------------------------------

CONTRACTS = {
    contract["name"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
}
HOST_LAYERS = CONTRACTS["The subjects of the host side are independent"]["layers"]
CONTROLLER_LAYERS = CONTRACTS["The two arms do not meet"]["layers"]
SHARING = CONTRACTS["The controller shares only values with the hosts"]
PURE = CONTRACTS["The pure middle has no effects"]
PROTECTED = [contract for contract in CONTRACTS.values() if contract["type"] == "protected"]
VALUES = {"_ports", "_policy", "_socket_states", "_no_proxy"}
SHARED = {"_internet/targets", "_proxy/description"}


def rows():
    """(package, what it may use, its effects) for each package of the page's first table."""
    table = TEXT.split("| package |")[1].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        packages, _subject, uses, effects = (cell.strip() for cell in line.strip("|").split(" | "))
        for package in re.findall(r"`plugins/([\w/]+?)(?:/|\.py)?`", packages):
            yield package, uses, effects


ROWS = {package: (uses, effects) for package, uses, effects in rows()}


def inner(dotted):
    """A module of a contract -> its name in this page, without the side's name: _internet/targets."""
    return dotted.split(".plugins.")[1].split(".", 1)[-1].replace(".", "/")


def named(uses):
    """The packages and files that a cell of the column "may use" stands for."""
    found = {name for name in re.findall(r"`([\w/]+)`", uses) if name.startswith("_")}
    found |= VALUES if "the values" in uses else set()
    return found | (SHARED if "what is shared" in uses else set())


def below(layers, name):
    """The names in the layers below a name."""
    levels = [set(layer.split(" | ")) for layer in layers]
    (level,) = [number for number, names in enumerate(levels) if name in names]
    return set().union(*levels[level + 1 :])


def permitted(package):
    """What the contracts permit a package of module_utils or plugin_utils to import of the collection."""
    side, name = package.split("/")
    if side == "plugin_utils":
        return below(CONTROLLER_LAYERS, name) | VALUES | SHARED
    found = below(HOST_LAYERS, name)
    for contract in PROTECTED:
        if name not in map(inner, contract["allowed_importers"]):
            found -= set(map(inner, contract["protected_modules"]))
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_a_row_of_its_own(package):
    assert package.removeprefix("plugins/").removesuffix(".py") in ROWS


@pytest.mark.parametrize("package", [name for name in ROWS if re.fullmatch(r"(module|plugin)_utils/\w+", name)])
def test_a_package_may_use_what_the_contracts_permit(package):
    assert named(ROWS[package][0]) == permitted(package)


def test_the_controller_may_use_of_the_host_side_what_the_contract_excepts():
    excepted = {}
    for entry in SHARING["ignore_imports"]:
        importer, imported = entry.split(" -> ")
        excepted.setdefault(importer.split(".plugins.")[1].split(".")[0], set()).add(inner(imported))
    assert excepted.pop("plugin_utils") == SHARED
    assert {side: named(ROWS[side][0]) - VALUES for side in excepted} == excepted
    host_side = {
        path.removeprefix("plugins/module_utils/").removesuffix(".py") for path in PACKAGES if "/module_" in path
    }
    assert set(map(inner, SHARING["forbidden_modules"])) == host_side - VALUES


def effects_of(package):
    """The files of a package that import what only a file with effects needs, without their folders."""
    pure = {dotted.split(".plugins.")[1].replace(".", "/") for dotted in PURE["source_modules"]}
    place = ROOT / "plugins" / package
    for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
        name = path.relative_to(ROOT / "plugins").with_suffix("")
        if not pure & {str(name), *map(str, name.parents)} and imports(path) & set(PURE["forbidden_modules"]):
            yield name.name


def imports(path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in found}


@pytest.mark.parametrize("package", [name for name in ROWS if re.match(r"(module|plugin)_utils/", name)])
def test_the_column_of_effects_names_every_file_that_has_some(package):
    told = set(re.findall(r"`(\w+)`", ROWS[package][1]))
    assert set(effects_of(package)) <= told
    assert [name for name in told if not (ROOT / "plugins" / package / f"{name}.py").exists()] == []
