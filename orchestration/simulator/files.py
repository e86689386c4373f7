"""Arrow columns in the contract's types, and files whose bytes depend only on their rows.

Belongs here: encoding and writing. Does not belong here: the contents of rows.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orchestration.simulator.clock import NEVER, Ints

_UNIQUE = frozenset({"event_id", "value", "amount", "order_id", "interaction_id", "ticket_id", "feedback_id", "response_id"})


def timestamps(at: Ints) -> pa.Array:
    """UTC timestamps of millisecond precision; NEVER is NULL."""
    return pa.array(at // 1_000 * 1_000, pa.timestamp("us"), mask=at >= NEVER)


def numbered(prefix: str, numbers: Ints, width: int) -> pa.Array:
    """Ids such as `u_000123`; negative numbers are NULL."""
    text = pc.cast(pa.array(numbers, mask=numbers < 0), pa.string())
    return pc.binary_join_element_wise(prefix, pc.utf8_lpad(text, width, "0"), "")


def look_up(values: pa.Array, indices: Ints) -> pa.Array:
    """Values by index; negative indices are NULL."""
    return values.take(pa.array(indices, mask=indices < 0))


def labels(values: Sequence[str], codes: Ints) -> pa.Array:
    """Values of a short list by code, dictionary-encoded; negative codes are NULL."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(values, pa.string()))


def money(cents: Ints, scale: int = 2) -> pa.Array:
    """Decimals of `scale` places from integers in units of the last place; negative ones are NULL (no amount is negative)."""
    words = np.zeros((len(cents), 2), dtype=np.int64)
    words[:, 0] = np.maximum(cents, 0)
    valid: NDArray[np.uint8] = np.packbits(cents >= 0, bitorder="little")
    return pa.Array.from_buffers(
        pa.decimal128(18, scale), len(cents), [pa.py_buffer(valid.tobytes()), pa.py_buffer(words.tobytes())]
    )


def as_text(table: pa.Table, *, zone: str = "") -> pa.Table:
    """Turn every column into text: ISO 8601 timestamps (followed by `zone`), plain decimals."""
    columns = []
    for column in table.columns:
        text = pc.cast(column, pa.string())
        if pa.types.is_timestamp(column.type):
            text = pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), zone, "")
        columns.append(text)
    return pa.table(columns, names=table.column_names)


def write_parquet(table: pa.Table, folder: Path) -> None:
    """Write `part-0.parquet`."""
    folder.mkdir(parents=True)
    # A dictionary pays off where values repeat; ids are unique, so building one costs more than it saves.
    repeating = [field.name for field in table.schema if not field.name.endswith("_at") and field.name not in _UNIQUE]
    # Decoded first: for dictionary columns with NULLs the writer left uninitialised memory in the page (pyarrow 26.0.1), and a
    # second simulation in the same process gave different bytes.
    decoded = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    plain = pa.table(decoded, names=table.column_names)
    pq.write_table(plain, folder / "part-0.parquet", compression="zstd", use_dictionary=repeating)


def write_csv(text: pa.Table, folder: Path, behind: Sequence[bytes] = ()) -> None:
    """Write `part-0.csv.gz` from a table of text, followed by raw lines; NULL is an empty field."""
    folder.mkdir(parents=True)
    with _gzip(folder / "part-0.csv.gz") as stream:
        pa_csv.write_csv(text, stream, pa_csv.WriteOptions(quoting_style="needed"))
        stream.write(b"".join(behind))


def write_jsonl(text: pa.Table, folder: Path, behind: Sequence[bytes] = ()) -> None:
    """Write `part-0.jsonl.gz` from a table of text, followed by raw lines; NULL fields are omitted."""
    folder.mkdir(parents=True)
    names = text.column_names
    lines = [
        json.dumps({name: value for name, value in zip(names, row, strict=True) if value is not None}, ensure_ascii=False)
        for row in zip(*(column.to_pylist() for column in text.columns), strict=True)
    ]
    with _gzip(folder / "part-0.jsonl.gz") as stream:
        stream.write(("\n".join(lines) + "\n").encode() + b"".join(behind))


@contextmanager
def _gzip(path: Path) -> Iterator[gzip.GzipFile]:
    # The bytes must not depend on the time or the file's name.
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=3, mtime=0) as stream:
        yield stream
