"""No file, class or signature grows beyond what a reader takes in."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("orchestration", "ml", "expectations")
FILE_LINES, CLASS_LINES, METHODS, PARAMETERS = 400, 250, 20, 8

# Larger than the law allows, each with its reason; an entry that is no longer needed fails the law as well.
ALLOWED = {"orchestration/landing/ingest.py:ingest": "scripts of sites call it by these nine names"}


def oversized(folder: Path) -> Iterator[tuple[str, str]]:
    """What is too large in the packages of a folder: its address, and by how much."""
    for path in sorted(found for package in PACKAGES for found in (folder / package).rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix()
        if (lines := len(text.splitlines())) > FILE_LINES:
            yield name, f"{lines} lines, at most {FILE_LINES}"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                methods = sum(isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) for member in node.body)
                if lines > CLASS_LINES or methods > METHODS:
                    yield f"{name}:{node.name}", f"{lines} lines and {methods} methods, at most {CLASS_LINES} and {METHODS}"
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
                count = len([parameter for parameter in parameters if parameter.arg not in ("self", "cls")])
                if count > PARAMETERS:
                    yield f"{name}:{node.name}", f"{count} parameters, at most {PARAMETERS}"


def test_nothing_is_too_large(repository: Path) -> None:
    found = dict(oversized(repository))
    assert {address: said for address, said in found.items() if address not in ALLOWED} == {}, "split it along its ideas"


def test_nothing_is_allowed_that_need_not_be(repository: Path) -> None:
    assert ALLOWED.keys() - dict(oversized(repository)).keys() == set(), "remove it from ALLOWED"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n" * 401, {"ml/a.py": "401 lines, at most 400"}),
        ("x = 1\n" * 400, {}),
        ("class A:\n" + "    x = 1\n" * 250, {"ml/a.py:A": "251 lines and 0 methods, at most 250 and 20"}),
        ("class A:\n" + "    x = 1\n" * 249, {}),
        (
            "class A:\n" + "".join(f"    def f{n}(self): ...\n" for n in range(21)),
            {"ml/a.py:A": "22 lines and 21 methods, at most 250 and 20"},
        ),
        ("class A:\n" + "".join(f"    def f{n}(self): ...\n" for n in range(20)), {}),
        ("def f(a, b, /, c, *d, e, f, g, h, **i): ...", {"ml/a.py:f": "9 parameters, at most 8"}),
        ("class A:\n    def f(self, a, b, c, d, *, e, f, g, h): ...", {}),
    ],
)
def test_a_planted_excess_is_found(tmp_path: Path, text: str, said: dict[str, str]) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "a.py").write_text(text)
    assert dict(oversized(tmp_path)) == said
