"""The parts of the README that are made, not written: tables and the picture of the lineage, each from the one place that knows.

Belongs here: their Markdown, and its place between `<!-- generated: NAME -->` and `<!-- /generated -->`, also in the one page of
dbt's documentation that shows the metrics; the page of what the gate refuses; and the macro by which dbt knows the keys of the
landing contract. Does not belong here: any fact about sources,
marts, metrics, settings or commands; a wrong sentence is mended where the fact is stated.

    python -m orchestration.reference [--check] [README]
"""

import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from expectations import corruptions
from orchestration import mart_models, settings, transform
from orchestration.errors import NorthstarError, UserError
from orchestration.landing.contract import CONTRACT, Column, Keep, Source

ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "NORTHSTAR_HOME": ("`.northstar` beside the project", "folder that holds all state"),
    "NORTHSTAR_LANDING": ("`<home>/landing`", "folder that files land in; it is only read"),
    "NORTHSTAR_CONFIG": (
        "`./northstar.toml`, else `<home>/northstar.toml`",
        "the configuration file; one that is named must exist",
    ),
    "NORTHSTAR_PSEUDONYM_KEY": (
        "generated in `<home>/pseudonym.key`",
        "key of published pseudonyms and of the ledger of erasures, 16 characters or more; set it in production",
    ),
    "NORTHSTAR_POSTGRES_URL": (
        "`publish.postgres_url`",
        "the PostgreSQL database that releases are loaded into too; the place for a URL with a password",
    ),
}
"""What the environment configures: variable → (default, meaning)."""

_BLOCK = re.compile(r"<!-- generated: (?P<name>\S+) -->(?P<body>.*?)<!-- /generated -->", re.DOTALL)
_MARKER = re.compile(r"<!-- (?:generated: (?P<name>\S+)|/generated) -->")

# The order of the picture, from left to right. A group that is not listed follows behind.
_GROUPS = ("ingest", "staging", "intermediate", "core", "marts", "ml", "release")
# Every table of these groups is drawn by itself; elsewhere those with the same neighbours share a node.
_ALWAYS_DRAWN = ("core", "marts")


CORRUPTIONS_PAGE = settings.PROJECT / "expectations" / "corruptions.md"
"""The page that says which check refuses which corruption; all of it is made."""

LANDING_MACRO = settings.DBT_PROJECT / "macros" / "landing_keys.sql"
"""The macro that tells dbt the key of every source; all of it is made."""

METRICS_PAGE = settings.DBT_PROJECT / "models" / "marts" / "metrics" / "metrics.md"
"""The page of dbt's documentation with the table of metrics."""


class MarkerError(UserError):
    """A marker in the README is unknown, repeated, missing or not closed."""


def blocks(configured: settings.Settings) -> dict[str, str]:
    """The generated blocks by name, as Markdown that ends in a line break. Needs a prepared dbt manifest."""
    from orchestration.cli import cli

    marts = dict(sorted(mart_models.marts(transform.read_manifest(configured)).items()))
    return {
        "landing": landing(CONTRACT.values()),
        "marts": published_marts(marts),
        "metrics": metrics(_seed("metrics"), _seed("targets")),
        "mart-columns": mart_columns(marts),
        "lineage": flowchart(*_assets(configured)),
        "configuration": configuration(),
        "commands": commands(cli),
    }


def stale(text: str, current: Mapping[str, str]) -> list[str]:
    """Names of the blocks of a README that are not as `current` has them, in its order; raises MarkerError like `fill`."""
    _check_markers(text, current)
    return [found["name"] for found in _BLOCK.finditer(text) if found["body"] != f"\n\n{current[found['name']]}\n"]


def fill(text: str, current: Mapping[str, str]) -> str:
    """The README with every block as `current` has it; raises MarkerError for a marker that is unknown, repeated or missing."""
    _check_markers(text, current)
    return _BLOCK.sub(lambda found: f"<!-- generated: {found['name']} -->\n\n{current[found['name']]}\n<!-- /generated -->", text)


def write(page: Path, current: Mapping[str, str]) -> bool:
    """Bring a page's blocks up to date; returns whether anything changed. Raises MarkerError, and changes nothing then."""
    before = _read(page)
    after = fill(before, current)
    if after != before:
        page.write_text(after, encoding="utf-8")
    return after != before


def landing(sources: Iterable[Source]) -> str:
    """Table of the landing contract: required columns are bold, each with its type or the values it may hold."""
    return _table(
        ("source", "key", "columns (**required** in bold)"),
        (
            (
                f"`{source.name}`",
                ", ".join(source.key) + (f"; the latest {source.latest_by} wins" if source.latest_by else ""),
                ", ".join(_column(column) for column in source.columns)
                + (f"; at least one of {', '.join(source.one_of)}" if source.one_of else ""),
            )
            for source in sources
        ),
    )


def landing_macro(sources: Iterable[Source]) -> str:
    """The dbt macro `landing_keys`: what of each source's contract decides which row of a key stays."""
    lines = (
        f'    "{source.name}": {{"key": {json.dumps([_key_part(source, name) for name in source.key])},'
        f' "latest": {json.dumps(source.keep is Keep.LATEST)}, "dated": {json.dumps(source.latest_by is not None)}}},'
        for source in sources
    )
    return "\n".join(
        [
            "{#-",
            "  Generated from the landing contract by `make docs`; change it there. The key of every source, as expressions to",
            "  partition by, and which row of a key stays: `latest` for a state, else the first; `dated` when `updated_at` dates",
            "  a state.",
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
    """A column of a key; an optional text that is empty is a value of its own, however its file spells that."""
    column = source.column(name)
    return name if column.required or column.type.sql != "VARCHAR" else f"coalesce({name}, '')"


def published_marts(marts: Mapping[str, Any]) -> str:
    """Table of the marts of a dbt manifest: what one row is, the sources of which one must have landed, who answers for it."""
    return _table(
        ("mart", "one row per", "made from", "owner"),
        (
            (f"`{name}`", grain_sentence(node["description"]), ", ".join(meta["requires"]), meta["owner"])
            for name, node in marts.items()
            for meta in (node["config"]["meta"],)
        ),
    )


def metrics(definitions: Iterable[Mapping[str, str]], targets: Iterable[Mapping[str, str]]) -> str:
    """Table of the tree of metrics by the rows of its seeds: name, target, what is counted or why not yet, what it drives."""
    aims = {row["metric"]: row for row in targets}
    return _table(
        ("metric", "name", "target", "period", "counted", "drives"),
        (
            (
                f"`{row['metric']}`",
                f"{labels['label_en']} ({labels['label_zh']})",
                _target(aims[row["metric"]]) if row["metric"] in aims else "",
                row["period"],
                f"not yet: {row['missing']}" if row["missing"] else _counted(row),
                f"`{row['parent']}`" if row["parent"] else "",
            )
            for row in definitions
            for labels in (aims.get(row["metric"], row),)
        ),
    )


def grain_sentence(description: str) -> str:
    """What one row is: the first sentence of a mart's description without its opening `One row per` and its full stop."""
    first = re.split(r"(?<=\.)\s", " ".join(description.split()), maxsplit=1)[0]
    return first.removeprefix("One row per ").removesuffix(".")


def mart_columns(marts: Mapping[str, Any]) -> str:
    """One collapsible table of columns per mart of a dbt manifest."""
    return "\n".join(
        f"<details><summary><code>{name}</code></summary>\n\n{table}\n</details>\n"
        for name, node in marts.items()
        for table in (
            _table(
                ("column", "type", "description"),
                ((f"`{column['name']}`", column["data_type"], column["description"]) for column in node["columns"].values()),
            ),
        )
    )


def configuration() -> str:
    """Table of the keys of northstar.toml, and one of the environment variables."""
    keys = _table(
        ("key", "default", "meaning"),
        (
            (f"`{key}`", f"`{_toml(field.default)}`", field.description or "")
            for key, field in settings.Config.model_fields.items()
        ),
    )
    variables = _table(
        ("variable", "default", "meaning"),
        ((f"`{variable}`", default, meaning) for variable, (default, meaning) in ENVIRONMENT.items()),
    )
    return f"{keys}\n{variables}"


def commands(group: click.Group) -> str:
    """Table of a command line's commands with their arguments, in the order in which they are defined."""
    return _table(
        ("command", "what it does"),
        ((f"`{_usage(group, command)}`", command.get_short_help_str(limit=1_000)) for command in group.commands.values()),
    )


def flowchart(groups: Mapping[str, str], parents: Mapping[str, Iterable[str]]) -> str:
    """A Mermaid flowchart of tables: key → group, and key → the keys it is made from, without cycles.

    To stay readable it draws each source together with the staging model named after it, an arrow only where no longer way leads
    from one table to the other, tables of one area (`int_<area>__…`) as one node as far as that makes no circle, and so tables
    with the same neighbours; marts and core tables are never joined.
    """
    labels = {key: key.removeprefix(f"{group}/") for key, group in groups.items()}
    above = {key: {parent for parent in parents.get(key, ()) if parent in groups} for key in groups}
    for source, readers in sorted(_below(above).items()):
        named = [reader for reader in readers if groups[reader] == "staging" and reader.endswith(f"stg_{source.split('/')[-1]}")]
        if groups[source] == "ingest" and named:
            [reader] = named
            labels[reader] = f"{labels.pop(source)} → {labels[reader]}"
            above[reader] = (above[reader] - {source}) | above.pop(source)
            above = {key: {reader if parent == source else parent for parent in found} for key, found in above.items()}
    for keys in [*_areas(above), *_twins(_without_detours(above), groups)]:
        together = [key for key in keys if key in labels]
        if len(together) > 1:
            labels[together[0]] = "<br/>".join(labels.pop(key) for key in together)
            above = _joined(above, together)
    above = _without_detours(above)

    drawn: dict[str, list[str]] = defaultdict(list)
    for key in sorted(labels):
        drawn[groups[key]].append(f'    {_node(key)}["{labels[key]}"]')
    known = [group for group in _GROUPS if group in drawn]
    lines = ["```mermaid", "flowchart LR"]
    for group in [*known, *sorted(drawn.keys() - set(known))]:
        lines += [f'  subgraph group_{group}["{group}"]', *drawn[group], "  end"]
    lines += [f"  {_node(parent)} --> {_node(key)}" for key in sorted(above) for parent in sorted(above[key])]
    return "\n".join([*lines, "```", ""])


def _seed(name: str) -> list[dict[str, str]]:
    with (settings.DBT_PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _target(row: Mapping[str, str]) -> str:
    note = f" ({row['note']})" if row["note"] else ""
    return f"{'≥' if row['direction'] == 'at_least' else '≤'} {row['target']} {row['unit']}{note}"


def _counted(row: Mapping[str, str]) -> str:
    how = f"{row['numerator']} / {row['denominator']}" if row["denominator"] else row["numerator"]
    matures = f"; known {row['lag_days']} days later" if row["lag_days"] != "0" else ""
    return {"median": "median of ", "score": "100 × ", "growth": "", "ratio": "", "count": ""}[row["kind"]] + how + matures


def _assets(configured: settings.Settings) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Groups and parents of every asset of the code location."""
    from orchestration.definitions import build

    specs = {spec.key.to_user_string(): spec for spec in build(configured).resolve_all_asset_specs()}
    groups = {key: spec.group_name or "default" for key, spec in specs.items()}
    return groups, {key: [dep.asset_key.to_user_string() for dep in spec.deps] for key, spec in specs.items()}


def _below(above: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    below: dict[str, set[str]] = {key: set() for key in above}
    for key, parents in above.items():
        for parent in parents:
            below[parent].add(key)
    return below


def _without_detours(above: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The transitive reduction of a graph without cycles."""
    ancestors: dict[str, set[str]] = {}

    def find(key: str) -> set[str]:
        if key not in ancestors:
            ancestors[key] = above[key].union(*(find(parent) for parent in above[key]))
        return ancestors[key]

    return {
        key: {parent for parent in found if not any(parent in find(other) for other in found)} for key, found in above.items()
    }


def _joined(above: Mapping[str, set[str]], keys: Sequence[str]) -> dict[str, set[str]]:
    """The graph with several keys as one, which goes by the name of the first."""
    first, others = keys[0], set(keys[1:])
    renamed = {key: {first if parent in others else parent for parent in found} for key, found in above.items()}
    renamed[first] = set().union(*(renamed[key] for key in keys)) - {first}
    return {key: found for key, found in renamed.items() if key not in others}


def _areas(above: Mapping[str, set[str]]) -> list[list[str]]:
    """Keys of one area, two and more together; a way out of an area and back into it keeps its ends apart."""
    joined = dict(above)
    together: dict[str, list[str]] = {}
    for key in sorted(above):
        area, found, _ = key.partition("__")
        if not found or not area.startswith("intermediate/int_"):
            continue
        for first in [first for first in together if first.startswith(f"{area}__")]:
            if not _is_round_about(joined, first, key) and not _is_round_about(joined, key, first):
                joined = _joined(joined, [first, key])
                together[first].append(key)
                break
        else:
            together[key] = [key]
    return [keys for keys in together.values() if len(keys) > 1]


def _is_round_about(above: Mapping[str, set[str]], upper: str, lower: str) -> bool:
    """Whether a way leads from one key down to another over a third."""
    waiting, seen = [parent for parent in above[lower] if parent != upper], set[str]()
    while waiting:
        key = waiting.pop()
        if key == upper:
            return True
        if key not in seen:
            seen.add(key)
            waiting += above[key]
    return False


def _twins(above: Mapping[str, set[str]], groups: Mapping[str, str]) -> list[list[str]]:
    """Keys of one group that have the same parents and the same children, two and more together."""
    below = _below(above)
    found: dict[tuple[str, frozenset[str], frozenset[str]], list[str]] = defaultdict(list)
    for key in sorted(above):
        if groups[key] not in _ALWAYS_DRAWN:
            found[groups[key], frozenset(above[key]), frozenset(below[key])].append(key)
    return [keys for keys in found.values() if len(keys) > 1]


def _node(key: str) -> str:
    return re.sub(r"\W", "_", key)


def _column(column: Column) -> str:
    name = f"**{column.name}**" if column.required else column.name
    if column.allowed:
        return f"{name} ({', '.join(column.allowed)})"
    if column.minimum is not None and column.maximum is not None:
        return f"{name} ({column.type.value}, {column.minimum} to {column.maximum})"
    if column.minimum is not None:
        return f"{name} ({column.type.value}, at least {column.minimum})"
    if column.above is not None:
        return f"{name} ({column.type.value}, above {column.above})"
    return f"{name} ({column.type.value})"


def _toml(value: Any) -> str:
    """A default as northstar.toml spells it."""
    import tomlkit

    if isinstance(value, Decimal | date):
        return str(value)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if value == {}:
        return "{}"
    return str(tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string())


def _usage(group: click.Group, command: click.Command) -> str:
    context = click.Context(command, info_name=command.name, parent=click.Context(group, info_name="northstar"))
    pieces = [context.command_path]
    for parameter in command.params:
        # A range is an integer to whoever reads a table; `--help` has the bounds.
        wanted = parameter.make_metavar(context).removesuffix(" RANGE")
        if isinstance(parameter, click.Option):
            option = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {wanted}"
            pieces.append(option if parameter.required else f"[{option}]")
        else:
            pieces.append(wanted)
    return " ".join(pieces)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([" ".join(cell.split()).replace("|", r"\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _check_markers(text: str, current: Mapping[str, str]) -> None:
    opened: str | None = None
    found: list[str] = []
    for marker in _MARKER.finditer(text):
        name = marker["name"]
        if name is None:
            if opened is None:
                raise MarkerError("the README closes a generated block that was not opened")
            opened = None
        elif opened is not None:
            break
        elif name not in current:
            raise MarkerError(f"the README has a marker of an unknown block {name!r}; there are {', '.join(current)}")
        elif name in found:
            raise MarkerError(f"the README has the generated block {name!r} twice")
        else:
            opened = name
            found.append(name)
    if opened is not None:
        raise MarkerError(f"the generated block {opened!r} of the README is not closed; write <!-- /generated --> behind it")
    if missing := [name for name in current if name not in found]:
        raise MarkerError(
            f"the README lacks the generated block {missing[0]!r}; write <!-- generated: {missing[0]} --> where it belongs"
        )


def _read(readme: Path) -> str:
    try:
        return readme.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{readme} cannot be read: {error.strerror}") from error


def _bring(path: Path, wanted: str, outdated: list[str] | None) -> None:
    """Write a file that is generated as a whole; with a list, write nothing and add what is stale to it."""
    if outdated is None:
        changed = not path.exists() or _read(path) != wanted
        if changed:
            path.write_text(wanted, encoding="utf-8")
        click.echo(f"{path}: {'written' if changed else 'is current'}")
    elif _read(path) != wanted:
        outdated.append(f"{path}: stale; run `make docs`")


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a block is stale.")
@click.argument("readme", type=click.Path(path_type=Path), default=settings.PROJECT / "README.md")
def main(readme: Path, *, check: bool) -> None:
    """Bring the generated blocks of README up to date."""
    try:
        configured = settings.load()
        outdated: list[str] = []
        # The macro first: the manifest is made of it.
        _bring(LANDING_MACRO, landing_macro(CONTRACT.values()), outdated if check else None)
        transform.prepare(configured)
        current = blocks(configured)
        for path, wanted in ((readme, current), (METRICS_PAGE, {"metrics": current["metrics"]})):
            if not check:
                click.echo(f"{path}: {'written' if write(path, wanted) else 'is current'}")
            elif names := stale(_read(path), wanted):
                outdated.append(f"{path}: stale are {', '.join(names)}; run `make docs`")
        _bring(CORRUPTIONS_PAGE, corruptions.page(), outdated if check else None)
        if outdated:
            click.echo("\n".join(outdated), err=True)
            sys.exit(1)
    except NorthstarError as error:
        click.echo(str(error), err=True)
        sys.exit(2 if isinstance(error, UserError) else 1)


if __name__ == "__main__":
    main()
