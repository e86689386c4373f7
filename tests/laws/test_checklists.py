"""What a new mart or adapter touches is what CONTRIBUTING.md lists: no other file of the product names one by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
