"""Who may import whom, who may read the environment, and what must not be loaded to answer quickly.

The import contracts are in `pyproject.toml`, section `tool.importlinter`.
"""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

PACKAGES = ("orchestration", "ml", "expectations")

# Modules beside `orchestration.config` that touch the environment, each with its reason.
ENVIRONMENT_EXCEPTIONS = {
    "expectations/engine.py": "Great Expectations reads GX_ANALYTICS_ENABLED while it is imported; the gate may be used alone",
}

# Contract → a module and an import in it that breaks the contract.
VIOLATIONS = [
    ("independent-rooms", "ml/churn/model.py", "import expectations.checks"),
    ("independent-rooms", "orchestration/publishing/release.py", "from orchestration.landing.contract import CONTRACT"),
    ("independent-rooms", "orchestration/landing/ingest.py", "def late():\n    from orchestration.publishing import release"),
    ("independent-rooms", "orchestration/adapters/online_retail.py", "from orchestration.landing.contract import CONTRACT"),
    ("simulator-knows-the-contract", "orchestration/simulator/zone.py", "from orchestration.landing.lake import Lake"),
    ("landing-zones-behind-commands", "orchestration/night/intake.py", "from orchestration.adapters import ADAPTERS"),
    ("landing-zones-behind-commands", "orchestration/landing/ingest.py", "from orchestration.simulator import simulate"),
    ("rooms-without-orchestrator", "expectations/gate.py", "import dagster as dg"),
    ("rooms-without-orchestrator", "orchestration/landing/lake.py", "from dagster_dbt import DbtCliResource"),
    ("rooms-without-orchestrator", "ml/churn/training.py", "def late():\n    from dbt.cli.main import dbtRunner"),
    ("rooms-without-orchestrator", "orchestration/publishing/lock.py", "from orchestration.defs import partitions"),
    ("rooms-below-orchestration", "expectations/report.py", "from orchestration.base.errors import NorthstarError"),
    ("models-without-warehouse", "ml/churn/features.py", "import duckdb"),
    ("night-without-dagster", "orchestration/night/run.py", "from orchestration.defs.resources import WAREHOUSE_POOL"),
    ("night-without-dagster", "orchestration/warehouse/dbt.py", "import dagster"),
    ("floors-go-down", "orchestration/warehouse/dbt.py", "from orchestration.night.state import RunState"),
    ("floors-go-down", "orchestration/landing/lake.py", "from orchestration.config.schema import Config"),
    ("defs-behind-definitions", "orchestration/cli/nights.py", "from orchestration.defs.owners import Owner"),
    ("defs-behind-definitions", "orchestration/reference/generation.py", "from orchestration.defs import jobs"),
    ("definitions-behind-entry-points", "orchestration/serving.py", "from orchestration.definitions import build"),
]


def lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages of a folder under the project's contracts, or some of them."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    chosen = [argument for contract in contracts for argument in ("--contract", contract)]
    return subprocess.run(
        [sys.executable, "-c", command, "--config", "pyproject.toml", "--no-cache", "--no-logo", *chosen],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def contracts_of(repository: Path) -> dict[str, str]:
    """Import contracts of the project: id → name."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract["name"] for contract in project["tool"]["importlinter"]["contracts"]}


@pytest.fixture
def empty_modules(repository: Path, tmp_path: Path) -> Path:
    """A folder with every module of the project, all empty, under the project's contracts."""
    (tmp_path / "pyproject.toml").write_bytes((repository / "pyproject.toml").read_bytes())
    for package in PACKAGES:
        for path in (repository / package).rglob("*.py"):
            target = tmp_path / path.relative_to(repository)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    # One module of the rooms' surroundings uses Dagster, so that reaching it the long way round is a violation too.
    (tmp_path / "orchestration" / "defs" / "partitions.py").write_text("import dagster\n")
    (tmp_path / "orchestration" / "defs" / "resources.py").write_text("import dagster\n")
    return tmp_path


def test_the_project_keeps_every_import_contract(repository):
    result = lint(repository)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(contracts_of(repository))} kept, 0 broken." in result.stdout


def test_the_copy_to_break_keeps_every_import_contract(empty_modules):
    result = lint(empty_modules)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "module", "violation"), VIOLATIONS, ids=[f"{v[0]}-{v[1]}" for v in VIOLATIONS])
def test_an_import_contract_catches_its_violation(repository, empty_modules, contract, module, violation):
    assert (empty_modules / module).is_file(), f"{module} is gone; choose another module to break"
    with (empty_modules / module).open("a") as file:
        file.write(f"{violation}\n")
    result = lint(empty_modules, contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contracts_of(repository)[contract]} BROKEN" in result.stdout


def test_every_import_contract_has_a_violation_that_it_catches(repository):
    assert set(contracts_of(repository)) == {contract for contract, _, _ in VIOLATIONS}


def imports_beyond(root: Path, package: str) -> set[str]:
    """Imports of the orchestration, in the files of one of its packages, that leave that package."""
    found = set()
    for path in (root / package.replace(".", "/")).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
            else:
                continue
            found |= {
                f"{path.name}: {name}"
                for name in names
                if name.startswith(("orchestration.", ".")) and not name.startswith(f"{package}.")
            }
    return found


def test_base_imports_nothing_else_of_the_orchestration(repository):
    assert imports_beyond(repository, "orchestration.base") == set()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import orchestration.config.settings", "sly.py: orchestration.config.settings"),
        ("from orchestration import reference", "sly.py: orchestration.reference"),
        ("def late():\n    from orchestration.landing.lake import Lake", "sly.py: orchestration.landing.lake.Lake"),
        ("from .. import config", "sly.py: ...config"),
    ],
)
def test_an_import_of_base_that_leaves_it_is_found(tmp_path, text, said):
    base = tmp_path / "orchestration" / "base"
    base.mkdir(parents=True)
    (base / "sly.py").write_text(text)
    (base / "innocent.py").write_text("import os\nfrom orchestration.base import sql\n")
    assert imports_beyond(tmp_path, "orchestration.base") == {said}


def environment_users(root: Path, packages: Iterable[str] = PACKAGES) -> set[str]:
    """Files that read or write the process environment, by any spelling of it, relative to the root."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    found = set()
    for path in (path for package in packages for path in (root / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            taken = isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names}
            if taken or (isinstance(node, ast.Attribute) and node.attr in names):
                found.add(path.relative_to(root).as_posix())
    return found


def test_only_the_configuration_uses_the_environment(repository):
    readers = {"orchestration/config/loading.py", "orchestration/config/settings.py"}
    assert environment_users(repository) == readers | {*ENVIRONMENT_EXCEPTIONS}


@pytest.mark.parametrize(
    "text",
    [
        "import os\nHOME = os.environ['HOME']\n",
        "import os as system\nHOME = system.environ.get('HOME')\n",
        "import os\n\ndef home():\n    return os.getenv('HOME')\n",
        "from os import environ\n",
        "from os import path, getenv as read\n",
    ],
)
def test_a_use_of_the_environment_is_found(tmp_path, text):
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "sly.py").write_text(text)
    (tmp_path / "ml" / "innocent.py").write_text('"""Says os.environ, reads nothing."""\nimport os\n\nHERE = os.getcwd()\n')
    assert environment_users(tmp_path, ["ml"]) == {"ml/sly.py"}


def loaded(folder: Path, statements: str, watched: Iterable[str], **environment: str) -> set[str]:
    """Which of the watched modules a fresh process has loaded after some statements, started in a folder."""
    script = f"import sys\n{statements}\nprint(*[name for name in {sorted(watched)!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_the_command_line_starts_without_heavy_libraries(repository):
    heavy = ("dagster", "dbt", "great_expectations", "sklearn", "pandas")
    assert loaded(repository, "import orchestration.cli", heavy) == set()


def test_the_code_location_loads_without_what_single_stages_need(configured):
    heavy = ("great_expectations", "sklearn", "dbt.cli", "dagster")
    statements = (
        "from orchestration.definitions import build\nfrom orchestration.config.loading import load\n"
        "assert build(load()).resolve_all_asset_specs()"
    )
    found = loaded(configured.home, statements, heavy, NORTHSTAR_HOME=str(configured.home), NORTHSTAR_CONFIG="")
    assert found == {"dagster"}


def test_a_loaded_library_is_found(tmp_path):
    assert loaded(tmp_path, "def use():\n    import pandas\nuse()", ("pandas", "sklearn")) == {"pandas"}
