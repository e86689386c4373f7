"""Click-streams of an online shop as the `retentioneering` package ships them, into the contract's events.

Belongs here: this one shape. Does not belong here: the mapping of its event names to core names (suggested by SETTINGS, decided
by the configuration).

Every line is a separate event, even if lines are equal. The shape has an acquisition channel instead of a campaign per visit;
it becomes the `utm_medium` that default channel groupings map to that channel, without inventing a source or campaign.
"""

from collections.abc import Sequence
from pathlib import Path

from orchestration.adapters import AdapterReport, connect, load, write_days
from orchestration.base.errors import UserError

NAME = "ecom_events"
DESCRIPTION = (
    "shop click-stream (CSV): user_id, session_id, event, timestamp (UTC), platform, acquisition_channel, cohort, lifecycle"
)
SETTINGS = {
    "event_names": {
        "product_view": "product_viewed",
        "add_to_cart": "cart_added",
        "shipping_details": "checkout_started",
        "purchase": "order_placed",
    },
}

_COLUMNS = (
    "user_id",
    "session_id",
    "event",
    "timestamp",
    "platform",
    "acquisition_channel",
    "user_cohort",
    "user_lifecycle",
)
_MEDIUMS = {"organic": "organic", "paid_search": "paid_search", "email": "email", "social": "social", "direct": None}


def convert(files: Sequence[Path], out: Path, *, timezone: str) -> AdapterReport:
    """Write every line as one event; see `Adapter.convert`. UserError for an unreadable time or channel, naming its row."""
    with connect(timezone) as connection:
        load(connection, "read_csv($files, header = true, all_varchar = true, hive_partitioning = false)", files, _COLUMNS)
        connection.execute("CREATE TABLE channels (channel VARCHAR, medium VARCHAR)")
        connection.executemany("INSERT INTO channels VALUES (?, ?)", list(_MEDIUMS.items()))
        wrong = connection.execute("""
            SELECT line, "timestamp", acquisition_channel FROM lines LEFT JOIN channels ON channel = acquisition_channel
            WHERE TRY_CAST("timestamp" AS TIMESTAMP) IS NULL OR channel IS NULL
            ORDER BY line LIMIT 1
        """).fetchone()
        if wrong:
            raise UserError(
                f"row {wrong[0]}: timestamp {wrong[1]!r} or acquisition_channel {wrong[2]!r} cannot be read; "
                f"channels are {', '.join(_MEDIUMS)}"
            )
        connection.execute("""
            CREATE TABLE events AS
            SELECT
              timezone(getvariable('reporting_zone'), timezone('UTC', "timestamp"::TIMESTAMP))::DATE AS day,
              format('ecom-{:08d}', line) AS event_id,
              event,
              "timestamp"::TIMESTAMP AS occurred_at,
              user_id,
              session_id,
              medium AS utm_medium,
              platform AS device_type,
              json_object('user_cohort', user_cohort, 'user_lifecycle', user_lifecycle) AS properties
            FROM lines LEFT JOIN channels ON channel = acquisition_channel
        """)
        written = write_days(connection, "events", "event_id", "events", out, NAME)
        (figures,) = connection.execute("""
            SELECT count(*), count(DISTINCT user_id), count(DISTINCT session_id), count(DISTINCT event),
              count(*) - count(DISTINCT (user_id, session_id, event, "timestamp")), min("timestamp"), max("timestamp")
            FROM lines
        """).fetchall()
    lines, users, sessions, kinds, repeated, first, last = figures
    notes = (
        f"lines read, each one event: {lines:,}",
        f"users with at least one line: {users:,}",
        f"sessions with at least one line: {sessions:,}",
        f"different event names: {kinds:,}",
        f"lines that repeat user, session, event and time of another, kept as events of their own: {repeated:,}",
        f"times of the lines, UTC: {first} to {last}",
    )
    return AdapterReport(NAME, lines, {"events": written}, notes)
