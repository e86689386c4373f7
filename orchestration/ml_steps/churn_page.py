"""The champion's page in a release: its card as text, its reliability, its lift and drift.

Belongs here: the contents of the page. Does not belong here: its frame (`expectations.html`), and the texts and pictures, which
`ml.churn.report` makes from the card.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from expectations import html

if TYPE_CHECKING:
    from ml.churn.drift import Drift

_TEMPLATE = """\
{% extends "base.html" %}
{% block title %}Churn model {{ model_id }}{% endblock %}
{% block sources %}; img-src data:{% endblock %}
{% block style %}
body { max-width: 66rem; overflow-wrap: anywhere; }
table { display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem 0 .25rem 1.25rem; white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; }
img { display: block; max-width: 100%; padding: .5rem; background: #fff; border: 1px solid var(--line); border-radius: 8px; }
{% endblock %}
{% block body %}
{# Made by a renderer that lets no HTML through. #}{{ words | safe }}
{% endblock %}
"""


def render(card: Mapping[str, Any], drift: "Drift | None") -> str:
    """The page of a model's card and of the drift of its scored accounts; the same input gives the same bytes."""
    from base64 import b64encode

    from markdown_it import MarkdownIt

    from ml.churn import report

    pictures = {"reliability": report.reliability_plot(card), "lift": report.lift_plot(card)}
    if drift is not None:
        pictures["drift"] = report.drift_plot(drift)
    addresses = {name: f"data:image/png;base64,{b64encode(picture).decode()}" for name, picture in pictures.items()}
    words = MarkdownIt("commonmark", {"html": False}).enable("table").render(report.markdown(card, drift, addresses))
    return html.render(_TEMPLATE, model_id=card["model_id"], words=words)
