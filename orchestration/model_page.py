"""The champion as one page for people, inside the release: its card in words, its reliability, its lift and what has drifted.

Belongs here: the HTML, which stands alone (no script, font, style or image from anywhere). Does not belong here: the words and
pictures, which `ml.churn.report` makes of the card.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    from ml.churn.drift import Drift

_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Churn model {{ model_id }}</title>
<style>
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; color: #1c2430; background: #fff;
  font: 0.95rem/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; border-bottom: 1px solid #d9dee4; text-align: left; white-space: nowrap; }
img { max-width: 100%; }
</style>
</head>
<body>
{# Made by a renderer that lets no HTML through. #}{{ words | safe }}
{% for title, picture in pictures %}<img alt="{{ title }}" src="data:image/png;base64,{{ picture }}">
{% endfor %}</body>
</html>
"""


def render(card: Mapping[str, Any], drift: "Drift | None") -> str:
    """The page of a model, by its card, and of what it scored, by its drift; the same input gives the same bytes."""
    from base64 import b64encode

    from markdown_it import MarkdownIt

    from ml.churn import report

    pictures = [("Reliability", report.reliability_plot(card)), ("Lift", report.lift_plot(card))]
    if drift is not None:
        pictures.append(("Drift", report.drift_plot(drift)))
    words = MarkdownIt("commonmark", {"html": False}).enable("table").render(report.markdown(card, drift))
    return (
        jinja2.Environment(autoescape=True)
        .from_string(_TEMPLATE)
        .render(
            model_id=card["model_id"],
            words=words,
            pictures=[(title, b64encode(picture).decode()) for title, picture in pictures],
        )
    )
