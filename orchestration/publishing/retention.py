"""Retention: releases to keep, releases that hold erased persons, and removal.

Belongs here: the rule by age, and removing releases. Does not belong here: the choice of the current release (`promotion`), and
erasing persons (`landing.erasure`).
"""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import duckdb

from orchestration.base.errors import UserError
from orchestration.base.pseudonyms import Key
from orchestration.base.sql import identifier
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.promotion import Promotion
from orchestration.publishing.release import Release, count

_OF_PERSONS = frozenset({"person", "user"})


def kept(published: Mapping[str, datetime], *, newest: int, months: int, timezone: tzinfo) -> set[str]:
    """Ids of the releases to keep, given the (aware) instants of their publication.

    Keeps the `newest` newest releases and the first release of each of the last `months` calendar months in `timezone`, counted
    back from the month of the newest release. Equal instants are ordered by id. The current time plays no part, so no release
    is removed unless a newer one exists; and the first release of a month never changes, so pruning every night keeps the same
    releases as pruning once.
    """
    ordered = sorted(published, key=lambda release_id: (published[release_id], release_id))
    firsts: dict[int, str] = {}
    for release_id in ordered:
        local = published[release_id].astimezone(timezone)
        firsts.setdefault(12 * local.year + local.month, release_id)
    last = max(firsts, default=0)
    return {*ordered[max(len(ordered) - newest, 0) :], *(found for month, found in firsts.items() if month > last - months)}


class Retention(Promotion):
    """Removes releases of one home, under the writer's lock."""

    def prune(self, keep: int, lock: WriterLock, *, months: int = 12, timezone: tzinfo = UTC) -> list[str]:
        """Remove all releases except those of `retention.kept`; returns the removed ids, newest first.

        Never removes the current release or the one that it replaced, which a rollback needs. Months are those of `timezone`.
        """
        if keep < 1:
            raise UserError(f"at least 1 release must be kept, not {keep}")
        self._check_lock(lock)
        self._settle(lock)
        self.current()  # raises if it is damaged, as its predecessor is then unknown
        releases = self.releases()
        published = {release.release_id: release.manifest.published_at for release in releases}
        staying = kept(published, newest=keep, months=months, timezone=timezone)
        for release in releases:
            if release.is_current:
                staying |= {release.release_id, release.manifest.previous_release_id or ""}
        return self._remove([release for release in releases if release.release_id not in staying], lock)

    def remove(self, release_ids: Collection[str], lock: WriterLock) -> list[str]:
        """Remove these releases; returns the removed ids, newest first. Raises `UserError` for the current one."""
        self._check_lock(lock)
        self._settle(lock)
        chosen = [release for release in self.releases() if release.release_id in release_ids]
        if current := [release.release_id for release in chosen if release.is_current]:
            raise UserError(f"release {current[0]} is the current one and cannot be removed")
        return self._remove(chosen, lock)

    def _remove(self, releases: Sequence[Release], lock: WriterLock) -> list[str]:
        for release in releases:
            lock.check()
            # Renamed first, so that a kill leaves no incomplete release under a release's name.
            shutil.rmtree(release.path.rename(self.layout.removed(release.release_id)))
        return [release.release_id for release in releases]

    def holding(
        self,
        pseudonyms: Collection[str],
        key: Callable[[], Key],
        is_named: Callable[[duckdb.DuckDBPyConnection, str], bool] = lambda *_: False,
    ) -> list[str]:
        """Releases that contain one of these pseudonyms of persons or users, newest first, the current one included.

        Pseudonyms made with another key than `key()` cannot be compared: a release with such pseudonyms is returned, too.
        is_named: whether a relation's column `text` contains an erased id; called for texts that are not pseudonyms.
        """
        if not pseudonyms:
            return []
        fingerprint = key().fingerprint
        found = []
        for release in self.releases():
            record = release.manifest.pseudonyms
            columns = [
                (mart, column)
                for mart, named in (record.columns if record else {}).items()
                for column, domain in named.items()
                if domain in _OF_PERSONS
            ]
            published = {} if record is None else record.columns
            if (record and columns and (record.key != fingerprint or self._holds(release, columns, pseudonyms))) or self._names(
                release, published, is_named
            ):
                found.append(release.release_id)
        return found

    def _names(
        self,
        release: Release,
        pseudonyms: Mapping[str, Mapping[str, str]],
        is_named: Callable[[duckdb.DuckDBPyConnection, str], bool],
    ) -> bool:
        with self.opened({"release": release.database}) as connection:
            columns = connection.execute(
                "SELECT table_name, column_name FROM duckdb_columns() "
                "WHERE database_name = 'release' AND schema_name = 'main' AND data_type = 'VARCHAR' ORDER BY ALL"
            ).fetchall()
            texts = [
                f"SELECT {identifier(column)} AS text FROM release.{identifier(mart)}"
                for mart, column in columns
                if column not in pseudonyms.get(mart, {})
            ]
            return bool(texts) and is_named(connection, " UNION ALL ".join(texts))

    def _holds(self, release: Release, columns: Sequence[tuple[str, str]], pseudonyms: Collection[str]) -> bool:
        with self.opened({"release": release.database}) as connection:
            connection.execute("CREATE TEMP TABLE wanted AS SELECT unnest(?::VARCHAR[]) AS pseudonym", [list(pseudonyms)])
            found = "SELECT count(*) FROM release.{} SEMI JOIN wanted ON pseudonym = {}"
            return any(count(connection, found.format(identifier(mart), identifier(column))) for mart, column in columns)
