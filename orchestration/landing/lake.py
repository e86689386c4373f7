"""The lake: immutable, content-addressed Parquet per source and arrival day, with a manifest that commits each partition.

Belongs here: the layout on disk, the contents of manifests and Parquet files, and the atomic replacement of one partition. Does
not belong here: reading landed files or judging rows (`readers`, `judging`), and the meaning of rows.

    <root>/lake/<source>/dt=YYYY-MM-DD/<digest>.parquet     accepted rows: contract columns, then LAKE_COLUMNS
                                       manifest.json         the commit point: files that it does not name do not count
    <root>/quarantine/<source>/dt=YYYY-MM-DD/<digest>.parquet   refused rows: landed_file, landed_row, reason, row

There is one writer. A partition's old files are removed only after the new manifest is in place, so a crash leaves either the
old partition or the new one, at worst with a stray file that the next replacement removes.
"""

import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.base import digests, duck
from orchestration.base.durable import sync_path
from orchestration.base.errors import NorthstarError
from orchestration.base.sql import exact, identifier, literal
from orchestration.landing import copying
from orchestration.landing.contract import CONTRACT, LAKE_COLUMNS
from orchestration.landing.source import Source

if TYPE_CHECKING:
    import duckdb

MANIFEST = "manifest.json"
_PREFIX = "dt="
SPILL_PREFIX = ".ingest-"
# Commits wait for the disk, which takes several syncs at once almost as fast as one.
_COMMITTERS = 8
_MAGIC = b"PAR1"  # the last bytes of a Parquet file
_NAME_LENGTH = 32  # hex digits of the SHA-256 in a file name: 128 bits


@dataclass(frozen=True)
class LandedFile:
    """One landed file as it was when its partition was ingested; `rows` = `accepted` + `quarantined`.

    mtime_ns: its modification time; that of the copy when the same content was found under another time (`arrivals.pending`).
    sha256: of its content; empty in older manifests.
    """

    name: str
    size: int
    mtime_ns: int
    sha256: str
    rows: int
    accepted: int
    quarantined: int


@dataclass(frozen=True)
class Partition:
    """The contents of one arrival day of one source.

    digest: SHA-256 of the data file, or of no bytes when no row was accepted; equal digests mean equal accepted rows.
    reasons: number of rows refused for each reason; a row refused for two reasons counts in both.
    happened: accepted rows per event day, an ISO day in the reporting time zone.
    """

    source: str
    arrived_date: date
    digest: str
    landed: tuple[LandedFile, ...]
    accepted: int
    quarantined: int
    data_files: tuple[str, ...]
    quarantine_files: tuple[str, ...]
    unknown_columns: tuple[str, ...]
    missing_columns: tuple[str, ...]
    reasons: Mapping[str, int]
    happened: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Rows landed: accepted and refused."""
        return self.accepted + self.quarantined


class Lake:
    """The lake and the quarantine below one root folder (`NORTHSTAR_HOME`); the folders appear with the first partition."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, source: str, arrived_date: date) -> Path:
        """Folder of a partition's data files and manifest."""
        return self.root / "lake" / source / f"{_PREFIX}{arrived_date.isoformat()}"

    def quarantine_folder(self, source: str, arrived_date: date) -> Path:
        """Folder of a partition's refused rows."""
        return self.root / "quarantine" / source / f"{_PREFIX}{arrived_date.isoformat()}"

    def partition(self, source: str, arrived_date: date) -> Partition | None:
        """Return the partition, or None when that day was never ingested; NorthstarError when its manifest is damaged."""
        path = self.folder(source, arrived_date) / MANIFEST
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _from_json(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            day = arrived_date.isoformat()
            raise NorthstarError(
                f"{path} is not a manifest of the lake ({error}); remove its folder and run `northstar backfill --from {day}"
                f" --to {day}`"
            ) from error

    def partitions(self, source: str) -> dict[date, Partition]:
        """Return every partition of a source by arrival day, oldest first; empty when the source was never ingested."""
        folder = self.root / "lake" / source
        if not folder.is_dir():
            return {}
        found = ((day, self.partition(source, day)) for day in sorted(_days(folder)))
        return {day: partition for day, partition in found if partition is not None}

    def files(self, source: str, dts: Iterable[date] | None = None) -> list[Path]:
        """List the data files of a source, or of some of its arrival days, oldest first; absent days have none."""
        return [path for partition in self._chosen(source, dts).values() for path in self.data_files(partition)]

    def data_files(self, partition: Partition) -> list[Path]:
        """List the data files of a loaded partition, without reading its manifest again."""
        return [self.folder(partition.source, partition.arrived_date) / name for name in partition.data_files]

    def quarantine_files(self, source: str, dts: Iterable[date] | None = None) -> list[Path]:
        """List the files of refused rows of a source, or of some of its arrival days, oldest first."""
        return [path for partition in self._chosen(source, dts).values() for path in self.refused_files(partition)]

    def refused_files(self, partition: Partition) -> list[Path]:
        """List the files of refused rows of a loaded partition, without reading its manifest again."""
        return [self.quarantine_folder(partition.source, partition.arrived_date) / name for name in partition.quarantine_files]

    @contextmanager
    def connect(self, memory_limit: str | None = None) -> Iterator["duckdb.DuckDBPyConnection"]:
        """Open DuckDB in memory for work on partitions; above the limit it spills to a temporary folder below the root."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=SPILL_PREFIX, dir=self.root) as spill,
            duck.connect(memory_limit=memory_limit, temp_directory=Path(spill)) as connection,
        ):
            yield connection

    @staticmethod
    def prepare(connection: "duckdb.DuckDBPyConnection", source: Source) -> None:
        """Make the empty table `judged`, from which `write` takes a source's partitions.

        Columns: day, file and n locate the landed row; then the contract's columns; extra; reasons; and raw, the refused row as
        it landed, in JSON. Accepted rows have NULL in reasons and raw.
        """
        columns = "".join(f"{identifier(column.name)} {column.type.sql}, " for column in source.columns)
        connection.execute(
            f"CREATE OR REPLACE TABLE judged (day DATE, file VARCHAR, n BIGINT, {columns}extra JSON, reasons VARCHAR[], "
            "raw VARCHAR)"
        )

    def load(self, connection: "duckdb.DuckDBPyConnection", source: Source, partitions: Iterable[Partition]) -> None:
        """Fill `judged` with the contents of a source's partitions, so that `write` gives the same bytes again."""
        chosen = list(partitions)
        self.prepare(connection, source)
        if files := [path for partition in chosen for path in self.data_files(partition)]:
            columns = ", ".join(identifier(name) for name in ("day", "file", "n", *_names(source), "extra"))
            behind = "arrived_date, landed_file, landed_row"
            stored = ", ".join([behind, *(identifier(name) for name in _names(source)), "extra"])
            connection.execute(f"INSERT INTO judged ({columns}) SELECT {stored} FROM ({scan(source, files)})")
        for partition in chosen:
            if refused := [exact(path) for path in self.refused_files(partition)]:
                connection.execute(
                    "INSERT INTO judged (day, file, n, reasons, raw) SELECT ?, landed_file, landed_row, [reason], row::VARCHAR "
                    "FROM read_parquet(?, hive_partitioning = false)",
                    [partition.arrived_date, refused],
                )

    def write(self, connection: "duckdb.DuckDBPyConnection", partitions: Sequence[Partition]) -> list[Partition]:
        """Replace the content of partitions with their rows of `judged`, and return them with digests and file names."""
        threads = os.cpu_count() or 1
        chunks = list(copying.chunks(partitions))
        # Small partitions wait for the disk more than for the processor: several chunks are written at once, each by one thread.
        is_alone = len(chunks) < threads and all(len(chunk) == 1 for chunk in chunks)
        connection.execute(f"SET threads = {threads if is_alone else 1}")
        try:
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(lambda chunk: self._stage(connection, chunk), chunks):
                    pass
            with ThreadPoolExecutor(_COMMITTERS) as pool:
                return list(pool.map(self.commit, partitions))
        finally:
            connection.execute("RESET threads")

    def _stage(self, connection: "duckdb.DuckDBPyConnection", chunk: Sequence[Partition]) -> None:
        """Write the staged files of partitions of one source."""
        paths = {partition.arrived_date: self.staged(partition.source, partition.arrived_date) for partition in chunk}
        for path in itertools.chain.from_iterable(paths.values()):
            path.unlink(missing_ok=True)
        accepted = {part.arrived_date: paths[part.arrived_date][0] for part in chunk if part.accepted}
        refused = {part.arrived_date: paths[part.arrived_date][1] for part in chunk if part.quarantined}
        with tempfile.TemporaryDirectory(prefix=SPILL_PREFIX, dir=self.root) as spill:
            copying.copy_accepted(connection, CONTRACT[chunk[0].source], accepted, Path(spill, "accepted"))
            copying.copy_refused(connection, refused, Path(spill, "refused"))

    def staged(self, source: str, arrived_date: date) -> tuple[Path, Path]:
        """Paths of a partition's accepted and refused rows before `commit`."""
        return (
            self.folder(source, arrived_date) / ".staged.parquet",
            self.quarantine_folder(source, arrived_date) / ".staged.parquet",
        )

    def commit(self, partition: Partition) -> Partition:
        """Replace the partition's content with the staged files, and return it with digest and file names.

        A missing staged file means no such rows. If the content is unchanged, only the manifest is written (the landed files
        may have other times). Files that the new manifest does not name are removed afterwards.
        """
        accepted, refused = self.staged(partition.source, partition.arrived_date)
        digest, data_files = _adopt(accepted)
        _, quarantine_files = _adopt(refused)
        partition = replace(partition, digest=digest, data_files=data_files, quarantine_files=quarantine_files)
        accepted.parent.mkdir(parents=True, exist_ok=True)
        self.record(partition)
        _remove_others(accepted.parent, {MANIFEST, *data_files})
        if refused.parent.exists():
            _remove_others(refused.parent, set(quarantine_files))
            if not quarantine_files:
                refused.parent.rmdir()
        return partition

    def record(self, partition: Partition) -> None:
        """Replace the partition's manifest, whose data files are in place."""
        _write_atomically(self.folder(partition.source, partition.arrived_date) / MANIFEST, _to_json(partition))

    def sweep(self) -> int:
        """Remove leftovers of killed runs: files that no manifest names, and spilled rows; returns the number of files."""
        removed = 0
        for spill in self.root.glob(f"{SPILL_PREFIX}*"):
            shutil.rmtree(spill)
            removed += 1
        for source in CONTRACT:
            known = self.partitions(source)
            for area, held in (("lake", "data_files"), ("quarantine", "quarantine_files")):
                for day, folder in _days(self.root / area / source).items():
                    partition = known.get(day)
                    keep = set() if partition is None else {MANIFEST, *getattr(partition, held)}
                    removed += _remove_others(folder, keep)
        return removed

    def require_whole(self, partitions: Iterable[Partition]) -> None:
        """Raise NorthstarError when a data file of a partition is missing or truncated; the message says how to restore it."""
        broken = [(part, path) for part in partitions for path in self.data_files(part) if not _is_whole(path)]
        if broken:
            days = [part.arrived_date for part, _ in broken]
            places = "".join(f"\n  {path}" for _, path in broken[:5]) + ("\n  …" if len(broken) > 5 else "")
            files = "1 file of the lake is" if len(broken) == 1 else f"{len(broken)} files of the lake are"
            raise NorthstarError(
                f"{files} gone or cut off; `northstar backfill --from {min(days)} --to {max(days)}`"
                f" brings them back from the landing zone:{places}"
            )

    def _chosen(self, source: str, dts: Iterable[date] | None) -> dict[date, Partition]:
        if dts is None:
            return self.partitions(source)
        found = ((day, self.partition(source, day)) for day in sorted(set(dts)))
        return {day: partition for day, partition in found if partition is not None}


def scan(source: Source, files: Iterable[Path]) -> str:
    """Return the SQL for the rows of data files of a source, with every column of the contract and of the lake.

    A file written before a column joined the contract lacks it: the empty relation adds it, filled with NULL.
    """
    columns = {column.name: column.type.sql for column in source.columns} | {name: type_ for name, type_, _ in LAKE_COLUMNS}
    empty = "SELECT " + ", ".join(f"CAST(NULL AS {type_}) AS {identifier(name)}" for name, type_ in columns.items()) + " LIMIT 0"
    paths = ", ".join(literal(exact(path)) for path in files)
    if not paths:
        return empty
    landed = f"SELECT * FROM read_parquet([{paths}], hive_partitioning = false, union_by_name = true)"
    return f"SELECT {', '.join(map(identifier, columns))} FROM ({empty}) UNION ALL BY NAME {landed}"


def _days(folder: Path) -> dict[date, Path]:
    """Folders of arrival days within a source's folder; other names are ignored."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(ValueError):
            if path.is_dir() and path.name.startswith(_PREFIX):
                found[date.fromisoformat(path.name.removeprefix(_PREFIX))] = path
    return found


def _is_whole(path: Path) -> bool:
    """Whether a Parquet file is complete."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_MAGIC), os.SEEK_END)
            return file.read() == _MAGIC
    except OSError:
        return False


def _adopt(staged: Path) -> tuple[str, tuple[str, ...]]:
    """Rename a staged file to its content-addressed name; without a file, return the digest of no bytes and no name."""
    if not staged.exists():
        return hashlib.sha256().hexdigest(), ()
    digest = digests.of_file(staged)
    final = staged.with_name(f"{digest[:_NAME_LENGTH]}.parquet")
    if final.exists() and digests.of_file(final) == digest:
        staged.unlink()
    else:
        sync_path(staged)
        staged.rename(final)
        sync_path(final.parent)  # before the manifest, which must never name a file that a power cut can lose
    return digest, (final.name,)


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text, encoding="utf-8")
    sync_path(temporary)
    temporary.rename(path)


def _names(source: Source) -> list[str]:
    return [column.name for column in source.columns]


def _remove_others(folder: Path, keep: set[str]) -> int:
    if others := [path for path in folder.iterdir() if path.name not in keep]:
        sync_path(folder)  # a power cut must not undo the renames but keep the removals
        for path in others:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return len(others)


def _to_json(partition: Partition) -> str:
    return (
        json.dumps(asdict(partition) | {"arrived_date": partition.arrived_date.isoformat()}, indent=1, ensure_ascii=False) + "\n"
    )


def _from_json(value: dict[str, Any]) -> Partition:
    names = ("data_files", "quarantine_files", "unknown_columns", "missing_columns")
    return Partition(
        **value
        | {
            "arrived_date": date.fromisoformat(value["arrived_date"]),
            "landed": tuple(LandedFile(**{"sha256": ""} | file) for file in value["landed"]),
        }
        | {name: tuple(value[name]) for name in names}
    )
