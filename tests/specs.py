"""Declarations of marts made up for a test, as dbt would make them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from orchestration.marts import Column, MartSpec
from orchestration.publishing.facts import RunFacts
from orchestration.publishing.layout import new_release_id

# The marts of the project by name; filled once it is parsed, where a test folder asks for it.
SPECS: dict[str, MartSpec] = {}


def declare(
    marts: Sequence[str],
    *,
    order_by: Mapping[str, Sequence[str]] | None = None,
    comments: Mapping[str, tuple[str, Mapping[str, str]]] | None = None,
    pseudonyms: Mapping[str, Mapping[str, str]] | None = None,
    versions: Mapping[str, int] | None = None,
    published_until: Mapping[str, date] | None = None,
) -> list[MartSpec]:
    """One declaration per name; what is given by mart goes into the one that it names, columns are those that are spoken of."""
    return [
        MartSpec(
            name=mart,
            grain=tuple((order_by or {}).get(mart, ())),
            description=(comments or {}).get(mart, ("", {}))[0],
            columns=tuple(
                Column(name, "VARCHAR", described.get(name, ""), pseudonym=domains.get(name)) for name in {**described, **domains}
            ),
            version=(versions or {}).get(mart, 1),
            published_until=(published_until or {}).get(mart),
        )
        for mart in marts
        for described, domains in [((comments or {}).get(mart, ("", {}))[1], (pseudonyms or {}).get(mart, {}))]
    ]


def run_facts(**known: Any) -> RunFacts:
    """Facts of a run over data through 2026-11-20, but for those given; a release id is made where none is."""
    told = {"data_through": date(2026, 11, 20), "code_version": "1", **known}
    made = new_release_id(told["code_version"], told["data_through"])
    return RunFacts(**{"release_id": made, **told})
