"""Trained models on disk: content-addressed artifacts, each with its card, and the pointer to the champion.

Belongs here: files below `<home>/models`. Does not belong here: the models and their evaluation (`ml`).

    models/<step>/<id>/model.skops, card.json, golden.json     never change
    models/<step>/champion.json                                names the model that scores; replaced by rename
    models/<step>/promotions.jsonl                             every model that became champion, the one it replaced, and why
    models/<step>/refusals.jsonl                               every challenger that was not promoted, with its figures
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.base.durable import replace_text, sync_tree
from orchestration.base.errors import NorthstarError, UserError


@dataclass(frozen=True)
class StoredModel:
    """An artifact with its card and golden rows."""

    model_id: str
    artifact: bytes
    card: Mapping[str, Any]
    golden: Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class Listed:
    """A stored model in a list; `promoted_at` is the last time it became champion, None if it never did."""

    model_id: str
    card: Mapping[str, Any]
    is_champion: bool
    promoted_at: str | None


class ModelStore:
    """The models of one step below a home."""

    def __init__(self, home: Path, step: str) -> None:
        self.folder = home / "models" / step
        self._champion = self.folder / "champion.json"
        self._promotions = self.folder / "promotions.jsonl"

    def champion(self) -> StoredModel | None:
        """Load the model that scores; None before the first promotion. NorthstarError when its files are missing or damaged."""
        pointer = self._pointer()
        return None if pointer is None else self._read(str(pointer["model_id"]))

    @property
    def decided_through(self) -> str | None:
        """Last day (ISO) of the data on which the champion was last confirmed or chosen; None before the first."""
        pointer = self._pointer()
        return None if pointer is None else pointer.get("decided_through")

    def models(self) -> list[Listed]:
        """Every stored model, most recently promoted first, never promoted ones last."""
        pointer = self._pointer() or {}
        history = self._history()
        promoted = {record["model_id"]: record["at"] for record in history}
        order = {record["model_id"]: number for number, record in enumerate(history)}
        found = [path.parent.name for path in self.folder.glob("*/card.json") if not path.parent.name.startswith(".")]
        listed = [
            Listed(model_id, self._read(model_id).card, model_id == pointer.get("model_id"), promoted.get(model_id))
            for model_id in sorted(found)
        ]
        return sorted(listed, key=lambda model: order.get(model.model_id, -1), reverse=True)

    def refusals(self) -> list[dict[str, Any]]:
        """Every challenger that was refused, oldest first."""
        return _records(self.folder / "refusals.jsonl")

    def keep(self, model: StoredModel) -> None:
        """Store a model under its id; an existing one has the same content and is kept."""
        target = self.folder / model.model_id
        if target.exists():
            return
        draft = self.folder / f".{model.model_id}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        (draft / "model.skops").write_bytes(model.artifact)
        (draft / "card.json").write_text(json.dumps(model.card, indent=2), encoding="utf-8")
        (draft / "golden.json").write_text(json.dumps(model.golden, indent=2), encoding="utf-8")
        sync_tree(draft)
        draft.rename(target)

    def promote(self, model_id: str, *, decided_through: str, reason: str) -> None:
        """Make a stored model the champion, on data through a day."""
        pointer = self._pointer() or {}
        # The record first: a crash in between leaves a recorded promotion that did not happen, never an unrecorded one.
        self._note(self._promotions, {"model_id": model_id, "replaced": pointer.get("model_id"), "reason": reason})
        replace_text(self._champion, json.dumps({"model_id": model_id, "decided_through": decided_through}))

    def confirm(self, *, decided_through: str) -> None:
        """Record that the champion was kept, on data through a day, so that it is not challenged again too early."""
        pointer = self._pointer()
        if pointer is not None:
            replace_text(self._champion, json.dumps({**pointer, "decided_through": decided_through}))

    def rollback(self, model_id: str | None, check: Callable[[StoredModel], object]) -> str:
        """Make an earlier champion the champion again, by default the previous one; returns its id.

        check: raises when a model cannot be used; the champion is then kept. The month's training is not repeated, so that the
        replaced model does not return before the next one. Raises UserError for a model that was never champion or is the
        current one, or when there is no previous one.
        """
        pointer = self._pointer()
        if pointer is None:
            raise UserError(f"there is no champion to roll back in {self.folder}")
        current = pointer["model_id"]
        before = [record["model_id"] for record in self._history() if record["model_id"] != current]
        if model_id is None:
            replaced = [record["replaced"] for record in self._history() if record["model_id"] == current]
            if not replaced or replaced[-1] is None:
                raise UserError(f"{current} is the first champion; there is none before it")
            model_id = str(replaced[-1])
        elif model_id == current:
            raise UserError(f"{model_id} is the champion already")
        elif model_id not in before:
            known = ", ".join(dict.fromkeys(reversed(before))) or "none"
            raise UserError(f"{model_id!r} never was the champion; former ones are {known}")
        check(self._read(model_id))
        self._note(self._promotions, {"model_id": model_id, "replaced": current, "reason": "rolled back"})
        replace_text(self._champion, json.dumps({**pointer, "model_id": model_id}))
        return model_id

    def refuse(self, record: Mapping[str, Any]) -> None:
        """Record a challenger that was not promoted, with its figures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._note(self.folder / "refusals.jsonl", record)

    def _pointer(self) -> dict[str, Any] | None:
        try:
            pointer = json.loads(self._champion.read_text(encoding="utf-8"))
            return {**pointer, "model_id": pointer["model_id"]}
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise NorthstarError(f"{self.folder} is a file, where the models' folder belongs; move it away") from None
        except (ValueError, KeyError, TypeError) as error:
            raise NorthstarError(f"{self._champion} does not name a model; remove it to train anew") from error

    def _read(self, model_id: str) -> StoredModel:
        path = self.folder / model_id
        try:
            return StoredModel(
                model_id,
                (path / "model.skops").read_bytes(),
                json.loads((path / "card.json").read_text(encoding="utf-8")),
                json.loads((path / "golden.json").read_text(encoding="utf-8")),
            )
        except (OSError, ValueError) as error:
            raise NorthstarError(f"{path} is not a whole model ({error}); remove {self._champion} to train anew") from error

    def _history(self) -> list[dict[str, Any]]:
        return _records(self._promotions)

    def _note(self, path: Path, record: Mapping[str, Any]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**record, "at": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n")


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise NorthstarError(f"{path} is damaged ({error}); move it away") from error
