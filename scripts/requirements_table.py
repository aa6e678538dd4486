"""Write the README's table of requirements from the data: `python scripts/requirements_table.py`."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
START, END = "<!-- requirements: start -->", "<!-- requirements: end -->"

# What stands in `ports` instead of numbers, in words.
SETTINGS = {
    "master_port": "the master's port",
    "agent_ports": "all (`determined_agent_ports`)",
    "service_ports": "the services' ports",
}
SOURCES = {"document": "document", "later": "later releases"}


def table() -> str:
    """The rows of requirements.yml as a Markdown table."""
    data = yaml.safe_load((ROOT / "plugins/plugin_utils/_cluster/requirements.yml").read_text(encoding="utf-8"))
    lines = ["| Requirement | From | To | TCP ports | Purpose | Source |", "|---|---|---|---|---|---|"]
    for row in data["requirements"]:
        ports = SETTINGS.get(row.get("ports"), row.get("ports", "advice"))
        name = f"`{row['id']}`"
        lines.append(
            f"| {name} | {row['from']} | {row['to']} | {ports} | {row['purpose']} | {SOURCES[row['provenance']]} |"
        )
    return "\n".join(lines)


def with_table(text: str) -> str:
    """The README's text with the table between its two marks."""
    before, _unused, rest = text.partition(START)
    _unused, _unused, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
