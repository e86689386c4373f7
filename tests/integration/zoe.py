"""Zoe: what lands of one person, before she asks to be forgotten and with her request.

Belongs here: her rows, and landing them. Does not belong here: what becomes of them (`test_being_forgotten`).
"""

import json
from pathlib import Path
from typing import Any

# Long enough that no compressed byte sequence spells one of them by chance.
ZOE = ("zoe-the-user", "zoe-phone-0001", "zoe-laptop-0002", "zoe-tablet-0003", "wx-zoe-contact", "please phone zoe at home")
USER, PHONE, LAPTOP, TABLET, CONTACT, COMMENT = ZOE
FILE = "zoe.jsonl"


def at(day: int, hour: int = 2) -> str:
    return f"2026-11-{day:02}T{hour:02}:00:00Z"


def event(event_id: str, day: int, hour: int = 2, **fields: Any) -> dict[str, Any]:
    return {"event_id": f"zoe-event-{event_id}", "event": "page_viewed", "occurred_at": at(day, hour), **fields}


# Source → arrival day in November → rows. Zoe looks around, signs up on her phone, buys on her laptop and says what she thinks.
LANDED: dict[str, dict[int, list[dict[str, Any]]]] = {
    "events": {
        10: [event("1", 10, anonymous_id=PHONE, page=f"/hello?to={USER}", referrer=f"https://www.google.com/?q={USER}")],
        # A visit on a third device, which nobody yet knows to be hers.
        11: [event("7", 11, anonymous_id=TABLET)],
        12: [
            event("2", 12, anonymous_id=PHONE, user_id=USER, session_id=f"{PHONE}-1", properties={"note": COMMENT}),
            event("3", 12, 3, anonymous_id=LAPTOP, user_id=USER, country="DE", mail=COMMENT),
            event("4", 12, 4, anonymous_id=LAPTOP),
            {"event_id": "zoe-event-5", "event": "page_viewed", "occurred_at": "soon", "user_id": USER, "page": COMMENT},
            {"event_id": "zoe-event-6", "event": "page_viewed", "occurred_at": "soon", "anonymous_id": PHONE},
        ],
    },
    "users": {12: [{"user_id": USER, "signed_up_at": at(12), "gender": "f", "birth_year": 1990, "updated_at": at(12)}]},
    "orders": {
        12: [{"order_id": "zoe-order-1", "user_id": USER, "ordered_at": at(12, 5), "amount": "123.45", "currency": "USD"}],
        15: [{"order_id": "zoe-order-2", "user_id": USER, "ordered_at": at(15, 5), "amount": "10", "currency": "USD"}],
    },
    "surveys": {
        15: [{"response_id": "r-1", "user_id": USER, "responded_at": at(15), "kind": "nps", "score": 9, "comment": COMMENT}]
    },
    "feedback": {15: [{"feedback_id": "f-1", "user_id": USER, "created_at": at(15), "text": COMMENT}]},
    "wecom": {
        15: [
            {"interaction_id": "w-1", "contact_id": CONTACT, "user_id": USER, "kind": "message_sent", "occurred_at": at(15)},
            {"interaction_id": "w-2", "contact_id": CONTACT, "kind": "message_replied", "occurred_at": at(15, 3)},
        ]
    },
}
REQUEST = {
    "erasures": {20: [{"user_id": USER, "requested_at": at(20)}]},
    # With the request arrives what shows whose the third device is.
    "events": {20: [event("8", 20, anonymous_id=TABLET, user_id=USER)]},
}


def land(home: Path, rows: dict[str, dict[int, list[dict[str, Any]]]]) -> None:
    for source, days in rows.items():
        for day, found in days.items():
            folder = home / "landing" / source / f"dt=2026-11-{day:02}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).write_text("".join(f"{json.dumps(row)}\n" for row in found), encoding="utf-8")
