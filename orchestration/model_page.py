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
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Churn model {{ model_id }}</title>
<style>
:root { --text: #1c2430; --quiet: #5b6675; --page: #fff; --line: #d9dee4; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ed; --quiet: #9aa5b3; --page: #14181d; --line: #333c46; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 2rem 1.25rem 4rem; color: var(--text); background: var(--page);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .75rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem 0 .25rem 1.25rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; }
th { font-weight: 600; color: var(--quiet); }
img { display: block; max-width: 100%; padding: .5rem; background: #fff; border: 1px solid var(--line); border-radius: 8px; }
</style>
</head>
<body>
{# Made by a renderer that lets no HTML through. #}{{ words | safe }}</body>
</html>
"""


def render(card: Mapping[str, Any], drift: "Drift | None") -> str:
    """The page of a model, by its card, and of what it scored, by its drift; the same input gives the same bytes."""
    from base64 import b64encode

    from markdown_it import MarkdownIt

    from ml.churn import report

    pictures = {"reliability": report.reliability_plot(card), "lift": report.lift_plot(card)}
    if drift is not None:
        pictures["drift"] = report.drift_plot(drift)
    addresses = {name: f"data:image/png;base64,{b64encode(picture).decode()}" for name, picture in pictures.items()}
    words = MarkdownIt("commonmark", {"html": False}).enable("table").render(report.markdown(card, drift, addresses))
    return jinja2.Environment(autoescape=True).from_string(_TEMPLATE).render(model_id=card["model_id"], words=words)
