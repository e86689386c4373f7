"""Personal columns of a source: ids and texts, and what erasure leaves in each.

Belongs here: the contract's `Personal` columns as SQL over the table `judged`. Does not belong here: which columns are personal
(`contract`), or finding erased ids (`rows`).
"""

from typing import TYPE_CHECKING

from orchestration.base.sql import identifier
from orchestration.landing.source import Column, Personal, Source, Type

if TYPE_CHECKING:
    pass

_KINDS = {Personal.USER: "user", Personal.ANONYMOUS: "anonymous", Personal.CONTACT: "contact"}
_HOST = r"(?i)^((?:[a-z][a-z0-9+.-]*:)?//)(?:[^/?#@]*@)?([^/?#]+)"


def columns_of(source: Source, *personal: Personal) -> list[str]:
    """Return the quoted columns of a source with one of these kinds of personal data."""
    return [identifier(column.name) for column in source.columns if column.personal in personal]


def other_id(source: Source) -> tuple[str, str] | None:
    """Return kind and column of the id that links rows without a user to a person; None if the source has none."""
    for column in source.columns:
        if column.personal in {Personal.ANONYMOUS, Personal.CONTACT}:
            return _KINDS[column.personal], identifier(column.name)
    return None


def ids_of(source: Source) -> list[tuple[str, str]]:
    """Return kind and column of every personal id."""
    users = [("user", column) for column in columns_of(source, Personal.USER, Personal.MENTION)]
    other = other_id(source)
    return [*users, other] if other else users


def owner_of(source: Source) -> tuple[str, str] | None:
    """Return SQL for the token of the row's owner, and the joins to `found` that it needs."""
    users = columns_of(source, Personal.USER)
    if not users:
        return None
    token, joins = "by_user.token", f"LEFT JOIN found AS by_user ON by_user.kind = 'user' AND by_user.id = judged.{users[0]}"
    if other := other_id(source):
        token = f"coalesce({token}, by_other.token)"
        joins += (
            f" LEFT JOIN found AS by_other ON by_other.kind = '{other[0]}' AND by_other.id = judged.{other[1]} "
            f"AND judged.{users[0]} IS NULL"
        )
    return token, joins


def erasures_of(source: Source) -> list[str]:
    """Return assignments that remove a row's personal data; `token` replaces its person's ids."""
    return [
        f"{identifier(column.name)} = {_erased(column, source)}" for column in source.columns if column.personal is not None
    ] + ["extra = NULL"]


def _erased(column: Column, source: Source) -> str:
    name = f"judged.{identifier(column.name)}"
    match column.personal:
        case Personal.USER | Personal.CONTACT:
            return "token"
        case Personal.PAGE:
            ids = columns_of(source, Personal.USER, Personal.ANONYMOUS)
            texts = (f"lower({name})", f"lower(try(url_decode({name})))")
            naming = " OR ".join(f"coalesce(contains({text}, lower(judged.{id_})), false)" for text in texts for id_ in ids)
            return f"CASE WHEN {naming} THEN NULL ELSE nullif(regexp_extract({name}, '^[^?#]*'), '') END"
        case Personal.REFERRER:
            return f"nullif(regexp_extract({name}, '{_HOST}', 1) || regexp_extract({name}, '{_HOST}', 2), '')"
        case _:
            return "''" if column.required else "NULL"


def texts_of(source: Source) -> list[tuple[str, str]]:
    """Return the text columns that may contain ids of anybody, each with its replacement if it contains an erased one."""
    texts = [("extra", "NULL")]
    for column in source.columns:
        if column.type in {Type.TEXT, Type.JSON} and (column.personal is not None or column.name.startswith("utm_")):
            left = "NULL" if column.personal is Personal.PAGE else _erased(column, source)
            texts.append((identifier(column.name), left))
    return texts
