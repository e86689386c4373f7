"""Releases of marts: built beside the current one, promoted whole, never changed afterwards.

Belongs here: what a release is on disk (`layout`, `manifest`), how it is built (`candidate`), becomes and stays the current one
(`promotion`), is read (`release`) and goes (`retention`), where else it goes (`targets`), and who may write (`lock`); `store`
puts these together. Does not belong here: judging the data (`expectations`), making it (`dbt_project`, `ml`), or scheduling
(`defs`).
"""
