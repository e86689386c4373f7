"""The simulated company as tests read it: every source as a table, by a reader that shares nothing with the ingest."""

import csv
import gzip
import json
import math
from datetime import date

import duckdb
import pyarrow as pa

from orchestration.landing.contract import CONTRACT
from orchestration.landing.source import Type
from orchestration.landing.vocabulary import CURRENCIES

END = date(2026, 6, 30)
SOURCES = tuple(sorted(CONTRACT))
# Sources of which later states land: their table holds the latest of each key, `<source>_first` what landed of it first,
# `<source>_landed` every row.
RESTATED = ("orders", "payments", "ad_spend", "tickets", "surveys", "feedback")
# A true share is missed by four standard errors once in 16,000 tries; seeds are fixed, so a test that passes stays so.
SIGMAS = 4
LOCAL = "(({0} AT TIME ZONE 'UTC') AT TIME ZONE '{1}')::DATE"


def read_csv(paths):
    """Rows of CSV files as one table of text with their file; lines that are no rows of their file are left out."""
    tables = []
    for path in paths:
        lines = gzip.decompress(path.read_bytes()).splitlines()
        header = next(csv.reader([lines[0].decode()]))
        try:
            rows = list(csv.reader([line.decode() for line in lines[1:]], strict=True))
        except (UnicodeDecodeError, csv.Error):
            rows = [cells for line in lines[1:] for cells in cells_of(line)]
        columns = zip(*[row for row in rows if len(row) == len(header)], strict=True)
        table = pa.table(
            {name: pa.array([cell or None for cell in c], pa.string()) for name, c in zip(header, columns, strict=True)}
        )
        tables.append(table.append_column("filename", pa.array([str(path)] * table.num_rows)))
    return pa.concat_tables(tables, promote_options="default")


def cells_of(line):
    """Give the cells of a line as the only item of a list; nothing when the line has none."""
    try:
        return list(csv.reader([line.decode()], strict=True))
    except (UnicodeDecodeError, csv.Error):
        return []


def load(connection, folder, source):
    """All files of a source as one table of text, whatever their format, with dt, file, format and fault; no malformed lines."""
    names = [column.name for column in CONTRACT[source].columns]
    spelled = ", ".join(f"{name}: 'VARCHAR'" for name in names)
    readers = {
        "parquet": (
            f"read_parquet('{folder}/{source}/*/*.parquet', hive_partitioning = false, union_by_name = true, filename = true)"
        ),
        "csv.gz": f"{source}_csv",
        "jsonl.gz": (
            f"read_json('{folder}/{source}/*/*.jsonl.gz', format = 'newline_delimited', hive_partitioning = false, "
            f"ignore_errors = true, filename = true, columns = {{{spelled}}})"
        ),
    }
    parts = []
    for suffix, read in readers.items():
        paths = sorted(folder.glob(f"{source}/*/*.{suffix}"))
        if not paths:
            continue
        if suffix == "csv.gz":
            connection.register(read, read_csv(paths))
        present = set(connection.sql(f"SELECT * FROM {read} LIMIT 0").columns)
        assert present - {"filename", "gift_wrap"} <= set(names), f"{source} has columns beyond its contract"
        columns = [f'"{n}"::VARCHAR AS "{n}"' if n in present else f'NULL::VARCHAR AS "{n}"' for n in names]
        parts.append(f"SELECT {', '.join(columns)}, filename, '{suffix}' AS format FROM {read}")
    arrived = "regexp_extract(filename, 'dt=([0-9-]+)', 1)::DATE AS dt"
    rows = " UNION ALL ".join(parts)
    if "jsonl.gz" in rows:
        # What is no object gives a row of NULLs.
        rows = f"SELECT * FROM ({rows}) WHERE NOT (format = 'jsonl.gz' AND coalesce({', '.join(names)}) IS NULL)"
    rows = f"SELECT *, {arrived} FROM ({rows})"
    connection.sql(f"CREATE TABLE {source}_text AS SELECT *, coalesce({breach(source)}, false) AS broken FROM ({rows})")
    typed = ", ".join(f'TRY_CAST("{c.name}" AS {c.type.sql}) AS "{c.name}"' for c in CONTRACT[source].columns)
    landed = f"SELECT {typed}, dt, filename FROM {source}_text WHERE NOT broken"
    if source in RESTATED:
        connection.sql(f"CREATE TABLE {source}_landed AS {landed}")
        for name, order in (("", "updated_at DESC, dt DESC"), ("_first", "updated_at, dt")):
            number = f"row_number() OVER (PARTITION BY {', '.join(CONTRACT[source].key)} ORDER BY {order})"
            connection.sql(f"CREATE TABLE {source}{name} AS SELECT * FROM {source}_landed QUALIFY {number} = 1")
    else:
        connection.sql(f"CREATE TABLE {source} AS {landed}")


def breach(source):
    """Write the SQL condition that a row of text breaks the contract."""
    spec = CONTRACT[source]
    conditions = []
    for column in spec.columns:
        name = f'"{column.name}"'
        conditions.append(f"({name} IS NOT NULL AND TRY_CAST({name} AS {column.type.sql}) IS NULL)")
        if column.type is Type.JSON:
            conditions.append(f"({name} IS NOT NULL AND coalesce(json_type(TRY_CAST({name} AS JSON)), '') <> 'OBJECT')")
        if column.type in {Type.TIMESTAMP, Type.DATE}:
            at = f"TRY_CAST({name} AS TIMESTAMP)"
            conditions.append(f"coalesce({at} < '1970-01-01' OR {at} >= '2200-01-01', false)")
            if not column.may_lie_ahead:
                conditions.append(f"coalesce({at} > dt + INTERVAL 2 DAY, false)")
        if column.type is Type.CURRENCY:
            conditions.append(f"({name} IS NOT NULL AND upper({name}) NOT IN ({', '.join(map(repr, CURRENCIES))}))")
        if column.required:
            conditions.append(f"({name} IS NULL OR trim({name}) = '')")
        if column.allowed:
            conditions.append(f"({name} IS NOT NULL AND {name} NOT IN ({', '.join(repr(value) for value in column.allowed)}))")
        if column.minimum is not None:
            conditions.append(f"coalesce(TRY_CAST({name} AS DECIMAL(18,4)) < {column.minimum}, false)")
        if column.above is not None:
            conditions.append(f"coalesce(TRY_CAST({name} AS DECIMAL(18,4)) <= {column.above}, false)")
        if column.maximum is not None:
            conditions.append(f"coalesce(TRY_CAST({name} AS DECIMAL(18,4)) > {column.maximum}, false)")
    if spec.one_of:
        conditions.append("(" + " AND ".join(f'"{name}" IS NULL' for name in spec.one_of) + ")")
    return " OR ".join(conditions)


def write(connection, folder, truth):
    """Create a table per source of a landing zone, and `event`: duplicates removed by the contract's rule, bots left out."""
    for source in sources_of(folder):
        load(connection, folder, source)
    bots = ", ".join(f"'{bot['anonymous_id']}'" for bot in truth["bots"])
    connection.execute(
        f"""CREATE TABLE event AS SELECT * FROM events WHERE anonymous_id IS NULL OR anonymous_id NOT IN ({bots})
        QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY received_at, dt) = 1"""
    )


def sources_of(folder):
    """Sources that a landing zone has."""
    return tuple(source for source in SOURCES if (folder / source).is_dir())


class Zone:
    """A landing zone and its tables: loaded here, or those of a database that another Zone has filled."""

    def __init__(self, folder, summary, database=None):
        self.folder, self.summary, self.sources = folder, summary, sources_of(folder)
        self.truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        if database is None:
            write(self.connection, folder, self.truth)
            return
        # Tests make tables of their own beside these.
        self.connection.execute(f"ATTACH '{database}' AS loaded (READ_ONLY)")
        for (table,) in self.all("SELECT table_name FROM duckdb_tables() WHERE database_name = 'loaded'"):
            self.connection.execute(f"CREATE VIEW {table} AS FROM loaded.{table}")

    def one(self, sql):
        return self.connection.sql(sql).fetchone()[0]

    def row(self, sql):
        return self.connection.sql(sql).fetchone()

    def all(self, sql):
        return self.connection.sql(sql).fetchall()


def within(count, total, share):
    """Whether a count lies within the sampling error of its planted share."""
    return abs(count / total - share) <= SIGMAS * math.sqrt(share * (1 - share) / total)


def happened_day(source, timezone="Asia/Shanghai"):
    """Write the SQL for the reporting day on which a fact of the source happened."""
    column = CONTRACT[source].column(CONTRACT[source].happened_at)
    return f'"{column.name}"' if column.type is Type.DATE else LOCAL.format(f'"{column.name}"', timezone)
