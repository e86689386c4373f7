"""What `make upgrade` asks to be installed, and what it says of a broken contract."""

import tomllib

import pytest
from trial import CONTRACTS, FAMILIES, PROJECT, broken, main, relaxed

PINS = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def test_only_the_tried_libraries_are_opened() -> None:
    assert relaxed(["a==1", "b[x]==2", "c>=3", "a-b==4"], ["a", "b"]) == ["a>=1", "b[x]>=2", "c>=3", "a-b==4"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_pinned_and_has_contract_tests(family: str) -> None:
    libraries, tests = FAMILIES[family]
    assert len([pin for pin in relaxed(PINS, libraries) if ">=" in pin]) == len(libraries)
    assert (CONTRACTS / tests).is_file()


def test_every_contract_is_tried() -> None:
    tests = {path.name for path in CONTRACTS.glob("test_contract_*.py")} - {"test_contract_pins.py"}
    assert {name for _, name in FAMILIES.values()} == tests


def test_a_broken_contract_is_told_in_one_line() -> None:
    junit = (
        '<testsuites><testsuite><testcase name="test_a"/><testcase name="test_b"><failure message="dbt-core 2.0 breaks'
        '&#10;more">trace</failure></testcase><testcase name="test_c"><error message=""/></testcase></testsuite></testsuites>'
    )
    assert list(broken(junit)) == ["test_b: dbt-core 2.0 breaks", "test_c: failed"]


def test_an_unknown_family_is_the_users_mistake(capsys) -> None:
    assert main(["dagstr"]) == 2
    assert "unknown family dagstr; known are dagster" in capsys.readouterr().out
