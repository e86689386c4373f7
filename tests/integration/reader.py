"""One reader of published marts, as a program of its own: `python reader.py PUBLISHED fresh|held|parquet`.

Needs DuckDB of any version and nothing else, so that other clients than this project's can be tried. Reads without pause until
PUBLISHED/stop exists, and once more; then prints how often it read and the releases that it saw, in their order, as JSON.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import duckdb

# How long a connection is held, in queries.
HELD = 20
# The rows and what _publication says of them, in one query.
QUESTION = """
select p.code_version, p.marts[1].row_count, m.version, m.n, o.version, o.n
from {publication} as p,
(select min(version) as version, count(*) as n from {metric} having min(version) = max(version)) as m,
(select min(version) as version, count(*) as n from {mrr} having min(version) = max(version)) as o
"""


def answer(connection, **tables: str) -> int:
    """The version that all tables agree on."""
    told, rows, *found = connection.execute(QUESTION.format(**tables)).fetchone()
    version = int(told)
    assert rows == 100 + version, (told, rows)
    assert found == [version, rows, version, 2 * rows], (told, rows, found)
    return version


def fresh(published: Path) -> list[int]:
    """A connection for each query."""
    with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as connection:
        return [answer(connection, publication="marts._publication", metric="marts.mart_metric", mrr="marts.mart_mrr")]


def held(published: Path) -> list[int]:
    """One connection for many queries: all of them see one release."""
    with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as connection:
        tables = {"publication": "marts._publication", "metric": "marts.mart_metric", "mrr": "marts.mart_mrr"}
        versions = [answer(connection, **tables) for _ in range(HELD)]
    assert len(set(versions)) == 1, versions
    return versions


def parquet(published: Path) -> list[int]:
    """The files that current.json names; they carry no _publication, but the manifest beside them does."""
    folder = published / json.loads((published / "current.json").read_text())["path"]
    manifest = json.loads((folder / "manifest.json").read_text())
    marts = {mart: f"'{folder}/parquet/{mart}.parquet'" for mart in ("mart_metric", "mart_mrr")}
    rows = manifest["marts"]["mart_metric"]["rows"]
    told = f"(select '{manifest['code_version']}' as code_version, [{{row_count: {rows}}}] as marts)"
    with duckdb.connect() as connection:
        return [answer(connection, publication=told, metric=marts["mart_metric"], mrr=marts["mart_mrr"])]


def main(published: Path, way: str) -> None:
    read = {"fresh": fresh, "held": held, "parquet": parquet}[way]
    reads, seen = 0, []
    print("ready", flush=True)  # noqa: T201 - a program
    last = False
    while not last:
        last = (published / "stop").exists()  # asked first, so that the last read comes after the last promotion
        versions = read(published)
        reads += len(versions)
        seen += [version for version in versions[-1:] if seen[-1:] != [version]]
    assert all(before < after for before, after in pairwise(seen)), seen
    print(json.dumps({"client": duckdb.__version__, "reads": reads, "seen": seen}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
