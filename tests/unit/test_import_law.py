# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import what, and where numbers may stand: the walls between the parts, read from the sources.

The two arms (rules and checks) grow from one trunk and never meet; the middle is pure; commands run and
sockets open at few doors; what runs on a managed host needs Python 3.6 and nothing else.
"""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.determined.network.plugins.module_utils import _ports
from ansible_collections.determined.network.plugins.plugin_utils._cluster import requirements

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PREFIX = "ansible_collections.determined.network.plugins."
FILES = sorted(path for path in PLUGINS.rglob("*.py"))
HOST_SIDE = [path for path in FILES if path.parts[len(PLUGINS.parts)] in ("modules", "module_utils")]
CONTROLLER_SIDE = [path for path in FILES if path not in HOST_SIDE]
TEXTS = ("DOCUMENTATION", "EXAMPLES", "RETURN")

# Whatever reaches outside the process. (os alone also has os.path and os.strerror, so it is named where it matters.)
COMMANDS = {"subprocess", "pty", "multiprocessing"}
SOCKETS = {"socket", "socketserver", "ssl", "http", "urllib", "asyncio"}
RUNS = re.compile(r"(system|popen|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?)\Z")


def name_of(path):
    return path.relative_to(PLUGINS).with_suffix("").as_posix()


def names(paths):
    return [name_of(path) for path in paths]


def tree_of(name):
    return ast.parse((PLUGINS / f"{name}.py").read_text(encoding="utf-8"))


def resolve(dotted):
    """ "module_utils._host.runner.Runner" -> "module_utils/_host/runner": the file that is meant."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        candidate = PLUGINS.joinpath(*parts[:length])
        if candidate.with_suffix(".py").is_file():
            return "/".join(parts[:length])
        if length == len(parts) and (candidate / "__init__.py").is_file():
            return "/".join([*parts, "__init__"])
    raise AssertionError(f"{dotted} is no file of the collection")


def imports(name):
    """A file of plugins/ -> (top names of foreign modules, files of the collection) that it imports, wherever."""
    foreign, own = set(), set()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for dotted in found:
            if dotted.startswith(PREFIX):
                own.add(resolve(dotted[len(PREFIX) :]))
            else:
                assert not dotted.startswith("ansible_collections."), f"{name} imports {dotted}"
                foreign.add(dotted)
    return foreign, own


def tops(foreign):
    return {dotted.split(".")[0] for dotted in foreign} - {"__future__"}


def test_there_is_something_to_hold():
    assert len(HOST_SIDE) > 20 and len(CONTROLLER_SIDE) > 15
    assert "module_utils/_policy" in imports("plugin_utils/_host_policy")[1]
    assert "subprocess" in tops(imports("module_utils/_host/runner")[0])
    with pytest.raises(AssertionError):
        resolve("module_utils._nothing")


# --- the host's side --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names(HOST_SIDE))
def test_host_side_imports_only_the_standard_library_and_itself(name):
    foreign, own = imports(name)
    assert {file.split("/")[0] for file in own} <= {"module_utils"}
    allowed = set(sys.stdlib_module_names)
    if name.startswith("modules/"):
        foreign = {dotted for dotted in foreign if not dotted.startswith("ansible.module_utils.")}
    assert tops(foreign) <= allowed - {"importlib", "imp", "dataclasses"}


@pytest.mark.parametrize("name", names(HOST_SIDE))
def test_host_side_is_python_3_6(name):
    source = (PLUGINS / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    assert "importlib" not in source and "__import__" not in source
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            assert {alias.name for alias in node.names} <= {"absolute_import", "division", "print_function"}
        if isinstance(node, ast.Call):
            # subprocess.run(capture_output=, text=, check=False) and shlex.join came with 3.7 and 3.8.
            assert not {keyword.arg for keyword in node.keywords} & {"capture_output", "text", "missing_ok"}
        if isinstance(node, ast.Attribute):
            assert node.attr not in {
                "removeprefix",
                "removesuffix",
                "isascii",
                "time_ns",
                "monotonic_ns",
                "waitid_pidfd",
            }


# --- doors ------------------------------------------------------------------------------------------

# The only places where commands run: the runner; the rehearsal's hosts; and the way into one.
COMMAND_DOORS = {"module_utils/_host/runner", "module_utils/_namespaces/build", "connection/namespace"}
SOCKET_DOORS = re.compile(r"module_utils/_(probe|listener|internet)/\w+\Z|plugin_utils/_cluster/resolve\Z")


@pytest.mark.parametrize("name", names(FILES))
def test_commands_run_and_sockets_open_only_at_their_doors(name):
    used = tops(imports(name)[0])
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


BACKENDS_FOLDER = "module_utils/_firewall/backends/"

EFFECTS = COMMANDS | SOCKETS | {"os", "shutil", "fcntl", "select", "signal", "ctypes", "tempfile", "time"}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in names(HOST_SIDE)
        if name.startswith(BACKENDS_FOLDER)
        or name
        in (
            "module_utils/_policy",
            "module_utils/_socket_states",
            "module_utils/_ports",
            "module_utils/_no_proxy",
            "module_utils/_firewall/plan",
            "module_utils/_firewall/lockout",
            "module_utils/_firewall/stored",
            "module_utils/_firewall/boot_units",
            "module_utils/_namespaces/hosts",
            "module_utils/_listener/plan",
        )
    ],
)
def test_the_hosts_pure_middle_has_no_effects(name):
    assert not tops(imports(name)[0]) & EFFECTS
    assert not [node for node in ast.walk(tree_of(name)) if isinstance(node, ast.Name) and node.id == "open"]


@pytest.mark.parametrize("name", [name for name in names(FILES) if "Pure." in (ast.get_docstring(tree_of(name)) or "")])
def test_a_file_that_calls_itself_pure_is(name):
    assert not tops(imports(name)[0]) & ((EFFECTS | {"ansible", "pathlib"}) - {"os"})
    for node in ast.walk(tree_of(name)):
        assert not (isinstance(node, ast.Name) and node.id in ("open", "print", "input"))


# --- the controller's side --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in names(FILES) if name.startswith("plugin_utils/")])
def test_plugin_utils_share_with_the_hosts_only_the_words(name):
    foreign, own = imports(name)
    assert {file for file in own if not file.startswith("plugin_utils/")} <= {
        "module_utils/_internet/targets",
        "module_utils/_policy",
        "module_utils/_ports",
        "module_utils/_proxy/description",
        "module_utils/_socket_states",
    }
    libraries = tops(foreign) - set(sys.stdlib_module_names)
    allowed = {
        "plugin_utils/_cluster/addresses": {"netaddr"},
        "plugin_utils/_cluster/requirements": {"yaml"},
        "plugin_utils/_cluster/inventory": {"ansible"},
    }
    assert libraries <= allowed.get(name, set())


SHELLS = [name for name in names(CONTROLLER_SIDE) if not name.startswith("plugin_utils/")]


@pytest.mark.parametrize("name", SHELLS)
def test_shells_do_not_know_each_other(name):
    _unused, own = imports(name)
    assert {file.split("/")[0] for file in own} <= {"plugin_utils", "module_utils"}


def test_checks_and_report_know_no_rules():
    assert not {file for file in imports("plugin_utils/_verification/checks")[1] if "host_policy" in file}
    assert imports("plugin_utils/_verification/report")[1] == {
        "module_utils/_ports",
        "plugin_utils/_flows",
        "plugin_utils/_verification/cells",
        "plugin_utils/_verification/checks",
        "plugin_utils/_verification/observations",
    }


@pytest.mark.parametrize("name", [name for name in names(FILES) if name.startswith("plugin_utils/")])
def test_the_two_arms_do_not_meet(name):
    """What derives rules knows no checks, and what verifies knows no rules."""
    arms = ("plugin_utils/_host_policy", "plugin_utils/_verification/")
    for mine, other in (arms, arms[::-1]):
        if name.startswith(mine):
            assert not [file for file in imports(name)[1] if file.startswith(other)]


# --- backends ---------------------------------------------------------------------------------------

BACKENDS = ("iptables", "firewalld", "nftables")
BACKEND_FILES = [name for name in names(FILES) if name.startswith(BACKENDS_FOLDER)]


def backend_of(name):
    return next((backend for backend in BACKENDS if name.startswith(f"{BACKENDS_FOLDER}{backend}/")), None)


@pytest.mark.parametrize("name", BACKEND_FILES)
def test_a_backend_imports_no_other_and_nothing_but_words(name):
    _unused, own = imports(name)
    outside = {file for file in own if not file.startswith(BACKENDS_FOLDER)}
    assert outside <= {"module_utils/_host/commands", "module_utils/_policy", "module_utils/_ports"}
    mine = backend_of(name)
    assert {backend_of(file) for file in own} - {None} <= ({mine} if mine else set(BACKENDS))
    if name == f"{BACKENDS_FOLDER}base":
        assert not {backend_of(file) for file in own} - {None}


@pytest.mark.parametrize("name", names(FILES))
def test_only_the_modules_that_wire_know_a_backend(name):
    concrete = {file for file in imports(name)[1] if file.startswith(BACKENDS_FOLDER)}
    concrete -= {f"{BACKENDS_FOLDER}base"}
    assert not concrete or name in BACKEND_FILES or name in ("modules/firewall", "modules/firewall_info")


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
