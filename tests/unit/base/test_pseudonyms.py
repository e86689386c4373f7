"""Keyed pseudonyms: the same from Python and from DuckDB, for every text, and a key that shows itself nowhere."""

import hashlib
import hmac
import logging
import os
import stat
import threading
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.base.errors import NorthstarError
from orchestration.base.pseudonyms import PUBLISHED, VARIABLE, Key, digest_sql, load_key, pseudonym_sql
from orchestration.config.loading import load
from orchestration.config.values import SettingsError

SECRET = "a secret of more than sixteen"  # noqa: S105 (of these tests)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


@settings(max_examples=60)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=16, max_size=200),
    st.lists(TEXTS, min_size=1),
    st.sampled_from(sorted(PUBLISHED)),
)
def test_sql_and_python_agree_with_the_standard(connection, secret, texts, domain):
    key = Key(secret)
    key.bind(connection)
    connection.execute("CREATE OR REPLACE TABLE ids (n INTEGER, id VARCHAR)")
    connection.executemany("INSERT INTO ids VALUES (?, ?)", [*enumerate(texts), (len(texts), None)])
    found = connection.execute(f"SELECT {digest_sql(domain, 'id')}, {pseudonym_sql(domain, 'id')} FROM ids ORDER BY n").fetchall()
    standard = [hmac.new(secret.encode(), f"{domain}:{text}".encode(), hashlib.sha256).hexdigest() for text in texts]
    assert found == [*((digest, PUBLISHED[domain] + digest[:32]) for digest in standard), (None, None)]
    assert [key.digest(domain, text) for text in texts] == standard
    assert [key.pseudonym(domain, text) for text in texts] == [PUBLISHED[domain] + digest[:32] for digest in standard]


def test_domains_and_keys_give_unrelated_pseudonyms():
    key = Key(SECRET)
    made = {key.pseudonym(domain, "x")[2:] for domain in PUBLISHED} | {Key(f"{SECRET}!").pseudonym("person", "x")[2:]}
    assert len(made) == len(PUBLISHED) + 1
    with pytest.raises(KeyError):
        key.pseudonym("planet", "x")
    with pytest.raises(KeyError):
        pseudonym_sql("planet", "x")


def test_sql_without_a_key_is_an_error_and_not_null():
    with duckdb.connect() as connection, pytest.raises(duckdb.Error, match="no pseudonym key is bound"):
        connection.execute(f"SELECT {digest_sql('person', 'x')} FROM (SELECT 'a' AS x)").fetchall()


def test_the_key_stands_neither_in_its_repr_nor_in_a_failing_statement():
    key = Key(SECRET)
    assert SECRET not in repr(key)
    assert repr(key) == f"Key({key.fingerprint})"
    with duckdb.connect() as connection:
        key.bind(connection)
        with pytest.raises(duckdb.Error) as error:
            connection.execute(f"SELECT {digest_sql('person', 'x')}::INTEGER FROM (SELECT 'a' AS x)").fetchall()
    assert SECRET not in str(error.value)


def test_the_configured_key_is_used_and_none_is_made(tmp_path: Path):
    assert load_key(tmp_path, SECRET).fingerprint == Key(SECRET).fingerprint
    assert list(tmp_path.iterdir()) == []


def test_a_home_makes_its_key_once_for_its_owner_alone_and_says_so(tmp_path: Path, caplog):
    home = tmp_path / "home"
    with caplog.at_level(logging.WARNING):
        key = load_key(home, None)
        assert load_key(home, None).fingerprint == key.fingerprint
    (file,) = home.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(caplog.records) == 1
    assert VARIABLE in caplog.text
    assert file.read_text().strip() not in caplog.text
    assert load_key(tmp_path / "other", None).fingerprint != key.fingerprint


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path):
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(load_key(tmp_path, None).fingerprint)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("text", ["", "short\n"])
def test_a_damaged_key_file_is_an_error(tmp_path: Path, text):
    (tmp_path / "pseudonym.key").write_text(text)
    with pytest.raises(NorthstarError, match=r"pseudonym\.key holds no key of at least 16 characters"):
        load_key(tmp_path, None)


def test_settings_take_the_key_from_the_environment_and_hide_it(tmp_path: Path, monkeypatch):
    found = load({"NORTHSTAR_HOME": str(tmp_path), VARIABLE: f"{SECRET}\n"}, directory=tmp_path)
    assert found.pseudonym_key is not None
    assert found.pseudonym_key.get_secret_value() == SECRET
    for shown in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert SECRET not in shown
    without = load({"NORTHSTAR_HOME": str(tmp_path)}, directory=tmp_path)
    assert without.pseudonym_key is None
    assert (without.digest, without.folding_digest) == (found.digest, found.folding_digest)
    monkeypatch.setenv(VARIABLE, "another")
    found.export()
    assert os.environ[VARIABLE] == SECRET
    without.export()
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("key", ["", "fifteen letters", " " * 20])
def test_a_short_key_is_an_error_that_does_not_show_it(tmp_path: Path, key):
    with pytest.raises(SettingsError, match=f"{VARIABLE} has fewer than 16 characters") as error:
        load({VARIABLE: key}, directory=tmp_path)
    assert "fifteen" not in str(error.value)
