"""Stored models: kept by content, one champion, and damage told in words."""

import json
from pathlib import Path

import pytest

from orchestration.errors import NorthstarError
from orchestration.model_store import ModelStore, StoredModel

MODEL = StoredModel("m1", b"\x00artifact", {"sha256": "ab", "metrics": {"auc": 0.7}}, [{"x": 1.5, "y": None, "score": 0.25}])


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path, "churn")


def test_before_the_first_there_is_no_champion(store: ModelStore) -> None:
    assert store.champion() is None
    assert not store.folder.exists()


def test_what_is_kept_and_promoted_comes_back_whole(store: ModelStore) -> None:
    store.keep(MODEL)
    assert store.champion() is None
    store.promote("m1")
    assert store.champion() == MODEL
    assert sorted(path.name for path in store.folder.iterdir()) == ["champion.json", "m1"]
    assert sorted(path.name for path in (store.folder / "m1").iterdir()) == ["card.json", "golden.json", "model.skops"]


def test_another_home_finds_the_champion(store: ModelStore, tmp_path: Path) -> None:
    store.keep(MODEL)
    store.promote("m1")
    assert ModelStore(tmp_path, "churn").champion() == MODEL
    assert ModelStore(tmp_path, "clv").champion() is None


def test_a_model_that_is_there_stays_as_it_is(store: ModelStore) -> None:
    store.keep(MODEL)
    before = {path.name: path.stat().st_mtime_ns for path in (store.folder / "m1").iterdir()}
    store.keep(MODEL)
    assert {path.name: path.stat().st_mtime_ns for path in (store.folder / "m1").iterdir()} == before


def test_a_draft_that_a_crash_left_is_replaced(store: ModelStore) -> None:
    draft = store.folder / ".m1"
    draft.mkdir(parents=True)
    (draft / "model.skops").write_bytes(b"half")
    store.keep(MODEL)
    store.promote("m1")
    assert store.champion() == MODEL
    assert not draft.exists()


def test_a_kept_model_s_files_are_read_only(store: ModelStore) -> None:
    store.keep(MODEL)
    assert {path.stat().st_mode & 0o222 for path in (store.folder / "m1").iterdir()} == {0}


def test_promoting_another_changes_the_pointer_alone(store: ModelStore) -> None:
    other = StoredModel("m2", b"other", {"sha256": "cd"}, [])
    for model in (MODEL, other):
        store.keep(model)
        store.promote(model.model_id)
    assert store.champion() == other
    store.promote("m1")
    assert store.champion() == MODEL


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "5", '"m1"', "null"])
def test_a_damaged_pointer_is_told(store: ModelStore, text: str) -> None:
    store.keep(MODEL)
    (store.folder / "champion.json").write_text(text)
    with pytest.raises(NorthstarError, match=r"champion.json does not name a model; remove it to train anew"):
        store.champion()


@pytest.mark.parametrize("name", ["model.skops", "card.json", "golden.json"])
def test_a_missing_file_is_told(store: ModelStore, name: str) -> None:
    store.keep(MODEL)
    store.promote("m1")
    (store.folder / "m1" / name).unlink()
    with pytest.raises(NorthstarError, match=rf"m1 is not a whole model \(.*{name}.*\); remove .*champion.json to train anew"):
        store.champion()


@pytest.mark.parametrize("name", ["card.json", "golden.json"])
def test_a_damaged_file_is_told(store: ModelStore, name: str) -> None:
    store.keep(MODEL)
    store.promote("m1")
    path = store.folder / "m1" / name
    path.chmod(0o644)
    path.write_bytes(b'{"half')
    with pytest.raises(NorthstarError, match="m1 is not a whole model"):
        store.champion()


def test_refusals_are_appended(store: ModelStore) -> None:
    records = [{"model_id": "m1", "metrics": {"auc": 0.5}}, {"model_id": "m2", "decision": {"reason": "worse"}}]
    for record in records:
        store.refuse(record)
    lines = (store.folder / "refusals.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records
    assert store.champion() is None
