"""Trained models on disk: artifacts known by their content, each with its card, and the pointer to the champion.

Belongs here: files below `<home>/models`. Does not belong here: what a model is or how it is judged (`ml`).

    models/churn/<id>/model.skops, card.json, golden.json     never change
    models/churn/champion.json                                names the model that scores; replaced by rename
    models/churn/refusals.jsonl                               every challenger that was not promoted, with its figures
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.durable import replace_text, sync_tree
from orchestration.errors import NorthstarError


@dataclass(frozen=True)
class StoredModel:
    """An artifact with its card and golden rows."""

    model_id: str
    artifact: bytes
    card: Mapping[str, Any]
    golden: Sequence[Mapping[str, float | None]]


class ModelStore:
    """The models of one kind below a home."""

    def __init__(self, home: Path, kind: str) -> None:
        self.folder = home / "models" / kind
        self._champion = self.folder / "champion.json"

    def champion(self) -> StoredModel | None:
        """Load the model that scores; None before the first was promoted. NorthstarError when its files are gone or damaged."""
        try:
            model_id = json.loads(self._champion.read_text(encoding="utf-8"))["model_id"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise NorthstarError(f"{self._champion} does not name a model; remove it to train anew") from error
        path = self.folder / str(model_id)
        try:
            return StoredModel(
                model_id,
                (path / "model.skops").read_bytes(),
                json.loads((path / "card.json").read_text(encoding="utf-8")),
                json.loads((path / "golden.json").read_text(encoding="utf-8")),
            )
        except (OSError, ValueError) as error:
            raise NorthstarError(f"{path} is not a whole model ({error}); remove {self._champion} to train anew") from error

    def keep(self, model: StoredModel) -> None:
        """Store a model under its id; one that is there already is the same by its content, and stays."""
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

    def promote(self, model_id: str) -> None:
        """Make a stored model the champion."""
        replace_text(self._champion, json.dumps({"model_id": model_id}))

    def refuse(self, record: Mapping[str, Any]) -> None:
        """Record a challenger that was not promoted, with its figures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "refusals.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
