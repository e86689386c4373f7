"""One writer per home, with a fencing token by which a writer notices that it was replaced.

Belongs here: the lock of the process that builds or changes releases. Does not belong here: Dagster's pools, which order the
runs of one instance; runs from the command line bypass them, and a run marked as failed may still be alive.
"""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from orchestration.base.durable import replace_text
from orchestration.base.errors import NorthstarError


class LockTaken(NorthstarError):  # noqa: N818 - says what happened
    """Another process is writing in this home."""


class StaleToken(NorthstarError):  # noqa: N818 - says what happened
    """The writer's lock is gone: released, or taken over by a later writer."""


class WriterLock:
    """The exclusive right to write in one home, held from `acquire` (or `with`) to `release`.

    It is a lock of the operating system on `locks/writer`, so it ends with its process in any case. Because such a lock can
    still be lost while its holder lives (someone removes the file), each acquisition also draws the next number from
    `locks/fence`, and a writer calls `check` before each step that others can see.
    """

    def __init__(self, home: Path, purpose: str = "write") -> None:
        self.home = home
        self.purpose = purpose
        self.token: int | None = None
        self._folder = home / "locks"
        # A file system without such locks must be an error, not a fallback to a marker file that outlives its process. The lock
        # belongs to the process, so that any of its threads can release it.
        self._lock = FileLock(self._folder / "writer", thread_local=False, fallback_to_soft=False)

    def acquire(self) -> None:
        """Take the lock without waiting; raise `LockTaken` naming the holder, or `NorthstarError` if writing fails."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
            self.token = self._sign_in()
        except Timeout:
            raise LockTaken(f"{self.home} is being written to by {self._holder()}; nothing was changed") from None
        except OSError as error:
            raise NorthstarError(f"{error.filename or self._folder}: {error.strerror}; nothing was changed") from error

    def _sign_in(self) -> int:
        try:
            token = (self._stored_token() or 0) + 1
            replace_text(self._folder / "fence", f"{token}\n")
            replace_text(self._folder / "holder.json", json.dumps(self._record(token)))
        except BaseException:
            self._lock.release()
            raise
        return token

    def release(self) -> None:
        """Release the lock; from then on `check` fails."""
        if self.token is not None and self._stored_token() == self.token:
            (self._folder / "holder.json").unlink(missing_ok=True)
        self.token = None
        self._lock.release()

    def check(self) -> None:
        """Raise `StaleToken` unless this is still the latest writer."""
        if self.token is None:
            raise StaleToken(f"the lock on {self.home} is not held; nothing was changed")
        stored = self._stored_token()
        if stored != self.token:
            raise StaleToken(f"the lock on {self.home} was taken over (token {self.token}, the latest is {stored})")

    def __enter__(self) -> "WriterLock":
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _stored_token(self) -> int | None:
        fence = self._folder / "fence"
        try:
            text = fence.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        if not text.strip().isdecimal():
            raise NorthstarError(f"{fence} holds {text.strip()!r} instead of a whole number; restore it from a backup")
        return int(text)

    def _record(self, token: int) -> dict[str, str | int]:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "purpose": self.purpose, "token": token}

    def _holder(self) -> str:
        try:
            record = json.loads((self._folder / "holder.json").read_text(encoding="utf-8"))
            return f"process {record['pid']} on {record['host']} since {record['since']} ({record['purpose']})"
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return "another process that has not signed in yet"


def in_words(error: OSError | StaleToken, lock: WriterLock | None = None) -> str:
    """The reason why a step failed: the lock was taken over, if so; else the system's message."""
    if isinstance(error, StaleToken):
        return str(error)
    try:
        if lock is not None:
            lock.check()
    except StaleToken as stale:
        return str(stale)
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
