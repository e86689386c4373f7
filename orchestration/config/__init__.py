"""Configuration: what a site has set, from one TOML file and the environment.

Belongs here: every key with its default and its check (`schema`, `tables`), reading them (`loading`), and what one process was
started with (`settings`). Does not belong here: anything that acts on a setting.
"""
