"""Invoice lines of the UCI data set "Online Retail" (Chen, CC BY 4.0), into the contract's orders and payments.

Belongs here: this one shape. Does not belong here: what counts as a purchase or as revenue (`dbt_project`).

The Parquet file has no invoice number: all lines of one customer at one InvoiceDate (UK local time) form an order, and so do
all lines without a customer at one InvoiceDate.

- orders contain the lines with a customer. `amount` and `items` sum the lines with a positive quantity, `refunded_amount` those
  with a negative quantity; a group without a positive quantity is an order of amount 0 with status `returned`.
- payments contain every line, also those without a customer: per group one `succeeded` payment for the lines with a positive
  value and one `refunded` payment for those with a negative value, so that succeeded − refunded is the file's total to the
  cent. The payment that a refund gives back is not known.
"""

from collections.abc import Sequence
from pathlib import Path

from orchestration.adapters import AdapterReport, connect, load, write_days
from orchestration.base.counts import counted
from orchestration.base.errors import UserError

NAME = "online_retail"
DESCRIPTION = (
    "invoice lines of the UCI Online Retail data set (Parquet): Quantity, InvoiceDate (UK time), UnitPrice (GBP), CustomerID"
)
SETTINGS = {"reporting_currency": "GBP", "reporting_timezone": "Europe/London"}

_COLUMNS = ("Quantity", "InvoiceDate", "UnitPrice", "CustomerID")


def convert(files: Sequence[Path], out: Path, *, timezone: str) -> AdapterReport:
    """Write orders and payments of all lines; see `Adapter.convert`. UserError for a line without quantity, time or price."""
    with connect(timezone) as connection:
        load(connection, "read_parquet($files, hive_partitioning = false)", files, _COLUMNS)
        # Cast through text: a price is its shortest decimal, and sums of decimal products do not depend on their order.
        connection.execute("""
            CREATE TABLE priced AS
            SELECT
              line,
              TRY_CAST("InvoiceDate" AS TIMESTAMP) AS local_at,
              TRY_CAST("Quantity" AS BIGINT) AS quantity,
              TRY_CAST("UnitPrice"::VARCHAR AS DECIMAL(18, 4)) AS price,
              nullif(regexp_replace("CustomerID"::VARCHAR, '\\.0$', ''), '') AS customer
            FROM lines
        """)
        wrong = connection.execute("""
            SELECT min(line), count(*) FROM priced WHERE local_at IS NULL OR quantity IS NULL OR price IS NULL
        """).fetchone()
        if wrong and wrong[1]:
            raise UserError(f"no readable InvoiceDate, Quantity or UnitPrice in {counted(wrong[1], 'row')}, first row {wrong[0]}")
        connection.execute("""
            CREATE TABLE invoices AS
            SELECT
              customer,
              timezone('Europe/London', local_at) AS instant,
              concat('retail-', coalesce(customer, 'none'), '-', strftime(local_at, '%Y%m%dT%H%M%S')) AS id,
              bool_or(quantity > 0) AS is_order,
              coalesce(sum(quantity) FILTER (quantity > 0), 0)::BIGINT AS items,
              coalesce(sum(quantity * price) FILTER (quantity > 0 AND price >= 0), 0)::DECIMAL(18, 4) AS bought,
              coalesce(-sum(quantity * price) FILTER (quantity < 0 AND price >= 0), 0)::DECIMAL(18, 4) AS returned,
              coalesce(sum(quantity * price) FILTER (quantity * price > 0), 0)::DECIMAL(18, 4) AS paid,
              coalesce(-sum(quantity * price) FILTER (quantity * price < 0), 0)::DECIMAL(18, 4) AS refunded
            FROM priced
            GROUP BY customer, local_at
        """)
        connection.execute("""
            CREATE TABLE orders AS
            SELECT
              timezone(getvariable('reporting_zone'), instant)::DATE AS day,
              id AS order_id,
              customer AS user_id,
              timezone('UTC', instant) AS ordered_at,
              bought AS amount,
              returned AS refunded_amount,
              'GBP' AS currency,
              items,
              'online' AS fulfilment,
              CASE WHEN is_order THEN 'completed' ELSE 'returned' END AS status
            FROM invoices
            WHERE customer IS NOT NULL
        """)
        connection.execute("""
            CREATE TABLE payments AS
            SELECT
              timezone(getvariable('reporting_zone'), instant)::DATE AS day,
              concat(id, '-', status) AS payment_id,
              customer AS user_id,
              timezone('UTC', instant) AS paid_at,
              'order' AS kind,
              amount,
              'GBP' AS currency,
              status
            FROM (
              SELECT *, unnest([paid, refunded]) AS amount, unnest(['succeeded', 'refunded']) AS status FROM invoices
            )
            WHERE amount > 0
        """)
        written = {
            "orders": write_days(connection, "orders", "order_id", "orders", out, NAME),
            "payments": write_days(connection, "payments", "payment_id", "payments", out, NAME),
        }
        (figures,) = connection.execute("""
            SELECT
              count(*),
              count(DISTINCT customer),
              count(*) FILTER (customer IS NULL),
              count(*) FILTER (quantity < 0),
              count(*) FILTER (quantity > 0 AND price < 0),
              sum(quantity * price),
              count(DISTINCT customer) FILTER (quantity > 0 AND price > 0),
              sum(quantity * price) FILTER (customer IS NOT NULL AND quantity > 0 AND price > 0)
            FROM priced
        """).fetchall()
        (balance,) = connection.execute("""
            SELECT sum(CASE status WHEN 'succeeded' THEN amount ELSE -amount END), count(*) FILTER (status = 'refunded')
            FROM payments
        """).fetchall()
    lines, customers, anonymous, negative, debts, total, buyers, sales = figures
    notes = (
        f"lines read: {lines:,}",
        f"customers, counted over all lines that name one: {customers:,}",
        f"lines without a customer, in payments alone: {anonymous:,}",
        f"lines with a negative quantity: {negative:,}",
        f"lines with a positive quantity and a negative price, in payments alone as refunds: {debts:,}",
        f"sum of Quantity × UnitPrice over all lines, GBP: {total or 0:,.2f}",
        f"customers of the lines with a customer, Quantity > 0 and UnitPrice > 0: {buyers:,}",
        f"sum of Quantity × UnitPrice over those lines, GBP: {sales or 0:,.2f}",
        f"payments written, succeeded − refunded, GBP: {balance[0] or 0:,.2f}, of them refunds: {balance[1]:,}",
    )
    return AdapterReport(NAME, lines, written, notes)
