"""SHA-256 of files on disk and of plain values.

Belongs here: hashing files and values. Does not belong here: what a digest is compared with, or hashes of rows
(`publishing.manifest`).
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_value(value: Any) -> str:
    """SHA-256 of a value as JSON, in hex; the order of keys and of sets does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=sorted).encode()).hexdigest()


def of_files(root: Path, paths: Iterable[Path], *, beside: str = "") -> str:
    """SHA-256 over the names and bytes of files below a folder, in any order, and over an additional text; in hex."""
    digest = hashlib.sha256(beside.encode())
    for path in sorted(set(paths)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
