"""Arrivals: landed files, and those that the lake lacks.

Belongs here: the layout of a landing zone, which files hold data, and how many are read at once. Does not belong here: the
contents of files (`files`, `readers`) or the layout of the lake (`lake`).
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from orchestration.base import digests
from orchestration.base.errors import UserError
from orchestration.base.suggestion import nearest
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Lake, Partition

_logger = logging.getLogger("northstar.night")

ROWS = (".csv", ".tsv", ".jsonl", ".ndjson")
PACKED = (".gz", ".zst")
FORMATS = (".parquet", *(rows + packed for rows in ROWS for packed in ("", *PACKED)))
# Files that browsers, editors, sync clients and Spark leave beside the data; names are compared in lower case.
_STRAY_NAMES = frozenset({"thumbs.db", "desktop.ini", "readme.md", "readme.txt", "readme", "license", "checksums.txt"})
_STRAY_SUFFIXES = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".crc", ".bak", ".swp", ".lock", ".md5", ".sha256", "~")
PREFIX = "dt="
_BESIDE = frozenset({"truth.json"})  # written by a simulator beside its sources
# Bytes of landed files read at once, compressed files multiplied by their usual ratio: in the worst case some gigabytes of rows
# in DuckDB, which spill to disk under a memory limit.
_BATCH_BYTES = 256 * 2**20
_COMPRESSED_FACTOR = 6


def landed(landing: Path) -> dict[str, list[date]]:
    """Return the sources and their arrival days in a landing zone, both sorted; days without a file are left out.

    UserError when the zone is missing or violates the contract: an unknown source, a folder not named `dt=YYYY-MM-DD`, a file
    of another format. `truth.json` at the top and names that begin with a dot or an underscore are ignored; so are, with a
    note, the leftovers of other programs (`.tmp`, `Thumbs.db`, `README.md`, …).
    """
    if not landing.is_dir():
        raise UserError(f"the landing zone {landing} does not exist")
    found = {}
    for entry in _visible(landing):
        if entry.name in _BESIDE:
            continue
        if not entry.is_dir() or entry.name not in CONTRACT:
            raise UserError(f"{entry.path}: a landing zone holds one folder per source; {nearest_or_all(entry.name, CONTRACT)}")
        days = [_arrival_day(folder) for folder in _visible(Path(entry.path))]
        if kept := [day for day in days if landed_files(landing, entry.name, day)]:
            found[entry.name] = kept
    return found


def pending(landing: Path, lake: Lake) -> dict[str, list[date]]:
    """Return landed partitions that are missing from the lake or whose files are not those that were ingested.

    Files are compared by name, size and modification time, and by the digest of their content if only the time differs: a
    landing zone copied with new times is not ingested again. Its times are then recorded, so that the next look hashes nothing;
    the caller must be the lake's writer.

    The times of files order states of one key that were written at the same time, which only the order of a partition's files
    decides. Times that change this order are never just recorded: the partition is pending, and ingesting it takes the new
    order. So the lake always holds the order of the zone as it is, whether it was copied or ingested anew.
    """
    result = {}
    for source, days in landed(landing).items():
        known = lake.partitions(source)
        if changed := [day for day in days if not _is_ingested(lake, known.get(day), landed_files(landing, source, day))]:
            result[source] = changed
    return result


def _is_ingested(lake: Lake, partition: Partition | None, files: list[Path]) -> bool:
    """Whether a partition holds the content of exactly these files; records their times if they differ without effect."""
    if partition is None:
        return False
    found = {path: identity(path) for path in files}
    recorded = {file.name: file for file in partition.landed}
    if {(name, size) for name, size, _ in found.values()} != {(file.name, file.size) for file in partition.landed}:
        return False
    times = {name: mtime_ns for name, _, mtime_ns in found.values()}
    touched = [path for path in files if times[path.name] != recorded[path.name].mtime_ns]
    if not touched:
        return True
    if _by_time(times) != _by_time({name: file.mtime_ns for name, file in recorded.items()}):
        return False
    if not all(_has_content(path, recorded[path.name].sha256) and identity(path) == found[path] for path in touched):
        return False
    lake.record(replace(partition, landed=tuple(replace(file, mtime_ns=times[file.name]) for file in partition.landed)))
    return True


def _by_time(times: dict[str, int]) -> list[str]:
    """Names of files in the order of their times, then by name."""
    return sorted(times, key=lambda name: (times[name], name))


def _has_content(path: Path, sha256: str) -> bool:
    """Whether a file has this digest; false without a digest (an older manifest), and for an unreadable file."""
    try:
        return bool(sha256) and digests.of_file(path) == sha256
    except OSError:
        return False


def landed_files(landing: Path, source: str, day: date) -> list[Path]:
    """Files of an arrival day that hold data, by name; UserError for a file of another format."""
    folder = landing / source / f"{PREFIX}{day.isoformat()}"
    if not folder.is_dir():
        return []
    files = []
    for entry in _visible(folder):
        name = entry.name.lower()
        if name in _STRAY_NAMES or name.endswith(_STRAY_SUFFIXES):
            _logger.info("%s is ignored: its name says that it holds no data", entry.path)
        elif entry.is_dir() or not name.endswith(FORMATS):
            suffix = "".join(Path(name).suffixes[-2:]) or name
            raise UserError(f"{entry.path}: unreadable format; {nearest_or_all(suffix, FORMATS)}")
        else:
            files.append(Path(entry.path))
    return files


def identity(path: Path) -> tuple[str, int, int]:
    """Return name, size and modification time; the size is -1 if the file cannot be inspected (a broken link)."""
    try:
        status = path.stat()
    except OSError:
        return path.name, -1, 0
    return path.name, status.st_size, status.st_mtime_ns


def batches(waiting: dict[date, list[Path]]) -> Iterator[dict[date, list[Path]]]:
    """Split the partitions into batches of at most `_BATCH_BYTES`; a larger partition is a batch of its own."""
    batch: dict[date, list[Path]] = {}
    size = 0
    for day, files in waiting.items():
        weight = sum(identity(file)[1] * (1 if file.name.lower().endswith(ROWS) else _COMPRESSED_FACTOR) for file in files)
        if batch and size + weight > _BATCH_BYTES:
            yield batch
            batch, size = {}, 0
        batch[day] = files
        size += weight
    if batch:
        yield batch


def nearest_or_all(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the most similar known name, or all of them."""
    names = list(known)
    if close := nearest(name, names):
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(names)}"


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if entry.name[0] not in "._"), key=lambda entry: entry.name)


def _arrival_day(entry: os.DirEntry[str]) -> date:
    text = entry.name.removeprefix(PREFIX)
    try:
        if not entry.is_dir() or entry.name == text or len(text) != len("YYYY-MM-DD"):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{entry.path}: a source holds one folder per arrival day, called {PREFIX}YYYY-MM-DD") from None
