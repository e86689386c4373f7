"""Configuration: a site's settings, from one TOML file and the environment.

Belongs here: every key with its default and its check (`schema`, `tables`), reading them (`loading`), and the settings of one
process (`settings`). Does not belong here: code that acts on a setting.
"""
