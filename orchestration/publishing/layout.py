"""Layout of releases on disk, and the pointers to the current one.

Belongs here: the folders and files below `<home>/published`, and release ids. Does not belong here: the contents of a manifest
(`manifest`), reading a release (`release`), or changing anything (`candidate`, `promotion`, `retention`).

    published/.candidate-<id>/    being built or judged
    published/releases/<id>/      a release; its files are read-only and never change
    published/marts.duckdb        link to the current release's file; it alone decides which release is current, and
                                  replacing it is the commit
    published/current.json        the current release's id, for readers of the Parquet files; replaced right after the link
    published/promoting.json      exists during a promotion, so that `recover` finds an interrupted one
"""

import hashlib
import json
import os
import re
from datetime import UTC, date, datetime
from pathlib import Path

from orchestration.base.errors import NorthstarError

DATABASE = "marts.duckdb"
RELEASE_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


class Layout:
    """The paths of one home's releases."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.published = home / "published"
        self.releases = self.published / "releases"
        self.link = self.published / DATABASE
        self.pointer = self.published / "current.json"
        self.intent = self.published / "promoting.json"

    def candidate(self, release_id: str) -> Path:
        """Folder of a release that is being built or judged."""
        return self.published / f".candidate-{release_id}"

    def removed(self, release_id: str) -> Path:
        """Folder that a release is renamed to before it is removed, so that a kill leaves no incomplete release."""
        return self.published / f".removed-{release_id}"

    def linked_id(self) -> str | None:
        """Id of the release that the link points to; None before the first one."""
        try:
            target = self.link.readlink()
        except FileNotFoundError:
            return None
        except OSError:
            raise NorthstarError(f"{self.link} must be a link into releases/, and is a file of its own; move it away") from None
        parts = target.parts
        if len(parts) != 3 or parts[0] != "releases" or not RELEASE_ID.fullmatch(parts[1]) or parts[2] != DATABASE:
            raise NorthstarError(f"{self.link} points to {target}, which is no release of this home")
        return parts[1]

    def told_id(self) -> str | None:
        """Id of the release named in `current.json`; None without one."""
        try:
            told = json.loads(self.pointer.read_text(encoding="utf-8"))["release_id"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return told if isinstance(told, str) and RELEASE_ID.fullmatch(told) else None


def new_release_id(code_version: str, data_through: date) -> str:
    """Return the id of a release to be built: the time to the second, and six digits that differ between processes."""
    now = datetime.now(UTC)
    identity = json.dumps([now.isoformat(), os.getpid(), code_version, data_through.isoformat()])
    return f"{now:%Y%m%dT%H%M%SZ}-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"
