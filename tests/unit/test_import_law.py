# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no tool holds.

- The host side imports only the standard library, never relatively, and nothing that Python 3.6 lacks.
- Every public function says the types of its parameters and of its result.
- Commands run and sockets open only at their doors, and the pure middle neither opens files nor prints.
- No backend names a role of the cluster.
- No port of the table of requirements stands in code, roles or playbooks.
- No file is longer than 400 lines.

Who may import whom is in the contracts of import-linter (pyproject.toml), and the oldest Python is vermin's subject;
``make lint`` runs both. tests/unit/test_architecture.py compares the contracts with docs/architecture.md.
"""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
FILES = sorted(PLUGINS.rglob("*.py"))
HOST_SIDE = [path for path in FILES if path.parts[len(PLUGINS.parts)] in ("modules", "module_utils")]
TEXTS = ("DOCUMENTATION", "EXAMPLES", "RETURN")

COMMANDS = {"subprocess", "pty", "multiprocessing"}
SOCKETS = {"socket", "socketserver", "ssl", "http", "urllib", "asyncio"}
RUNS = re.compile(r"(system|popen|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?)\Z")


def name_of(path):
    return path.relative_to(PLUGINS).with_suffix("").as_posix()


def names(paths):
    return [name_of(path) for path in paths]


def tree_of(name):
    return ast.parse((PLUGINS / f"{name}.py").read_text(encoding="utf-8"))


def libraries(name):
    """A file of plugins/ -> the top names of the modules outside the collection that it imports, wherever."""
    found = set()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            found.add(node.module)
    return {dotted.split(".")[0] for dotted in found} - {"__future__", "ansible_collections"}


def calls(name):
    """The names of built-in functions that a file uses."""
    return {node.id for node in ast.walk(tree_of(name)) if isinstance(node, ast.Name)}


def test_there_is_something_to_hold():
    assert len(HOST_SIDE) > 60 and len(FILES) > 110
    assert "subprocess" in libraries("module_utils/_host/runner")
    assert "open" in calls("module_utils/_host/runner")


@pytest.mark.parametrize("name", names(HOST_SIDE))
def test_host_side_imports_only_the_standard_library(name):
    allowed = set(sys.stdlib_module_names) - {"importlib", "imp", "dataclasses"}
    if name.startswith("modules/"):
        allowed.add("ansible")
    assert libraries(name) <= allowed
    assert "__import__" not in calls(name)


# --- types ------------------------------------------------------------------------------------------


def untyped(name):
    """Public functions and methods of a file that lack the type of a parameter or of the result."""
    for outer in ast.walk(tree_of(name)):
        if not isinstance(outer, (ast.Module, ast.ClassDef)):
            continue
        for node in outer.body:
            if not isinstance(node, ast.FunctionDef) or (node.name.startswith("_") and node.name != "__init__"):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            rest = [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
            static = any(getattr(mark, "id", "") == "staticmethod" for mark in node.decorator_list)
            if isinstance(outer, ast.ClassDef) and not static:
                arguments = arguments[1:]
            if any(argument.annotation is None for argument in [*arguments, *rest]) or (
                node.returns is None and node.name != "__init__"
            ):
                yield f"{node.name} (line {node.lineno})"


@pytest.mark.parametrize("name", names(FILES))
def test_public_functions_say_their_types(name):
    assert not list(untyped(name))


# --- doors ------------------------------------------------------------------------------------------

# The only places where commands run: the runner; the rehearsal's hosts; and the way into one.
COMMAND_DOORS = {"module_utils/_host/runner", "module_utils/_namespaces/build", "connection/namespace"}
SOCKET_DOORS = re.compile(r"module_utils/_(probe|listener|internet|sockets|wire)/\w+\Z|plugin_utils/_cluster/resolve\Z")


@pytest.mark.parametrize("name", names(FILES))
def test_commands_run_and_sockets_open_only_at_their_doors(name):
    used = libraries(name)
    if name not in COMMAND_DOORS:
        assert not used & COMMANDS
        run = [
            node.attr
            for node in ast.walk(tree_of(name))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        ]
        assert not [attribute for attribute in run if RUNS.match(attribute)]
        assert not [
            node for node in ast.walk(tree_of(name)) if isinstance(node, ast.Attribute) and node.attr == "run_command"
        ]
    if not SOCKET_DOORS.match(name):
        assert not used & SOCKETS


def pure_files():
    """The files of the contract that holds the pure middle."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = [entry for entry in settings["contracts"] if entry["name"] == "The pure middle has no effects"]
    for dotted in contract["source_modules"]:
        place = PLUGINS / dotted.split(".plugins.")[1].replace(".", "/")
        yield from names(place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")])


@pytest.mark.parametrize("name", sorted(pure_files()))
def test_the_pure_middle_neither_opens_nor_prints(name):
    assert not calls(name) & {"open", "print", "input"}


# --- roles ------------------------------------------------------------------------------------------

BACKEND_FILES = [name for name in names(FILES) if name.startswith("module_utils/_firewall/backends/")]


def constants(name):
    """Constants of a file's code: neither docstrings nor the texts of a plugin's documentation."""
    tree = tree_of(name)
    skipped = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            skipped.add(body[0].value)
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") in TEXTS for target in node.targets):
            skipped.update(ast.walk(node.value))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in skipped]


ROLE = re.compile(r"\b(master|agents?|clients?|outsiders?|gloo|nccl|tensorboard|trial)\b", re.IGNORECASE)


@pytest.mark.parametrize("name", BACKEND_FILES)
def test_a_backend_knows_no_role(name):
    assert not [text for text in constants(name) if isinstance(text, str) and ROLE.search(text)]


# --- numbers ----------------------------------------------------------------------------------------

# What these two mean is not Determined's: the first port that needs no privilege (also a round number of
# bytes), and the last port there is.
GENERAL = {1024, 65535}
PORT_TEXT = re.compile(r"[\d\s,-]+\Z")


def table_figures():
    table = requirements.load_table()
    texts = [*table.default_master_port.values(), table.default_management_ports]
    texts += [row.ports for row in table.requirements if row.ports and row.ports not in requirements.PORT_SETTINGS]
    return {end for text in texts for pair in _ports.parse_ports(text) for end in pair} - GENERAL


def figures_in(value):
    """The numbers that a constant stands for, if it is a number or a text of ports."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return set()
    if isinstance(value, int):
        return {value}
    return {int(number) for number in re.findall(r"\d+", value)} if PORT_TEXT.match(value) else set()


def test_the_figures_of_the_table():
    assert {22, 8080, 8443, 1734, 1750, 12350, 12355, 2600, 2900, 29400} <= table_figures()
    assert figures_in(8080) == figures_in("8080") == {8080}
    assert figures_in("write 8080") == figures_in(True) == set()


@pytest.mark.parametrize("name", names(FILES))
def test_no_port_of_the_table_stands_in_the_code(name):
    assert not [value for value in constants(name) if figures_in(value) & table_figures()]


def scalars(value, key=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from scalars(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from scalars(inner, key)
    elif key not in ("description", "short_description"):
        yield value


YAML_FILES = [
    path
    for path in [*(ROOT / "roles").rglob("*.yml"), *(ROOT / "playbooks").rglob("*.yml")]
    if path.parent.name != "molecule"
]


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_port_of_the_table_stands_in_roles_and_playbooks(path):
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        for value in scalars(document):
            found = figures_in(value)
            if isinstance(value, str) and "{{" in value:
                found = {int(number) for number in re.findall(r"(?<![\w.])\d+(?![\w.])", value)}
            assert not found & table_figures(), value


@pytest.mark.parametrize("name", names(FILES))
def test_no_file_is_too_long(name):
    assert len((PLUGINS / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 400
