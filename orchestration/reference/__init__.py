"""The reference pages in `docs/reference`, each generated from the place that states the facts.

Belongs here: their Markdown; also dbt's documentation page about metrics, the page of corruptions that the gate refuses, and
the macro with the keys of the landing contract for dbt. Does not belong here: any fact about sources, marts, metrics, settings
or commands. Correct a wrong sentence where the fact is stated.
"""
