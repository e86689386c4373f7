"""Releases of marts: built beside the current one, promoted atomically, never changed afterwards.

Belongs here: a release on disk (`layout`, `manifest`), building it (`candidate`), making it current (`promotion`), reading it
(`release`), removing it (`retention`), copying it to other systems (`targets`), and the writer's lock (`lock`); `store`
combines these. Does not belong here: judging the data (`expectations`), computing it (`dbt_project`, `ml`), or scheduling
(`defs`).
"""
