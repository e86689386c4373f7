"""Promotion: making a candidate or an older release the current one, and cleaning up interrupted promotions.

Belongs here: every change of the current release. Does not belong here: judging the data (the gate passes in a `Verdict`),
building (`candidate`), and removing releases (`retention`).

Link and `current.json` are drafted under the writer's token before the last check of the lock, and every writer begins by
removing all drafts. So a writer that pauses between that check and the commit, and resumes after another one has taken over,
finds nothing to commit. Everything that needs disk space is written before anything that readers see.
"""

import json
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orchestration.base import digests
from orchestration.base.durable import replace_text, sync_path, sync_tree
from orchestration.base.errors import NorthstarError, UserError
from orchestration.publishing.candidate import Candidate
from orchestration.publishing.layout import DATABASE, RELEASE_ID
from orchestration.publishing.lock import StaleToken, WriterLock, in_words
from orchestration.publishing.manifest import (
    Manifest,
    SchemaChange,
    breaking,
    schema_changes,
)
from orchestration.publishing.release import Release, Releases


class PublishRefused(NorthstarError):  # noqa: N818 - says what happened
    """A candidate that must not become the current release; the current release is unchanged."""


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on the exact bytes of a candidate's `marts.duckdb`."""

    passed: bool
    marts_sha256: str
    reason: str


class Promotion(Releases):
    """Changes the current release of one home, under the writer's lock."""

    def schema_changes(self, candidate: Candidate, left_out: Collection[str] = ()) -> list[SchemaChange]:
        """Schema differences from the current release, ignoring omitted marts."""
        current = self.current()
        changes = schema_changes(current.manifest.marts, candidate.marts) if current else []
        return [change for change in changes if change.mart not in left_out]

    def promote(self, candidate: Candidate, verdict: Verdict, manifest: Manifest, lock: WriterLock) -> Release:
        """Make a candidate the current release, or raise `PublishRefused` and leave the current release unchanged.

        Refused: a failed verdict, or one on different bytes; a manifest of another candidate; a lock that is not held or was
        taken over; a disk that fails or is full; a mart or column of the current release that the candidate lacks or types
        differently, unless the manifest omits the mart or its version was raised.
        """
        name = f"release {candidate.release_id}"
        try:
            return self._promote(candidate, verdict, manifest, lock)
        except (OSError, StaleToken) as error:
            if self.layout.linked_id() == candidate.release_id:
                raise
            self._withdraw(candidate)
            raise PublishRefused(f"{name} is refused: {in_words(error, lock)}. The current release stands") from error

    def _promote(self, candidate: Candidate, verdict: Verdict, manifest: Manifest, lock: WriterLock) -> Release:
        self._check_lock(lock)
        self._settle(lock)
        current = self.current()
        changes = self.schema_changes(candidate, manifest.left_out)
        if reasons := self._refusals(candidate, verdict, manifest, current, changes):
            raise PublishRefused(f"release {candidate.release_id} is refused: {'; '.join(reasons)}. The current release stands")
        if broken := breaking(changes):
            raise PublishRefused(_refusal_of_schema(candidate, broken))

        replace_text(candidate.path / "manifest.json", manifest.to_json())
        sync_tree(candidate.path)
        self.layout.releases.mkdir(exist_ok=True)
        lock.check()
        replace_text(self.layout.intent, json.dumps({"release_id": candidate.release_id, "token": lock.token}))
        path = candidate.path.rename(self.layout.releases / candidate.release_id)
        sync_path(self.layout.releases)
        sync_path(self.layout.published)
        self._point_to(candidate.release_id, manifest, lock)
        self._forget_intent(candidate.release_id)
        return Release(candidate.release_id, path, manifest, is_current=True)

    def _withdraw(self, candidate: Candidate) -> None:
        """Undo the steps of a promotion before its commit; `recover` does what fails here."""
        intent, folder = self._intended(), self.layout.releases / candidate.release_id
        if intent is not None and intent["release_id"] == candidate.release_id:
            with suppress(OSError):
                if folder.is_dir():
                    folder.rename(candidate.path)
                self._forget_intent(candidate.release_id)

    @staticmethod
    def _refusals(
        candidate: Candidate,
        verdict: Verdict,
        manifest: Manifest,
        current: Release | None,
        changes: Sequence[SchemaChange],
    ) -> list[str]:
        reasons = []
        if not verdict.passed:
            reasons.append(f"the gate failed ({verdict.reason})")
        sha256 = digests.of_file(candidate.database)
        if sha256 != verdict.marts_sha256:
            reasons.append(f"{DATABASE} has SHA-256 {sha256[:12]}…, the gate judged {verdict.marts_sha256[:12]}…")
        previous = current.release_id if current else None
        for field, told, known in (
            ("release_id", manifest.release_id, candidate.release_id),
            ("previous_release_id", manifest.previous_release_id, previous),
            ("published_at", manifest.published_at, candidate.published_at),
            ("data_through", manifest.data_through, candidate.data_through),
            ("marts", manifest.marts, candidate.marts),
            ("marts_sha256", manifest.marts_sha256, sha256),
            ("pseudonyms", manifest.key_fingerprint, candidate.pseudonyms and candidate.pseudonyms.key),
            ("gate.passed", manifest.gate.passed, verdict.passed),
            ("schema_changes", manifest.schema_changes, tuple(changes)),
        ):
            if told != known:
                is_long = field in {"marts", "schema_changes"}
                reasons.append(
                    f"its manifest lists other {field.replace('_', ' ')}"
                    if is_long
                    else f"its manifest's {field} is {told}, not {known}"
                )
        return reasons

    def discard(self, candidate: Candidate, lock: WriterLock) -> None:
        """Remove a candidate that will not be promoted; do nothing when it no longer exists."""
        self._check_lock(lock)
        shutil.rmtree(self.layout.candidate(candidate.release_id), ignore_errors=True)

    def recover(self, lock: WriterLock, *, keep: Collection[str] = ()) -> list[str]:
        """Remove leftovers of a killed run; returns a description of each action. To be called first in a night.

        keep: release ids of candidates that the run continues with.
        Does not change the current release. Raises `NorthstarError` when that release is missing or damaged, which only
        `rollback` can repair.
        """
        self._check_lock(lock)
        done = self._settle(lock)
        told, current = self.layout.told_id(), self.current()
        if current is None and told and (self.layout.releases / told).is_dir():
            self._point_to(told, self.load(told, told).manifest, lock)
            done.append(f"restored the link to release {told}")
        elif current and current.release_id != told:
            self._point_to(current.release_id, current.manifest, lock)
            done.append(f"corrected current.json to release {current.release_id}")
        if self.layout.published.is_dir():
            for path in sorted(self.layout.published.iterdir()):
                if path in {self.layout.candidate(release_id) for release_id in keep}:
                    continue
                if path.name.startswith((".candidate-", ".removed-")):
                    lock.check()
                    # A replaced writer may still be writing there: its leftovers are removed next time.
                    shutil.rmtree(path, ignore_errors=True)
                    done.append(f"removed the leftover {path.name}")
                elif path.name.endswith(".draft"):
                    path.unlink()
        return done

    def rollback(self, release_id: str, lock: WriterLock) -> Release:
        """Make an older (or newer) release the current one, after checking its bytes against its manifest.

        Raises `UserError` for an unknown or already current release, `PublishRefused` when its file was changed or damaged, or
        the disk fails or is full.
        """
        self._check_lock(lock)
        self._settle(lock)
        release = self.release(release_id)
        if release.is_current:
            raise UserError(f"release {release_id} is the current one already")
        if not release.database.is_file() or digests.of_file(release.database) != release.manifest.marts_sha256:
            raise PublishRefused(f"{release.database} is not the file that was published; the current release stands")
        try:
            self._point_to(release_id, release.manifest, lock)
        except OSError as error:
            if self.layout.linked_id() == release_id:
                raise
            raise PublishRefused(f"the rollback failed: {in_words(error, lock)}; the current release stands") from error
        return self.load(release_id, release_id)

    def _check_lock(self, lock: WriterLock) -> None:
        if lock.home.resolve() != self.home.resolve():
            raise StaleToken(f"the lock is on {lock.home}, not on {self.home}")
        lock.check()

    def _point_to(self, release_id: str, manifest: Manifest, lock: WriterLock) -> None:
        link, pointer = (path.with_name(f".{path.name}.{lock.token}.draft") for path in (self.layout.link, self.layout.pointer))
        told = {
            "release_id": release_id,
            "path": f"releases/{release_id}",
            "data_through": manifest.data_through.isoformat(),
            "published_at": manifest.published_at.isoformat(),
        }
        pointer.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        sync_path(pointer)
        link.symlink_to(f"releases/{release_id}/{DATABASE}")
        lock.check()
        link.replace(self.layout.link)
        with suppress(FileNotFoundError):  # a later writer has taken over and writes it
            pointer.replace(self.layout.pointer)
        sync_path(self.layout.published)

    def _settle(self, lock: WriterLock) -> list[str]:
        """Remove drafts of earlier writers and settle an interrupted promotion: finish it if its link is in place."""
        token = lock.token or 0
        for path in (self.layout.link, self.layout.pointer):
            for draft in self.layout.published.glob(f".{path.name}.*.draft"):
                if int(draft.name.split(".")[-2]) <= token:
                    draft.unlink(missing_ok=True)
        intent = self._intended()
        if intent is None:
            return []
        if intent["token"] > token:
            lock.check()
        if not intent["release_id"]:
            self.layout.intent.unlink(missing_ok=True)
            return [f"removed {self.layout.intent.name}, which could not be read"]
        done, release_id = [], intent["release_id"]
        folder = self.layout.releases / release_id
        if self.layout.linked_id() == release_id:
            self._point_to(release_id, self.load(release_id, release_id).manifest, lock)
            done.append(f"finished the promotion of release {release_id}")
        elif folder.is_dir():
            shutil.rmtree(folder.rename(self.layout.removed(release_id)))
            done.append(f"removed release {release_id}, whose promotion was cut off")
        self._forget_intent(release_id)
        return done

    def _intended(self) -> dict[str, Any] | None:
        """The pending promotion: its release (empty if the file is damaged) and its token."""
        try:
            told = json.loads(self.layout.intent.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return None
        except ValueError:
            told = None
        fields = told if isinstance(told, dict) else {}
        release_id, token = fields.get("release_id"), fields.get("token", 0)
        if not isinstance(release_id, str) or not RELEASE_ID.fullmatch(release_id) or not isinstance(token, int):
            return {"release_id": "", "token": 0}
        return {"release_id": release_id, "token": token}

    def _forget_intent(self, release_id: str) -> None:
        intent = self._intended()
        if intent is not None and intent["release_id"] == release_id:  # else it is a later writer's
            self.layout.intent.unlink(missing_ok=True)
            sync_path(self.layout.published)


def _refusal_of_schema(candidate: Candidate, broken: Sequence[SchemaChange]) -> str:
    """One line for each change that would break readers, and the remedy for each mart."""
    lines = [f"release {candidate.release_id} is refused: it breaks what readers rely on. The current release stands"]
    for mart in dict.fromkeys(change.mart for change in broken):
        lines += [f"  {change.detail}" for change in broken if change.mart == mart]
        record = candidate.marts.get(mart)
        if record is None:
            advice = f"bring the model back with a `deprecation_date`: until that day {mart} is published, and then it may go"
        elif any(change.mart == mart and change.kind == "lowered" for change in broken):
            advice = "a version never falls: put the one that was published, or a higher one, into the model's `meta`"
        else:
            advice = (
                f"undo this, or give the model `meta: {{version: {record.version + 1}}}`; the old form may stay beside it for a"
                f" time, as a model {mart}_v{record.version} with a `deprecation_date`"
            )
        lines.append(f"    {advice}")
    return "\n".join(lines)
