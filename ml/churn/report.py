"""A model's card and a drift comparison for people: a page of Markdown and pictures.

Belongs here: texts and plots from a card and a `Drift`. Does not belong here: computing figures, and files: it returns bytes.
The same input gives the same bytes: no date, no name of the software and no random identifier is written into a picture.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ml.churn.drift import Drift

Format = Literal["png", "svg"]

_RIVALS = (
    "Rivals: base_rate is the fit slice's rate of churn for everyone, recent_rate the calibration slice's, "
    "usage_rule the fit slice's rates where usage is down and where it is not."
)

_INK, _MODEL, _ALARM = "#555555", "#1f5fa8", "#c0392b"
_SALT = "northstar"


def markdown(card: Mapping[str, Any], drift: "Drift | None" = None, pictures: Mapping[str, str] | None = None) -> str:
    """Describe a model's card (see `artifact.card`) and the drift of its scored rows in Markdown.

    pictures: addresses of `reliability`, `lift` and `drift`; those that are given stand beside their figures, with a text for
    who does not see them.
    """
    pictures = pictures or {}
    choice, label, window = card["choice"], card["label"], card["data_window"]
    gain, (low, high) = card["log_loss_gain"]["mean"], card["log_loss_gain"]["interval_90"]
    parts = [
        f"# Churn model {card['model_id']}",
        f"Verdict: {card['decision']['reason']}.",
        f"{label['definition']} ({label['window_days']} days).",
        f"Data from {window['from']} to {window['to']}; {window['open_rows']:,} rows whose label is still open were not used.",
        "## Slices",
        _slices(card["slices"]),
        "## Candidates",
        f"Chosen: **{choice['kind']}**, {choice['reason']}.",
        *([_figures(choice["figures"])] if choice["figures"] else []),
        "## On the newest closed dates",
        _figures({card["model_id"]: card["metrics"], **card["baselines"]}),
        _RIVALS,
        f"Log-loss gained on the base rate: {_number(gain)}, 90 % interval {_number(low)} to {_number(high)}.",
        *_picture(pictures, "reliability", _reliability_in_words(card)),
        "Tenths of the rows by predicted probability:",
        _calibration(card["metrics"]["bins"]),
        *_picture(pictures, "lift", _lift_in_words(card)),
        "## At earlier origins",
        *_rolling(card),
    ]
    if drift is not None:
        verdict, *rest = _drift(drift)
        parts += ["## Drift", verdict, *_picture(pictures, "drift", f"Stability index of each column. {verdict}"), *rest]
    return "\n\n".join(parts) + "\n"


def reliability_plot(card: Mapping[str, Any], *, image: Format = "png") -> bytes:
    """Draw the churn rate over the mean prediction of each tenth of the test slice; on the diagonal they agree."""
    figure, axes = _figure("Reliability on the newest closed dates", "predicted probability", "churn rate")
    bins = card["metrics"]["bins"]
    predicted, happened = [each["probability_mean"] for each in bins], [each["churn_rate"] for each in bins]
    end = 1.05 * max(*predicted, *happened)
    axes.plot([0, end], [0, end], color=_INK, linewidth=1, linestyle="--")
    axes.plot(predicted, happened, color=_MODEL, marker="o")
    axes.set_xlim(0, end)
    axes.set_ylim(0, end)
    return _bytes(figure, image)


def lift_plot(card: Mapping[str, Any], *, image: Format = "png") -> bytes:
    """Draw the share of churns found over the share of accounts contacted, highest prediction first."""
    figure, axes = _figure("Churns found on the newest closed dates", "share of accounts", "share of churns")
    lift = card["metrics"]["lift"]
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle="--")
    axes.plot([0, *(each["share"] for each in lift)], [0, *(each["found"] for each in lift)], color=_MODEL, marker="o")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    return _bytes(figure, image)


def drift_plot(drift: "Drift", *, image: Format = "png") -> bytes:
    """Draw each column's population stability index, the farthest on top, with the threshold."""
    columns = sorted(drift.columns, key=lambda column: (column.psi, column.name))
    figure, axes = _figure(
        "Drift against what the model learnt from", "population stability index", "", height=1 + 0.26 * len(columns)
    )
    colours = [_ALARM if drift.drifted is not None and column.name in drift.drifted else _MODEL for column in columns]
    axes.barh([column.name for column in columns], [column.psi for column in columns], color=colours)
    axes.axvline(drift.threshold, color=_INK, linewidth=1, linestyle="--")
    axes.text(drift.threshold, 0, f" {_number(drift.threshold)} or more: drifted", color=_INK, va="center")
    axes.margins(y=0.01)
    return _bytes(figure, image)


def _picture(pictures: Mapping[str, str], name: str, words: str) -> list[str]:
    # Brackets end Markdown's alternative text; no name of a column has them.
    return [f"![{words}]({pictures[name]})"] if name in pictures else []


def _reliability_in_words(card: Mapping[str, Any]) -> str:
    low, high = card["metrics"]["bins"][0], card["metrics"]["bins"][-1]
    return (
        "Reliability, churn rate over predicted probability: "
        f"{_number(low['churn_rate'])} at {_number(low['probability_mean'])} in the lowest group of rows, "
        f"{_number(high['churn_rate'])} at {_number(high['probability_mean'])} in the highest."
    )


def _lift_in_words(card: Mapping[str, Any]) -> str:
    found = {each["share"]: each["found"] for each in card["metrics"]["lift"]}
    shares = ", ".join(f"{found[share]:.0%} in the first {share:.0%}" for share in (0.1, 0.2, 0.5) if share in found)
    return f"Churns found, highest prediction first: {shares or 'nobody churned'}."


def _slices(slices: Mapping[str, Mapping[str, Any]]) -> str:
    return _table(
        ("slice", "from", "to", "dates", "rows", "churned accounts", "staying accounts"),
        [
            (name, part["from"], part["to"], part["dates"], part["rows"], part["churned_accounts"], part["staying_accounts"])
            for name, part in slices.items()
        ],
    )


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> str:
    names = {
        "log_loss": "log-loss",
        "brier": "Brier",
        "auc": "AUC",
        "average_precision": "average precision",
        "calibration_slope": "slope",
        "calibration_intercept": "intercept",
        "top_decile_lift": "lift in the top tenth",
    }
    return _table(("", *names.values()), [(who, *(metrics[name] for name in names)) for who, metrics in figures.items()])


def _calibration(bins: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ("rows", "predicted", "churn rate"), [(each["rows"], each["probability_mean"], each["churn_rate"]) for each in bins]
    )


def _rolling(card: Mapping[str, Any]) -> list[str]:
    rolling, intervention = card["rolling_origin"], card["parameters"]["intervention"]
    if rolling["pooled"] is None:
        return ["History is too short for an earlier origin."]
    named = {f"{origin['window_from']} to {origin['window_to']}": origin for origin in rolling["origins"]}
    rows = {**named, "pooled": rolling["pooled"]}
    money = {name: row["money"] for name, row in rows.items()}
    cost, success = _number(intervention["cost_usd"]), _number(intervention["success_rate"])
    return [
        _figures({name: row["metrics"] for name, row in rows.items()}),
        f"Money, when the tenth with the highest probability × MRR is contacted at {cost} USD each, success rate {success}:",
        _table(
            ("", "contacted", "of them churned", "MRR lost, USD", "MRR saved, USD", "cost, USD", "net, USD"),
            [
                (
                    name,
                    each["contacted"],
                    each["contacted_churned"],
                    *(f"{each[key]:,.2f}" for key in ("mrr_lost_usd", "mrr_saved_usd", "cost_usd", "net_usd")),
                )
                for name, each in money.items()
            ],
        ),
    ]


def _drift(drift: "Drift") -> list[str]:
    if drift.drifted is None:
        verdict = f"No verdict: {drift.rows:,} rows, {drift.minimum_rows:,} are needed."
    elif drift.drifted:
        verdict = f"Drifted (index of {_number(drift.threshold)} or more): {', '.join(drift.drifted)}."
    else:
        verdict = f"Nothing drifted: every index is below {_number(drift.threshold)}."
    return [
        verdict,
        *(f"Off the schema: {message}." for message in drift.off_schema.values()),
        _table(
            ("column", "stability index", "share NULL", "share NULL then", "rows out of range"),
            [
                (column.name, column.psi, column.null_share, column.reference_null_share, column.out_of_range)
                for column in sorted(drift.columns, key=lambda column: (-column.psi, column.name))
            ],
        ),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    # Names stand on the left, figures on the right, with as many decimals in each row.
    rules = ["---", *["---:"] * (len(head) - 1)]
    lines = [head, rules, *([f"{cell:.4f}" if isinstance(cell, float) else _number(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _figure(title: str, across: str, up: str, *, height: float = 4.0) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _bytes(figure: "Figure", image: Format) -> bytes:
    from matplotlib import rc_context

    if image not in ("png", "svg"):
        raise ValueError(f"a picture is written as png or svg, not {image!r}")
    target = io.BytesIO()
    with rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(target, format=image, metadata={"Date": None} if image == "svg" else {"Software": None})
    return target.getvalue()
