"""The list of generated pages, and their comparison with the files of a checkout.

Belongs here: collecting, comparing and writing pages. Does not belong here: their text (a module per page).
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from expectations import corruptions
from orchestration.base.errors import UserError
from orchestration.config.project import DBT_PROJECT
from orchestration.config.settings import Settings
from orchestration.landing.contract import CONTRACT
from orchestration.marts import read_specs
from orchestration.reference.commands import commands_page
from orchestration.reference.configuration import configuration_page
from orchestration.reference.flowchart import flowchart
from orchestration.reference.landing import LANDING_MACRO, landing_macro, landing_page
from orchestration.reference.markdown import NOTE
from orchestration.reference.marts import marts_page
from orchestration.reference.metrics import metrics, metrics_page
from orchestration.warehouse import dbt

# Layers in the lineage, for assets whose layer is not the first part of their key.
_LAYERS = {"lake": "ingest", "control": "ingest", "published": "release"}


def pages(configured: Settings) -> dict[Path, str]:
    """Return every generated page: path relative to the project → text. Needs a prepared dbt manifest."""
    from orchestration.cli import cli

    marts = read_specs(dbt.read_manifest(configured)).values()
    table = metrics(_seed("metrics"), _seed("targets"))
    reference = Path("docs", "reference")
    return {
        reference / "marts.md": marts_page(marts, flowchart(*_assets(configured))),
        reference / "landing.md": landing_page(CONTRACT.values()),
        reference / "configuration.md": configuration_page(),
        reference / "metrics.md": metrics_page(table),
        reference / "commands.md": commands_page(cli),
        Path(
            "dbt_project", "models", "marts", "metrics", "metrics.md"
        ): f"{{% docs metrics %}}\n{NOTE}\n{table}\n{{% enddocs %}}\n",
        Path("expectations", "corruptions.md"): corruptions.page(),
        LANDING_MACRO: landing_macro(CONTRACT.values()),
    }


def stale(folder: Path, current: Mapping[Path, str]) -> list[Path]:
    """Return the pages under `folder` that are missing or differ from `current`, in its order."""
    return [path for path, text in current.items() if _read(folder / path) != text]


def write(folder: Path, current: Mapping[Path, str]) -> list[Path]:
    """Write the pages that are stale under `folder` and return them."""
    changed = stale(folder, current)
    for path in changed:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(current[path], encoding="utf-8")
    return changed


def _seed(name: str) -> list[dict[str, str]]:
    with (DBT_PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _assets(configured: Settings) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Layers and parents of every table and file of the code location, without the readers of marts."""
    from orchestration.definitions import build

    every = build(configured).resolve_all_asset_specs()
    specs = {spec.key.to_user_string(): spec for spec in every if spec.key.path[0] != "exposures"}
    layers = {key: _LAYERS.get(key.split("/")[0], key.split("/")[0]) for key in specs}
    return layers, {key: [dep.asset_key.to_user_string() for dep in spec.deps] for key, spec in specs.items()}


def _read(page: Path) -> str | None:
    """Text of a page; None if it does not exist."""
    try:
        return page.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {page}: {error.strerror if isinstance(error, OSError) else error}") from error
