"""The reference page of the configuration, and the environment variables, which are in no schema.

Belongs here: its text. Does not belong here: facts about keys, stated in `config`.
"""

import inspect
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from orchestration.config.schema import Config
from orchestration.config.tables import ChannelRule, Funnel, FunnelStep, Pages, Publish, Waiver
from orchestration.reference.markdown import NOTE, table

ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "NORTHSTAR_HOME": ("`.northstar` beside the project", "folder that holds all state"),
    "NORTHSTAR_LANDING": ("`<home>/landing`", "landing zone; Northstar only reads it"),
    "NORTHSTAR_CONFIG": (
        "`./northstar.toml`, else `<home>/northstar.toml`",
        "configuration file, which must exist; an empty value means no file",
    ),
    "NORTHSTAR_PSEUDONYM_KEY": (
        "generated in `<home>/pseudonym.key`",
        "key of published pseudonyms and of the erasure ledger, 16 characters or more; set it in production",
    ),
    "NORTHSTAR_POSTGRES_URL": (
        "`publish.postgres_url`",
        "PostgreSQL database that releases are loaded into as well; use it for a URL with a password",
    ),
}
"""Environment variables that configure Northstar: name → (default, meaning)."""

_NESTED: Mapping[str, type[BaseModel]] = {
    "[[funnels]]": Funnel,
    "[[funnels]].steps": FunnelStep,
    "[[channel_rules]]": ChannelRule,
    "[pages]": Pages,
    "[publish]": Publish,
    "[[waivers]] in waivers.toml": Waiver,
}


def configuration_page() -> str:
    """Return the page of northstar.toml, its nested tables, waivers.toml and the environment."""
    keys = table(
        ("key", "default", "meaning"),
        ((f"`{key}`", f"`{_toml(field.default)}`", field.description or "") for key, field in Config.model_fields.items()),
    )
    variables = table(
        ("variable", "default", "meaning"),
        ((f"`{variable}`", default, meaning) for variable, (default, meaning) in ENVIRONMENT.items()),
    )
    nested = "\n".join(
        f"### `{name}`\n\n{inspect.cleandoc(model.__doc__ or '')}\n\n"
        + table(
            ("key", "required"),
            ((f"`{key}`", "yes" if field.is_required() else "no") for key, field in model.model_fields.items()),
        )
        for name, model in _NESTED.items()
    )
    return f"""{NOTE}
# Configuration

`northstar.toml` is read from the folder that a command starts in, or else from the home. Every key has a default. An unknown key
is an error that names the nearest known one. [Your first own data](../first-data.md#settings) shows examples;
[How marts are judged](../gate.md#waivers) explains `waivers.toml`.

## Keys

{keys}
## Nested tables

{nested}
## Environment variables

{variables}"""


def _toml(value: Any) -> str:
    """A default in TOML notation."""
    import tomlkit

    if isinstance(value, Decimal | date):
        return str(value)
    if isinstance(value, BaseModel):
        table = tomlkit.inline_table()
        table.update(value.model_dump(mode="json", exclude_none=True))
        return str(table.as_string())
    if value == {}:
        return "{}"
    return str(tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string())
