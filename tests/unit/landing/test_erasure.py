"""Erasure in the lake: whose rows are whose, what is left of them, and that any order of events ends in the same bytes."""

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.base.errors import NorthstarError
from orchestration.base.pseudonyms import Key
from orchestration.landing import erasure, lake
from orchestration.landing.arrivals import pending
from orchestration.landing.contract import CONTRACT
from orchestration.landing.erasure import Erased, Ledger
from orchestration.landing.ingest import ingest
from orchestration.landing.lake import Lake
from orchestration.landing.source import Personal
from tests.selection import usually

KEY = Key("a key for the tests of erasure")
OTHER = Key("another key for these tests")
DAYS = [date(2024, 3, day) for day in range(5, 12)]
TOKEN = "erased_" + KEY.digest("erased", "alice")[:32]


def at(day: date) -> str:
    return f"{day}T08:00:00Z"


def event(event_id: str, **fields: Any) -> dict[str, Any]:
    return {"event_id": event_id, "event": "page_viewed", "occurred_at": at(DAYS[0]), **fields}


class Zone:
    """A landing zone with a lake and a ledger; the sources and days of `put` wait for `night`."""

    def __init__(self, root: Path, *, denied: Sequence[str] = ("null",), max_links: int = 2) -> None:
        self.landing, self.home = root / "landing", root / "home"
        self.lake = Lake(self.home)
        self.denied, self.max_links = denied, max_links
        self.restart()

    def restart(self, key: Key = KEY) -> None:
        self.ledger = Ledger(self.home, lambda: key, denied=self.denied, max_links=self.max_links)

    def put(self, source: str, day: date, rows: Sequence[dict[str, Any] | str], name: str = "a.jsonl") -> None:
        path = self.landing / source / f"dt={day}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def forget(self, day: date, *users: str) -> None:
        self.put("erasures", day, [{"user_id": user, "requested_at": at(day)} for user in users])

    def ingest(self, source: str, days: Sequence[date]) -> None:
        ingest(
            self.landing,
            self.lake,
            source,
            days,
            timezone="Asia/Shanghai",
            max_quarantine_ratio=1.0,
            ledger=self.ledger,
        )

    def take(self) -> None:
        waiting = pending(self.landing, self.lake)
        for source in sorted(waiting, key=lambda name: name != "erasures"):
            self.ingest(source, waiting[source])

    def erase(self) -> Erased:
        if not self.ledger.pending:
            return Erased()
        erased = erasure.rewrite(self.lake, self.ledger)
        self.ledger.mark_applied(erased)
        return erased

    def night(self) -> Erased:
        self.take()
        return self.erase()

    def rows(self, source: str, columns: str) -> list[tuple[Any, ...]]:
        files = [str(file) for file in self.lake.files(source)]
        with duckdb.connect() as connection:
            key = ", ".join(CONTRACT[source].key)
            return connection.execute(
                f"SELECT {columns} FROM read_parquet(?, hive_partitioning = false) ORDER BY {key}", [files]
            ).fetchall()

    def refused(self, source: str) -> list[tuple[Any, ...]]:
        files = [str(file) for file in self.lake.quarantine_files(source)]
        with duckdb.connect() as connection:
            scan = "SELECT landed_row, reason, row::VARCHAR FROM read_parquet(?, hive_partitioning = false) ORDER BY landed_row"
            return connection.execute(scan, [files]).fetchall()

    def digests(self) -> dict[tuple[str, date], tuple[str, ...]]:
        return {
            (source, day): (*partition.data_files, *partition.quarantine_files)
            for source in CONTRACT
            for day, partition in self.lake.partitions(source).items()
        }

    def names(self, *texts: str) -> list[str]:
        """Files of the home, Parquet read cell by cell, in which one of these texts stands."""
        found = []
        for path in sorted(path for path in self.home.rglob("*") if path.is_file()):
            text = path.read_bytes().decode(errors="replace")
            if path.suffix == ".parquet":
                with duckdb.connect() as connection:
                    text += str(connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall())
            if any(name in text for name in texts):
                found.append(str(path.relative_to(self.home)))
        return found


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path)


@pytest.fixture
def make_zone(tmp_path: Path) -> Callable[..., Zone]:
    return lambda name, **options: Zone(tmp_path / name, **options)


PERSONAL = {
    "events": [
        event("e1", user_id="alice", anonymous_id="phone-1", session_id="s-1", country="DE", city_tier=1),
        event(
            "e2", anonymous_id="phone-1", page="/shop?q=my+name", referrer="https://me:pw@www.search.com/?q=alice", city_tier=2
        ),
        event("e3", user_id="alice", page="/u/alice", value=3, account_id="acme", utm_source="ad", utm_term="alice shoes"),
        event("e4", user_id="bob", anonymous_id="phone-1", page="/u/bob?x=1", properties={"note": "bob's"}),
        event("e5", anonymous_id="phone-2", properties={"mail": "bob@x"}),
        event("e6", user_id="alice", properties={"mail": "alice@x"}, mail="alice@x"),
    ],
    "users": [
        {
            "user_id": "alice",
            "signed_up_at": at(DAYS[0]),
            "account_id": "acme",
            "gender": "f",
            "birth_year": 1990,
            "role": "chief",
            "country": "DE",
            "city_tier": 1,
            "invited_by_user_id": "bob",
            "is_internal": False,
        },
        {"user_id": "bob", "signed_up_at": at(DAYS[0]), "invited_by_user_id": "alice", "gender": "m"},
    ],
    "orders": [{"order_id": "o1", "user_id": "alice", "ordered_at": at(DAYS[0]), "amount": "9.90", "currency": "USD"}],
    "payments": [
        {"payment_id": "p1", "user_id": "alice", "paid_at": at(DAYS[0]), "amount": 1, "currency": "USD", "status": "succeeded"}
    ],
    "tickets": [{"ticket_id": "t1", "user_id": "alice", "account_id": "acme", "opened_at": at(DAYS[0])}],
    "surveys": [
        {"response_id": "r1", "user_id": "alice", "responded_at": at(DAYS[0]), "kind": "nps", "score": 9, "comment": "call me"}
    ],
    "feedback": [{"feedback_id": "f1", "user_id": "alice", "created_at": at(DAYS[0]), "text": "I am Alice"}],
    "wecom": [
        {"interaction_id": "w1", "contact_id": "wx-1", "user_id": "alice", "kind": "message_sent", "occurred_at": at(DAYS[0])},
        {"interaction_id": "w2", "contact_id": "wx-1", "kind": "message_replied", "occurred_at": at(DAYS[0])},
        {"interaction_id": "w3", "contact_id": "wx-2", "kind": "message_replied", "occurred_at": at(DAYS[0])},
    ],
    "exposures": [
        {"experiment_id": "x", "variant": "a", "unit_id": "alice", "exposed_at": at(DAYS[0])},
        {"experiment_id": "x", "variant": "b", "unit_id": "acme", "exposed_at": at(DAYS[0])},
    ],
}


def fill(zone: Zone) -> None:
    for source, rows in PERSONAL.items():
        zone.put(source, DAYS[0], rows)


def test_every_personal_column_loses_what_it_says_and_the_facts_stay(zone):
    fill(zone)
    assert zone.night() == Erased()
    zone.forget(DAYS[1], "alice")
    assert zone.night() == Erased(persons=1, partitions=9, rows=14)
    assert zone.rows("events", "event_id, user_id, anonymous_id, session_id, country, city_tier, value, account_id, extra") == [
        ("e1", TOKEN, None, None, None, None, None, None, None),
        ("e2", TOKEN, None, None, None, None, None, None, None),
        ("e3", TOKEN, None, None, None, None, 3, "acme", None),
        ("e4", "bob", "phone-1", None, None, None, None, None, None),
        ("e5", None, "phone-2", None, None, None, None, None, None),
        ("e6", TOKEN, None, None, None, None, None, None, None),
    ]
    assert zone.rows("events", "page, referrer, utm_source, utm_term, properties")[1:5] == [
        ("/shop", "https://www.search.com", None, None, None),
        (None, None, "ad", None, None),
        ("/u/bob?x=1", None, None, None, '{"note":"bob\'s"}'),
        (None, None, None, None, '{"mail":"bob@x"}'),
    ]
    person = "account_id, role, invited_by_user_id, country, city_tier, gender, birth_year, is_internal"
    assert zone.rows("users", f"user_id, {person}") == [
        ("bob", None, None, TOKEN, None, None, "m", None, None),
        (TOKEN, "acme", None, None, None, None, None, None, False),
    ]
    assert zone.rows("orders", "order_id, user_id, amount::VARCHAR, currency") == [("o1", TOKEN, "9.9000", "USD")]
    assert zone.rows("payments", "payment_id, user_id") == [("p1", TOKEN)]
    assert zone.rows("tickets", "ticket_id, user_id, account_id") == [("t1", TOKEN, "acme")]
    assert zone.rows("surveys", "user_id, score, comment") == [(TOKEN, 9, None)]
    assert zone.rows("feedback", "user_id, text") == [(TOKEN, "")]
    assert zone.rows("wecom", "contact_id, user_id") == [(TOKEN, TOKEN), (TOKEN, TOKEN), ("wx-2", None)]
    assert zone.rows("exposures", "unit_id, variant") == [("acme", "b"), (TOKEN, "a")]
    assert zone.rows("erasures", "user_id, requested_at::VARCHAR") == [(TOKEN, "2024-03-06 08:00:00")]
    assert zone.names("alice", "wx-1", "call me", "Alice") == []


def test_every_source_with_a_person_says_how_it_is_erased():
    ids = {"user_id", "anonymous_id", "contact_id", "invited_by_user_id", "unit_id", "session_id"}
    unmarked = [
        f"{source.name}.{column.name}"
        for source in CONTRACT.values()
        for column in source.columns
        if column.name in ids and column.personal is None
    ]
    assert unmarked == []
    for source in CONTRACT.values():
        personal = [column.personal for column in source.columns]
        assert personal.count(Personal.USER) <= 1
        assert personal.count(Personal.ANONYMOUS) + personal.count(Personal.CONTACT) <= 1
        # Times, amounts and keys other than ids of persons stay.
        assert source.column(source.happened_at).personal is None


def test_erasing_late_or_on_the_way_in_gives_the_same_bytes(make_zone):
    late, early = make_zone("late"), make_zone("early")
    fill(late)
    late.night()
    untouched = late.digests()
    late.forget(DAYS[1], "alice")
    late.night()
    fill(early)
    early.forget(DAYS[1], "alice")
    early.night()
    assert late.digests() == early.digests()
    assert {key for key, held in late.digests().items() if untouched.get(key) not in (held, None)} == {
        (source, DAYS[0]) for source in PERSONAL
    }
    # The landed files are still the ones that were read: nothing waits.
    assert pending(late.landing, late.lake) == {}
    before = late.digests()
    for source in [*PERSONAL, "erasures"]:
        late.ingest(source, [DAYS[1] if source == "erasures" else DAYS[0]])
    assert late.erase() == Erased()
    assert late.digests() == before


def test_partitions_without_the_person_are_not_rewritten(zone):
    zone.put("events", DAYS[0], [event("e1", user_id="alice")])
    zone.put("events", DAYS[1], [event("e2", user_id="bob")])
    zone.night()
    kept = zone.lake.files("events", [DAYS[1]])[0].stat().st_mtime_ns
    zone.forget(DAYS[2], "alice")
    assert zone.night() == Erased(persons=1, partitions=1, rows=1)
    assert zone.lake.files("events", [DAYS[1]])[0].stat().st_mtime_ns == kept


def test_large_partitions_come_out_the_same_when_they_are_rewritten(make_zone):
    """Row groups and encodings too: several threads, several partitions at once, more rows than a row group holds."""
    late, early = make_zone("late"), make_zone("early")
    for zone in (late, early):
        for day in DAYS[:3]:
            path = zone.landing / "events" / f"dt={day}" / "a.parquet"
            path.parent.mkdir(parents=True)
            with duckdb.connect() as connection:
                connection.execute(
                    f"COPY (SELECT '{day}-' || i AS event_id, 'page_viewed' AS event, "
                    f"TIMESTAMP '2024-03-01' + INTERVAL 1 second * (i * 7919 % 90000) AS occurred_at, "
                    "'d' || i % 977 AS anonymous_id, CASE WHEN i % 3 = 0 THEN 'u' || i % 500 END AS user_id, "
                    "'/p/' || i % 50 AS page, i % 100 / 4 AS value "
                    f"FROM range(130000) t(i)) TO '{path}' (FORMAT parquet)"
                )
    late.night()
    users = ["u0", "u3", "u42"]
    late.forget(DAYS[3], *users)
    assert late.night().partitions == 3
    early.forget(DAYS[3], *users)
    early.night()
    assert late.digests() == early.digests()


def test_a_device_is_known_by_the_lake_by_the_batch_and_by_what_lands_later(zone):
    zone.put("events", DAYS[0], [event("e1", user_id="alice", anonymous_id="phone"), event("e2", anonymous_id="laptop")])
    zone.night()
    zone.forget(DAYS[1], "alice")
    # In the same night another device shows itself; its rows lie in the lake already.
    zone.put("events", DAYS[1], [event("e3", user_id="alice", anonymous_id="laptop"), event("e4", anonymous_id="phone")])
    zone.night()
    assert zone.rows("events", "event_id, user_id, anonymous_id") == [(f"e{i}", TOKEN, None) for i in (1, 2, 3, 4)]
    # Much later a third one, first alone and then with its user.
    zone.put("events", DAYS[2], [event("e5", anonymous_id="tablet")])
    assert zone.night() == Erased()
    zone.put("events", DAYS[3], [event("e6", anonymous_id="tablet"), event("e7", user_id="alice", anonymous_id="tablet")])
    assert zone.night() == Erased(persons=1, partitions=1, rows=1)
    assert zone.rows("events", "event_id, user_id, anonymous_id")[4:] == [(f"e{i}", TOKEN, None) for i in (5, 6, 7)]
    assert zone.names("alice", "phone", "laptop", "tablet") == []


def test_junk_and_crowded_devices_are_nobodys(zone):
    rows = [event("e1", user_id="alice", anonymous_id="NULL"), event("e2", anonymous_id="NULL")]
    rows += [event(f"k{user}", user_id=user, anonymous_id="kiosk") for user in ("alice", "bob", "carol")]
    rows += [event("e3", anonymous_id="kiosk")]
    zone.put("events", DAYS[0], rows)
    zone.night()
    zone.forget(DAYS[1], "alice")
    zone.put("events", DAYS[1], [event("l1", user_id="alice", anonymous_id="kiosk"), event("l2", anonymous_id="kiosk")])
    zone.night()
    assert zone.rows("events", "event_id, user_id, anonymous_id") == [
        ("e1", TOKEN, None),
        ("e2", None, "NULL"),
        ("e3", None, "kiosk"),
        ("kalice", TOKEN, None),
        ("kbob", "bob", "kiosk"),
        ("kcarol", "carol", "kiosk"),
        ("l1", TOKEN, None),
        ("l2", None, "kiosk"),
    ]
    assert [entry.kind for entry in zone.ledger.entries] == ["user"]


def test_a_request_for_nobody_erases_nothing_and_is_said(zone, caplog):
    zone.put(
        "events", DAYS[0], [event(f"e{number}", user_id="null", anonymous_id=f"d{number}", page="/null") for number in (1, 2)]
    )
    zone.forget(DAYS[1], "NULL", "null")
    with caplog.at_level("WARNING", logger="northstar.night"):
        assert zone.night() == Erased()
    assert zone.rows("events", "user_id, anonymous_id, page") == [("null", "d1", "/null"), ("null", "d2", "/null")]
    assert "2 requests name an id of identity_deny_list" in caplog.text
    assert "null" not in caplog.text.lower().replace("identity_deny_list", "")


def test_one_id_may_be_a_user_and_a_device(zone):
    zone.put("events", DAYS[0], [event("e1", user_id="alice"), event("e2", anonymous_id="alice"), event("e3", user_id="bob")])
    zone.forget(DAYS[1], "alice")
    zone.night()
    assert zone.rows("events", "user_id, anonymous_id") == [(TOKEN, None), (None, "alice"), ("bob", None)]


def test_refused_rows_that_name_the_person_are_emptied(zone):
    broken = {"event_id": "e", "event": "x", "occurred_at": "soon"}
    rows = [
        {**broken, "user_id": "alice", "comment": "mine"},
        {**broken, "anonymous_id": "phone"},
        {**broken, "anonymous_id": "x", "properties": {"by": ["user:alice", 1]}},
        {**broken, "anonymous_id": "x", "page": "/u/alice?y"},
        '{"event_id": "e", "user_id": "alice", ',
        {**broken, "user_id": "alice2", "page": "malice"},
        {**broken, "user_id": "用户 7"},
        event("e1", user_id="alice", anonymous_id="phone"),
    ]
    zone.put("events", DAYS[0], rows)
    zone.night()
    before = zone.refused("events")
    zone.forget(DAYS[1], "alice", "用户 7")
    assert zone.night() == Erased(persons=2, partitions=1, rows=7)
    after = zone.refused("events")
    assert [row[:2] for row in after] == [row[:2] for row in before]
    assert [landed for landed, _, text in after if text == '{"erased": true}'] == [1, 2, 3, 4, 5, 7]
    assert after[5] == before[5]
    kept = zone.digests()
    zone.ingest("events", [DAYS[0]])
    assert zone.digests() == kept


def test_a_source_without_persons_has_its_quarantine_searched_too(zone):
    zone.put("ad_spend", DAYS[0], [{"spend_date": "soon", "utm_source": "a", "cost": 1, "currency": "USD", "note": "for alice"}])
    zone.night()
    zone.forget(DAYS[1], "alice")
    assert zone.night() == Erased(persons=1, partitions=1, rows=1)
    assert zone.names("alice") == []


def test_an_ignored_request_and_a_repeated_one_change_nothing(zone):
    zone.put("events", DAYS[0], [event("e1", user_id="bob")])
    zone.put("erasures", DAYS[0], [{"user_id": "bob", "requested_at": "soon"}])  # refused: no request
    zone.night()
    assert not zone.ledger
    assert zone.rows("events", "user_id") == [("bob",)]
    zone.forget(DAYS[1], "alice")
    assert zone.night() == Erased(unknown=1)
    zone.forget(DAYS[2], "alice")
    assert zone.night() == Erased()
    assert len(zone.ledger.entries) == 1


def test_an_erased_id_goes_from_the_texts_of_other_rows(zone):
    """As a segment, a value or a word, also percent-encoded; not as a part of one, nor a short one as a word."""
    named = {
        "page": ["/u/alice/settings", "/find?who=alice", "/m/al%69ce", "/malice", "/alice2", "/p/7"],
        "properties": ['{"friend": "alice"}', '{"alice": 1}', '{"text": "seen with alice."}', '{"text": "malice"}'],
        "utm_campaign": ["alice", "spring"],
    }
    rows = [
        event(f"{name}{number}", anonymous_id="phone", **{name: text})
        for name, texts in named.items()
        for number, text in enumerate(texts)
    ]
    zone.put("events", DAYS[0], [*rows, event("own", user_id="alice", anonymous_id="laptop")])
    zone.night()
    zone.forget(DAYS[1], "alice", "bo")
    zone.night()
    kept = {row[0] for name in named for row in zone.rows("events", name) if row[0] is not None}
    assert {str(text) for text in kept} == {"/malice", "/alice2", "/p/7", '{"text":"malice"}', "spring"}
    digests = zone.digests()
    zone.ingest("events", [DAYS[0]])
    assert zone.digests() == digests


SPELLED = [
    ("page", "/u/ann.lee@shop.example/settings", "/u/ANN.LEE%40Shop.example", "/u/ann.lee%2540shop.example", "/u/x/NCUSER42"),
    ("page", "/go?to=https%3A%2F%2Fshop.example%2Fu%2Fncuser42%2Fx", "mailto:Ann.Lee@shop.example?subject=x", "/~ncuser42/"),
    ("properties", '{"mail": "ANN.LEE@SHOP.EXAMPLE"}', '{"mail": "ann.lee\\u0040shop.example"}', '{"go": "\\/u\\/ncuser42\\/x"}'),
    ("properties", '{"NcUser42": 1}', '{"text": "from <Ann.Lee@Shop.example>"}', '{"text": "as Ann.Lee@Shop.example."}'),
    ("utm_campaign", "to:ann.lee@shop.example?", "NCUSER42 spring"),
]
NOT_SPELLED = [
    ("page", "/u/annlee@shop.example", "/u/NCUser421", "/u/my-ncuser42", "/u/ann", "/100%/x", "/%E5%8C/%zz"),
    ("properties", '{"text": "ann lee shop example"}', '{"text": "\\u5317"}'),
    ("utm_campaign", "shop.example"),
]


def test_an_erased_id_is_found_however_it_is_spelled(zone):
    """In another case, percent-encoded once or twice, escaped in JSON, or within punctuation."""

    def rows(texts, prefix):
        return [
            event(f"{prefix}{number}-{place}", anonymous_id="phone", **{name: text})
            for number, (name, *found) in enumerate(texts)
            for place, text in enumerate(found)
        ]

    zone.put("events", DAYS[0], rows(SPELLED, "a"))
    zone.put("events", DAYS[1], rows(NOT_SPELLED, "b"))
    zone.put("feedback", DAYS[0], [{"feedback_id": "f", "created_at": at(DAYS[0]), "text": "Tell ANN.LEE@shop.example!"}])
    zone.put(
        "events",
        DAYS[2],
        [{"event_id": "bad", "event": "x", "occurred_at": "soon", "anonymous_id": "a", "page": "/u/ann.lee%40Shop.example"}],
    )
    zone.night()
    before = zone.rows("events", "page, properties, utm_campaign")
    zone.forget(DAYS[3], "Ann.Lee@shop.example", "NCUser42")
    zone.night()
    said = zone.rows("events", "page, properties, utm_campaign")
    assert said[: -sum(len(texts) - 1 for texts in NOT_SPELLED)] == [(None, None, None)] * sum(len(row) - 1 for row in SPELLED)
    assert [row for row in said if row != (None, None, None)] == [row for row in before if row in said]
    assert len([row for row in said if row != (None, None, None)]) == sum(len(texts) - 1 for texts in NOT_SPELLED)
    assert zone.rows("feedback", "text") == [("",)]
    assert zone.refused("events")[0][2] == '{"erased": true}'
    digests = zone.digests()
    zone.ingest("events", DAYS[:3])
    assert zone.digests() == digests


def test_an_owned_page_goes_with_any_spelling_of_the_id(zone):
    pages = ["/u/ALICE", "/u/%41lice-x", "/u/bob?x=1"]
    zone.put("events", DAYS[0], [event(f"e{number}", user_id="alice", page=page) for number, page in enumerate(pages)])
    zone.forget(DAYS[1], "alice")
    zone.night()
    assert zone.rows("events", "page") == [(None,), (None,), ("/u/bob",)]


def test_a_ledger_without_lower_case_digests_is_still_in_force(zone):
    zone.forget(DAYS[0], "Alice")
    zone.night()
    ledger = json.loads(zone.ledger.path.read_text())
    for entry in ledger["entries"]:
        del entry["folded"]
    zone.ledger.path.write_text(json.dumps(ledger))
    zone.restart()
    pages = ["/u/Alice", "/u/alice", "/u/bob"]
    zone.put("events", DAYS[1], [event(f"e{number}", anonymous_id="phone", page=page) for number, page in enumerate(pages)])
    zone.night()
    assert zone.rows("events", "page") == [(None,), ("/u/alice",), ("/u/bob",)]


def test_a_request_that_names_nobody_is_told_apart_from_one_that_names_a_device(zone):
    """No request is lost: whoever comes by that id later is erased."""
    zone.put("events", DAYS[0], [event("e1", anonymous_id="phone")])
    zone.forget(DAYS[0], "phone", "alice")
    erased = zone.night()
    assert (erased.persons, erased.unknown, erased.misnamed) == (0, 2, 1)
    assert erased.warning is not None
    assert "2 requests for erasure name a user_id that no row has" in erased.warning
    assert "The id of 1 of them is that of a device or an account" in erased.warning
    assert "phone" not in erased.warning
    assert zone.rows("events", "anonymous_id") == [("phone",)]
    zone.put("events", DAYS[1], [event("e2", user_id="alice")])
    zone.night()
    assert zone.rows("events", "user_id") == [(None,), (TOKEN,)]


def test_a_refused_partition_enters_no_request(zone, monkeypatch):
    monkeypatch.setattr(zone, "ingest", None)
    zone.put("erasures", DAYS[0], [{"user_id": "alice", "requested_at": at(DAYS[0])}, {"user_id": "bob"}])
    with pytest.raises(NorthstarError, match="1 of 2 rows are bad"):
        ingest(
            zone.landing,
            zone.lake,
            "erasures",
            [DAYS[0]],
            timezone="UTC",
            max_quarantine_ratio=0.1,
            ledger=zone.ledger,
        )
    assert not zone.ledger


def test_requests_need_a_ledger(zone):
    zone.forget(DAYS[0], "alice")
    with pytest.raises(ValueError, match="without a ledger"):
        ingest(zone.landing, zone.lake, "erasures", [DAYS[0]], timezone="UTC", max_quarantine_ratio=0)
    assert zone.names("alice") == []


def test_the_ledger_names_nobody_and_outlives_the_process(zone):
    fill(zone)
    zone.forget(DAYS[1], "alice")
    zone.night()
    told = json.loads(zone.ledger.path.read_text())
    assert told["key"] == KEY.fingerprint
    assert sorted(entry["kind"] for entry in told["entries"]) == ["anonymous", "contact", "user"]
    assert {entry["token"] for entry in told["entries"]} == {TOKEN}
    assert all(entry["applied_at"] and entry["requested_at"] == "2024-03-06T08:00:00+00:00" for entry in told["entries"])
    assert zone.ledger.published_pseudonyms == {
        KEY.pseudonym("person", "u:alice"),
        KEY.pseudonym("user", "alice"),
        KEY.pseudonym("person", "a:phone-1"),
    }
    entries = zone.ledger.entries
    zone.restart()
    assert zone.ledger.entries == entries
    assert zone.ledger.unpublished.persons == 1
    zone.ledger.mark_published()
    zone.restart()
    assert zone.ledger.published_pseudonyms == set()
    assert zone.ledger.unpublished == Erased()
    assert [entry.digest for entry in zone.ledger.entries] == [entry.digest for entry in entries]


def test_another_key_than_the_ledgers_is_an_error(zone):
    zone.forget(DAYS[1], "alice")
    zone.night()
    zone.restart(OTHER)
    with pytest.raises(NorthstarError, match=f"{KEY.fingerprint}, and the key now is {OTHER.fingerprint}.*restore the former"):
        zone.night()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 9}'])
def test_a_damaged_ledger_is_an_error(zone, text):
    zone.ledger.path.parent.mkdir(parents=True)
    zone.ledger.path.write_text(text)
    with pytest.raises(NorthstarError, match=r"ledger\.json is not a ledger of erasures"):
        zone.ledger.pending  # noqa: B018


def test_without_erasures_no_key_is_asked_for(tmp_path):
    zone = Zone(tmp_path)

    def refuse() -> Key:
        raise AssertionError("the key was asked for")

    zone.ledger = Ledger(zone.home, refuse, denied=(), max_links=1)
    zone.put("events", DAYS[0], [event("e1", user_id="bob")])
    assert zone.night() == Erased()
    assert not zone.ledger.path.exists()


class Killed(BaseException):
    """What a power cut looks like to the code that it hits."""


def kill_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, *, after: bool) -> None:
    """Make the numbered call of a method, counted from 1, the last thing that happens: before it has worked, or after."""
    original, calls = getattr(owner, name), [0]

    def dying(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == number and not after:
            raise Killed
        result = original(*args, **options)
        if calls[0] == number:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, dying)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a zone to which a request has come, and more rows of who asks."""
    root = tmp_path_factory.mktemp("asked") / "zone"
    zone = Zone(root)
    fill(zone)
    zone.night()
    zone.forget(DAYS[1], "alice")
    zone.put("events", DAYS[1], [event("n1", user_id="alice", anonymous_id="tv"), event("n2", anonymous_id="tv")])
    return root


@pytest.fixture(scope="module")
def expected(asked: Path, tmp_path_factory: pytest.TempPathFactory) -> Zone:
    """That zone after a night that nothing disturbed; not to be written to."""
    zone = Zone(shutil.copytree(asked, tmp_path_factory.mktemp("expected") / "zone"))
    zone.night()
    return zone


# Where a night can be killed: the call of a function, by its number.
KILLS = {
    f"{owner.__name__.rpartition('.')[2]}-{name}-{number}": (owner, name, number)
    for owner, name, numbers in (
        (Ledger, "_save", (1, 2, 3, 4)),
        (Lake, "commit", (1, 2, 3, 6, 11)),
        (lake, "_write_atomically", (5,)),
        (Lake, "sweep", (1,)),
    )
    for number in numbers
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", usually(list(KILLS), 4))
def test_a_killed_night_is_finished_by_the_next_one(asked, expected, tmp_path, monkeypatch, call, after):
    zone = Zone(shutil.copytree(asked, tmp_path / "killed"))
    owner, name, number = KILLS[call]
    with monkeypatch.context() as patched:
        kill_at(patched, owner, name, number, after=after)
        with pytest.raises(Killed):
            zone.night()
    # What a kill leaves of a connection.
    (zone.home / ".ingest-left").mkdir()
    (zone.home / ".ingest-left" / "spilled").write_text("alice")
    was_done = not Ledger(zone.home, lambda: KEY, denied=(), max_links=1).pending and zone.ledger.path.exists()
    zone.restart()
    zone.night()
    assert zone.digests() == expected.digests()
    assert not zone.ledger.pending
    assert {(entry.kind, entry.digest) for entry in zone.ledger.entries} == {
        (entry.kind, entry.digest) for entry in expected.ledger.entries
    }
    if not was_done:
        assert zone.names("alice", "wx-1", "call me") == []
