"""What a new source, mart or adapter touches is what CONTRIBUTING.md lists: no other file of the product names one by hand."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from orchestration.landing.contract import CONTRACT

ROOMS = ("orchestration", "ml", "expectations", "dbt_project")
MART_FOLDER, ADAPTER_FOLDER = Path("dbt_project", "models", "marts"), Path("orchestration", "adapters")

# Mart → files that read it or are about it alone, each with its reason.
READERS = {
    ("mart_funnel__entry", "inputs.py"): "an input that fills other marts is counted in it",
    ("mart_restatements__release", "restatements.py"): "the ledger that the mart shows is made there",
    ("mart_restatements__release", "manifest.py"): "a docstring says where the figures are",
    ("mart_metric_tree__current", "seeds.yml"): "the description of a seed says where it is shown",
    ("mart_metric__daily", "metrics.py"): "the reference page of metrics links to it",
    ("mart_metric_tree__current", "metrics.py"): "the reference page of metrics links to it",
}
# Places of the checklist beside a mart's own SQL and YAML, and models that select from it.
LISTED = ("expectations/suites/", "expectations/corruptions.", "dbt_project/tests/")

# A source whose name is no common word: every file of the product that names it is found.
EXAMPLE = "wecom"
# Files that name it beside those of the checklist, each with its reason.
BESIDE = {
    "orchestration/simulator/wecom.py": "simulates it for company.py",
    "orchestration/simulator/parameters.py": "the channel of that name",
    "expectations/suites/revenue.py": "the channel of that name",
    "dbt_project/models/intermediate/identity/int_identity__channels.yml": "the channel of that name",
    "dbt_project/seeds/channel_rules.csv": "the channel of that name",
    "dbt_project/models/core/fct_wecom.sql": "its facts, for the marts that show them",
    "dbt_project/models/intermediate/delivery/int_delivery__facts.yml": "an example in a description",
    "dbt_project/seeds/metrics.csv": "metrics that are counted from it",
    "dbt_project/models/marts/metrics/mart_metric__daily.yml": "metrics that are counted from it",
}


def sources(folder: Path) -> Iterator[tuple[Path, str]]:
    """Path and text of every hand-written file of the product."""
    for room in ROOMS:
        for path in sorted((folder / room).rglob("*")):
            if path.suffix in {".py", ".sql", ".yml", ".csv"} and "target" not in path.parts:
                yield path.relative_to(folder), path.read_text(encoding="utf-8")


def named_elsewhere(folder: Path) -> list[str]:
    """Files that name a mart or an adapter and are not on its checklist."""
    marts = [path.stem for path in (folder / MART_FOLDER).rglob("*.sql")]
    adapters = [path.stem for path in (folder / ADAPTER_FOLDER).glob("*.py") if path.stem != "__init__"]
    found = []
    for path, text in sources(folder):
        is_model = Path("dbt_project", "models") in path.parents
        if not is_model and not path.as_posix().startswith(LISTED):
            found += [f"{path} names {mart}" for mart in marts if mart in text and (mart, path.name) not in READERS]
        if path.parent != ADAPTER_FOLDER:
            found += [f"{path} names {adapter}" for adapter in adapters if adapter in text]
    return found


def checklist(folder: Path, source: str) -> dict[str, bool]:
    """Paths of the checklist for a source; True where every source needs them, False after `If …`."""
    _, _, rest = (folder / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## Add a source\n")
    items = rest.partition("\n## ")[0].split("- [ ] ")[1:]
    return {
        path.replace("<source>", source): not item.startswith("If ")
        for item in items
        for path in re.findall(r"`([\w./<>]+/[\w.<>]*)`", item)
    }


def names_source(text: str, source: str) -> bool:
    return re.search(rf"(?<!\w)(stg_)?{source}(?!\w)", text) is not None


def not_done(folder: Path, source: str, paths: Iterable[str]) -> list[str]:
    """Those of the paths at which no file names a source."""
    found = []
    for path in paths:
        files = (folder / path).glob("*.*") if path.endswith("/") else [folder / path]
        if not any(file.is_file() and names_source(file.read_text(encoding="utf-8"), source) for file in files):
            found.append(path)
    return found


def not_listed(folder: Path, source: str) -> list[str]:
    """Files of the product that name a source and are not on its checklist."""
    listed = tuple(checklist(folder, source))
    return [
        path.as_posix() for path, text in sources(folder) if names_source(text, source) and not path.as_posix().startswith(listed)
    ]


@pytest.mark.parametrize("source", CONTRACT)
def test_every_source_is_where_the_checklist_says(repository: Path, source: str) -> None:
    paths = checklist(repository, source)
    assert not_done(repository, source, (path for path, is_needed in paths.items() if is_needed or source == EXAMPLE)) == []


def test_no_other_file_names_the_example_source(repository: Path) -> None:
    assert set(not_listed(repository, EXAMPLE)) == set(BESIDE), "derive it from the contract, or add its place to the checklist"


@pytest.mark.parametrize(
    ("path", "text", "missing", "beside"),
    [
        ("orchestration/base/x.py", "SOURCES = ['visits']", [], ["orchestration/base/x.py"]),
        ("dbt_project/models/core/fct_x.sql", "from stg_visits", [], ["dbt_project/models/core/fct_x.sql"]),
        ("orchestration/night.py", "'visits'", [], []),
        ("orchestration/contract.py", "revisits, visits_of", ["orchestration/contract.py"], []),
        ("dbt_project/visits/stg_visits.sql", "", ["dbt_project/visits/"], []),
    ],
)
def test_a_planted_source_is_found(tmp_path: Path, path: str, text: str, missing: list[str], beside: list[str]) -> None:
    listed = (
        "- [ ] `orchestration/contract.py`: key.\n- [ ] `dbt_project/<source>/`: model.\n- [ ] If so: `orchestration/night.py`.\n"
    )
    for file, content in (
        ("CONTRIBUTING.md", f"# X\n\n## Add a source\n\n{listed}\n## Add a mart\n\n- [ ] `ml/y.py`\n"),
        ("orchestration/contract.py", "'visits'"),
        ("dbt_project/visits/stg_visits.sql", "visits"),
        (path, text),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
    needed = [path for path, is_needed in checklist(tmp_path, "visits").items() if is_needed]
    assert not_done(tmp_path, "visits", needed) == missing
    assert not_listed(tmp_path, "visits") == beside


def test_no_other_file_names_a_mart_or_an_adapter(repository: Path) -> None:
    assert named_elsewhere(repository) == [], "derive it from the mart's YAML, or add its place to the checklist"


def test_every_mart_has_its_yaml_and_its_rules(repository: Path) -> None:
    suites = "".join(path.read_text(encoding="utf-8") for path in (repository / "expectations" / "suites").glob("*.py"))
    marts = sorted((repository / MART_FOLDER).rglob("*.sql"))
    assert marts
    for mart in marts:
        assert mart.with_suffix(".yml").is_file(), mart
        assert f'"{mart.stem}"' in suites, mart


def test_every_exception_is_still_needed(repository: Path) -> None:
    files = list(sources(repository))
    for mart, name in READERS:
        assert any(path.name == name and mart in text for path, text in files), (mart, name)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("orchestration/night.py", "if mart == 'mart_x__daily':", ["orchestration/night.py names mart_x__daily"]),
        ("orchestration/cli/landing.py", "import toy_shop", ["orchestration/cli/landing.py names toy_shop"]),
        ("expectations/suites/x.py", 'X = "mart_x__daily"', []),
        ("dbt_project/models/marts/x/mart_y.sql", "select * from {{ ref('mart_x__daily') }}", []),
        ("orchestration/adapters/__init__.py", "toy_shop", []),
    ],
)
def test_a_planted_name_is_found(tmp_path: Path, path: str, text: str, said: list[str]) -> None:
    for file, content in (
        ("dbt_project/models/marts/x/mart_x__daily.sql", "select 1"),
        ("orchestration/adapters/toy_shop.py", "NAME = 'toy_shop'"),
        (path, text),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
    assert named_elsewhere(tmp_path) == said
