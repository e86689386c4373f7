"""What the dbt project declares of the marts: which there are, and what their properties mean for publishing.

Belongs here: reading a dbt manifest's models of the schema marts. Does not belong here: building them (`transform`) or copying
them into a release (`publishing`).
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from orchestration.base.errors import NorthstarError
from orchestration.churn import SCORES


def marts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The published models of a dbt manifest by name: those in the schema marts."""
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
    }


def reads_scores(node: Mapping[str, Any]) -> bool:
    """Whether a model of a dbt manifest is made of what the churn model says of accounts."""
    return f"source.northstar.{'.'.join(SCORES)}" in node["depends_on"]["nodes"]


def filled_by(marts: Mapping[str, Any]) -> dict[str, str]:
    """The input without which a mart is soundly empty, by mart: its `meta: {filled_by: events}`; others are never empty."""
    return {name: node["config"]["meta"]["filled_by"] for name, node in marts.items() if "filled_by" in node["config"]["meta"]}


def pseudonyms(marts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Columns that marts publish as pseudonyms, by mart, each with its domain: a column's `meta: {pseudonym: person}`."""
    found = {
        name: {
            column: meta["pseudonym"]
            for column, declared in node["columns"].items()
            if "pseudonym" in (meta := declared.get("config", {}).get("meta", {}))
        }
        for name, node in marts.items()
    }
    return {name: columns for name, columns in found.items() if columns}


def versions(marts: Mapping[str, Any]) -> dict[str, int]:
    """Version of each mart's columns, its `meta: {version: 2}`; 1 where it says nothing. NorthstarError for no whole number."""
    found = {name: node["config"]["meta"].get("version", 1) for name, node in marts.items()}
    for name, number in found.items():
        if type(number) is not int or number < 1:
            raise NorthstarError(f"{name}: its meta.version is {number!r}, and must be a whole number from 1 on")
    return found


def published_until(marts: Mapping[str, Any]) -> dict[str, date]:
    """The last day of marts that are going, by mart: dbt's `deprecation_date`, a day as it is written there."""
    return {name: date.fromisoformat(node["deprecation_date"][:10]) for name, node in marts.items() if node["deprecation_date"]}


def comments(node: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    """What a mart's readers are told of it and of its columns, each in one line."""
    columns = {name: " ".join(column["description"].split()) for name, column in node["columns"].items()}
    until = "".join(f" Published until {day}." for day in published_until({"": node}).values())
    return " ".join(node["description"].split()) + until, columns
