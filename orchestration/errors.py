"""The errors that callers of Northstar catch, under a name that stays whatever moves inside.

Belongs here: nothing but these names. Does not belong here: raising or defining an error (`base.errors`).
"""

from orchestration.base.errors import NorthstarError, UserError

__all__ = ["NorthstarError", "UserError"]
