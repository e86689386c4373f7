"""Writes that are complete or absent after a crash or a power cut.

Belongs here: durable writing for releases, models and the lake. Does not belong here: the contents.
"""

import os
from pathlib import Path


def sync_path(path: Path) -> None:
    """Sync a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Make every file below a folder read-only, then sync the files and then the folders' entries to the disk."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            file = Path(folder, name)
            file.chmod(0o444)
            sync_path(file)
        sync_path(Path(folder))


def replace_text(path: Path, text: str) -> None:
    """Replace a file's contents atomically: a reader sees either all of the old text or all of the new."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    sync_path(draft)
    draft.replace(path)
    sync_path(path.parent)
