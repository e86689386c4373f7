"""Try newer versions of the libraries on whose private behaviour Northstar relies: `make upgrade`.

One library after the other gets the newest version that the other pins allow, in a scratch environment; its contract tests run
there. Prints one line per library: what it was tried with, and which contract broke. Exits 1 when one did.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = PROJECT / "tests" / "unit" / "contracts"

# Libraries that are released together, and the contract tests of each family.
FAMILIES = {
    "dagster": (("dagster", "dagster-dbt", "dagster-webserver"), "test_contract_event_log.py"),
    "dbt": (("dbt-core", "dbt-duckdb"), "test_contract_dbt.py"),
    "great-expectations": (("great-expectations",), "test_contract_gate.py"),
    "duckdb-engine": (("duckdb-engine", "sqlalchemy"), "test_contract_gate.py"),
    "scikit-learn": (("scikit-learn",), "test_contract_trees.py"),
}

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<extras>\[[^]]*\])?==(?P<version>\S+)")


def relaxed(pins: Iterable[str], libraries: Iterable[str]) -> list[str]:
    """Return the pins with those of some libraries opened upwards."""
    return [pin.replace("==", ">=") if (found := _PIN.fullmatch(pin)) and found["name"] in libraries else pin for pin in pins]


def broken(junit: str) -> Iterator[str]:
    """Yield the first line of what each failed test of a JUnit report says."""
    for case in ET.fromstring(junit).iter("testcase"):  # noqa: S314 (pytest has just written it)
        for fault in (*case.iter("failure"), *case.iter("error")):
            yield f"{case.get('name')}: {(fault.get('message') or 'failed').splitlines()[0]}"


def _run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def _try(python: Path, requirements: Path, family: str) -> tuple[str, list[str]]:
    """Install one family's newest versions and run its contract tests; returns what was tried and what broke."""
    libraries, tests = FAMILIES[family]
    # Only what is opened is raised: pip leaves alone what is pinned and already there.
    installed = _run(python, "-m", "pip", "install", "--quiet", "--upgrade", "--requirement", requirements)
    if installed.returncode:
        last = installed.stderr.strip().splitlines() or ["no message"]
        return ", ".join(libraries), [f"cannot be installed with the other pins: {last[-1]}"]
    asked = "import sys, importlib.metadata as found; print(', '.join(f'{name} {found.version(name)}' for name in sys.argv[1:]))"
    tried = _run(python, "-c", asked, *libraries).stdout.strip()
    report = requirements.with_suffix(".xml")
    done = _run(python, "-m", "pytest", "-q", f"--junitxml={report}", CONTRACTS / tests, PYTHONDONTWRITEBYTECODE="1")
    if not report.exists():
        return tried, [f"the tests could not run: {(done.stdout + done.stderr).strip().splitlines()[-1]}"]
    return tried, list(broken(report.read_text(encoding="utf-8")))


def main(chosen: list[str]) -> int:
    """Try the chosen families, or all; returns the exit code."""
    if unknown := set(chosen) - set(FAMILIES):
        print(f"unknown family {', '.join(sorted(unknown))}; known are {', '.join(FAMILIES)}")
        return 2
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = [*project["dependencies"], *(f"{name}=={version(name)}" for name in ("pytest", "filelock", "hypothesis"))]
    outcome = 0
    with tempfile.TemporaryDirectory(prefix="northstar-upgrade-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for family in chosen or FAMILIES:
            requirements = Path(folder, f"{family}.txt")
            requirements.write_text("\n".join(relaxed(pins, FAMILIES[family][0])), encoding="utf-8")
            tried, faults = _try(Path(folder, "bin", "python"), requirements, family)
            print(f"{'broken' if faults else 'holds':<8}{tried}", *(f"        {fault}" for fault in faults), sep="\n", flush=True)
            outcome |= bool(faults)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
