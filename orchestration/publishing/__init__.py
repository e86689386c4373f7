"""Releases of marts: built beside the current one, promoted whole, never changed afterwards.

Belongs here: what a release is on disk (`manifest`), how one becomes and stays the current one (`release`), where else it goes
(`postgres`), and who may write (`lock`). Does not belong here: judging the data (`expectations`), making it (`dbt_project`,
`ml`), or scheduling (`defs`).
"""
