"""The reference page of the marts.

Belongs here: its text. Does not belong here: facts about marts, stated in their YAML.
"""

import re
from collections.abc import Collection, Iterable

from orchestration.marts import MartSpec
from orchestration.reference.markdown import NOTE, table


def marts_page(marts: Collection[MartSpec], lineage: str) -> str:
    """Return the page of marts: an overview, each mart with its columns, and the lineage."""
    details = "\n".join(map(_mart, marts))
    return f"""{NOTE}
# Marts

A mart is left out of a release when none of the sources it needs has landed. [How marts are judged](../gate.md) lists the other
reasons. In every mart with a breakdown, `dimension` and `segment` hold it in long form; the row `('all', 'all')` is always there.
A value that cannot be known yet is NULL, and `is_mature` or `is_complete` says so.

{published_marts(marts)}
{details}
## Lineage

Each node is a table or several that share their neighbours; an arrow is drawn only where no longer path connects the two.

{lineage}"""


def published_marts(marts: Iterable[MartSpec]) -> str:
    """Return the table of marts: grain, required sources (at least one of them), and owner."""
    return table(
        ("mart", "one row per", "needs one of", "owner"),
        (
            (f"[`{spec.name}`](#{spec.name})", grain_sentence(spec.description), ", ".join(spec.requires), spec.owner)
            for spec in marts
        ),
    )


def grain_sentence(description: str) -> str:
    """Return the grain: a mart description's first sentence without its opening `One row per` and its full stop."""
    first = re.split(r"(?<=\.)\s", " ".join(description.split()), maxsplit=1)[0]
    return first.removeprefix("One row per ").removesuffix(".")


def _mart(spec: MartSpec) -> str:
    facts = [
        f"- Grain: {', '.join(f'`{column}`' for column in spec.grain)}.",
        f"- Needs one of: {', '.join(f'`{source}`' for source in spec.requires)}.",
        f"- Owner: {spec.owner}.",
    ]
    if spec.version != 1:
        facts.append(f"- Version: {spec.version}.")
    if spec.published_until is not None:
        facts.append(f"- Published until {spec.published_until}.")
    columns = table(
        ("column", "type", "description"),
        ((f"`{column.name}`", column.type.lower(), column.description) for column in spec.columns),
    )
    return "\n".join([f"## `{spec.name}`\n", f"{spec.description}\n", *facts, "", columns])
