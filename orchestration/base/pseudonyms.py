"""Keyed pseudonyms: HMAC-SHA256 of an id under the key of one home, the same in Python and in DuckDB SQL.

Belongs here: the key, its origin, and the pseudonyms computed with it. Does not belong here: which columns are ids (declared in
the landing contract and the YAML of the marts) and where they are replaced (`landing.erasure`, `publishing.candidate`).

Without the key, a pseudonym cannot be traced to its id, not even by trying all ids. With the key, an id has the same pseudonym
every night. Changing the key changes every pseudonym.
"""

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.durable import sync_path
from orchestration.base.errors import NorthstarError
from orchestration.base.sql import literal

if TYPE_CHECKING:
    import duckdb

_logger = logging.getLogger("northstar.pseudonyms")

VARIABLE = "NORTHSTAR_PSEUDONYM_KEY"
MINIMUM_LENGTH = 16
PUBLISHED = {"person": "p_", "user": "u_", "account": "a_"}
"""Domains of published ids, each with the prefix of its pseudonyms. One id gives unrelated pseudonyms in two domains."""

_FILE = "pseudonym.key"
_BLOCK = 64  # block size of SHA-256 in bytes
_LENGTH = 32  # hex digits of a pseudonym: 128 bits, enough that no two ids of a company collide


class Key:
    """The secret of one home. Neither `repr` nor an error message shows it.

    HMAC-SHA256 (RFC 2104) over `<domain>:<text>` in UTF-8; the domain separates the uses of one key.
    """

    def __init__(self, secret: str) -> None:
        encoded = secret.encode()
        block = (hashlib.sha256(encoded).digest() if len(encoded) > _BLOCK else encoded).ljust(_BLOCK, b"\0")
        self._inner, self._outer = bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)
        self._secret = encoded

    def __repr__(self) -> str:
        return f"Key({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """16 hex digits that identify a key without revealing it."""
        return self.digest("fingerprint", "")[:16]

    def digest(self, domain: str, text: str) -> str:
        """HMAC of a text, 64 hex digits."""
        return hmac.new(self._secret, f"{domain}:{text}".encode(), hashlib.sha256).hexdigest()

    def pseudonym(self, domain: str, text: str) -> str:
        """Return the published form of an id: the prefix of its domain and 32 hex digits. KeyError for an unknown domain."""
        return PUBLISHED[domain] + self.digest(domain, text)[:_LENGTH]

    def bind(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Bind the key for the SQL of this module; each cursor needs its own call. The key is never part of SQL text."""
        connection.execute("SET VARIABLE northstar_inner = ?::BLOB", [self._inner])
        connection.execute("SET VARIABLE northstar_outer = ?::BLOB", [self._outer])


def digest_sql(domain: str, text: str) -> str:
    """SQL for `Key.digest` of a VARCHAR expression; NULL gives NULL. Fails on a connection without a bound key."""
    # An unset variable is NULL, which would silently make every pseudonym NULL.
    inner, outer = (
        f"coalesce(getvariable('northstar_{name}')::BLOB, error('no pseudonym key is bound')::BLOB)"
        for name in ("inner", "outer")
    )
    return f"sha256({outer} || unhex(sha256({inner} || encode({literal(f'{domain}:')} || {text}))))"


def pseudonym_sql(domain: str, text: str) -> str:
    """SQL for `Key.pseudonym` of a VARCHAR expression; NULL gives NULL. KeyError for an unknown domain."""
    return f"{literal(PUBLISHED[domain])} || left({digest_sql(domain, text)}, {_LENGTH})"


def load_key(home: Path, configured: str | None) -> Key:
    """Return the configured key, or else the home's own, which is generated when it is first needed.

    The generated key is stored in `<home>/pseudonym.key`, readable only by its owner. NorthstarError if that file holds no key.
    """
    if configured is not None:
        return Key(configured)
    path = home / _FILE
    if not path.exists():
        _generate(path)
    secret = path.read_text(encoding="utf-8").strip()
    if len(secret) < MINIMUM_LENGTH:
        raise NorthstarError(
            f"{path} holds no key of at least {MINIMUM_LENGTH} characters; restore it: with another key, published ids "
            "cannot be joined with earlier ones, and erasures are no longer in force"
        )
    return Key(secret)


def _generate(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{secrets.token_hex(32)}\n")
    sync_path(draft)
    try:
        path.hardlink_to(draft)  # unlike a rename, this never replaces a key that another process has just made
    except FileExistsError:
        return
    finally:
        draft.unlink()
    sync_path(path.parent)
    _logger.warning("a key for pseudonyms was generated in %s; in production set %s", path, VARIABLE)
