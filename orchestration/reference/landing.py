"""The reference page of the landing contract, and the macro with its keys for dbt.

Belongs here: their text. Does not belong here: facts about sources, stated in the contract.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from orchestration.landing.arrivals import FORMATS
from orchestration.landing.source import Column, Keep, Source
from orchestration.landing.vocabulary import CORE_EVENTS
from orchestration.reference.markdown import NOTE, sentence, table

LANDING_MACRO = Path("dbt_project", "macros", "landing_keys.sql")
"""The macro that tells dbt the key of every source; all of it is generated."""


def landing_page(sources: Iterable[Source]) -> str:
    """Return the page of the landing contract: where files go, each source with its key and columns, and the adapters."""
    sources = tuple(sources)
    overview = table(
        ("source", "key", "when a key arrives again", "required columns"),
        (
            (
                f"[`{source.name}`](#{source.name})",
                ", ".join(source.key),
                "the first row stays" if source.keep is Keep.FIRST else f"the latest {source.latest_by or 'arrival'} wins",
                ", ".join([*source.required_columns, *([f"one of {' or '.join(source.one_of)}"] if source.one_of else [])]),
            )
            for source in sources
        ),
    )
    names = ", ".join(f"`{name}`" for name in CORE_EVENTS)
    details = "\n".join(_source(source) for source in sources)
    return f"""{NOTE}
# Landing contract

    <landing>/<source>/dt=YYYY-MM-DD/<any name>.<format>

`dt` is the day on which the file arrived. Formats: {", ".join(f"`{suffix}`" for suffix in FORMATS)}.
[Your first own data](../first-data.md) explains how files are read, refused and corrected.

{overview}
Events with a meaning to the core, onto which `[event_names]` maps your own names: {names}.

{details}
## Adapters

`northstar import ADAPTER FILES...` converts files of another shape into this contract.

{_adapters()}"""


def landing_macro(sources: Iterable[Source]) -> str:
    """Return the dbt macro `landing_keys`: per source, which row of a key is kept and which columns add up."""
    lines = (
        f'    "{source.name}": {{"key": {json.dumps([_key_part(source, name) for name in source.key])},'
        f' "latest": {json.dumps(source.keep is Keep.LATEST)}, "dated": {json.dumps(source.latest_by is not None)},'
        f' "summed": {json.dumps(source.summed)}}},'
        for source in sources
    )
    return "\n".join(
        [
            "{#-",
            "  Generated from the landing contract by `make docs`; change it there. The key of every source, as expressions to",
            "  partition by, and which row of a key stays: `latest` for a state, else the first; `dated` when `updated_at` dates",
            "  a state; `summed`: columns that add up over rows of one file that share the key but differ.",
            "-#}",
            "{% macro landing_keys() %}",
            "  {{- return({",
            *lines,
            "  }) -}}",
            "{% endmacro %}",
            "",
        ]
    )


def _key_part(source: Source, name: str) -> str:
    """A column of a key; an empty optional text is a value of its own, in whatever form it landed."""
    column = source.column(name)
    return name if column.required or column.type.sql != "VARCHAR" else f"coalesce({name}, '')"


def _source(source: Source) -> str:
    lines = [
        f"## `{source.name}`\n",
        f"{sentence(source.description)}\n",
        f"- Key: {', '.join(f'`{name}`' for name in source.key)}.",
    ]
    if source.one_of:
        lines.append(f"- Every row needs at least one of {', '.join(f'`{name}`' for name in source.one_of)}.")
    if source.summed:
        lines.append(
            f"- Rows of one file that share the key but differ are added up: {', '.join(f'`{name}`' for name in source.summed)}."
        )
    columns = table(
        ("column", "type", "values", "description"),
        (
            (
                f"**`{column.name}`**" if column.required else f"`{column.name}`",
                column.type.value,
                _values(column),
                column.description,
            )
            for column in source.columns
        ),
    )
    return "\n".join([*lines, "", "Required columns are bold.\n", columns])


def _adapters() -> str:
    from orchestration.adapters import ADAPTERS

    return table(("adapter", "reads"), ((f"`{name}`", found.DESCRIPTION) for name, found in sorted(ADAPTERS.items())))


def _values(column: Column) -> str:
    bounds = (
        ("above", column.above),
        ("at least", column.minimum),
        ("at most", column.maximum),
    )
    return ", ".join([*column.allowed, *(f"{word} {bound}" for word, bound in bounds if bound is not None)])
