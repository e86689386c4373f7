"""The reference pages in `docs/reference`, each generated from the one place that states the facts.

Belongs here: their Markdown; also that of dbt's documentation page about metrics and of the page of corruptions that the gate
refuses, and the macro by which dbt knows the keys of the landing contract. Does not belong here: any fact about sources, marts,
metrics, settings or commands. Correct a wrong sentence where the fact is stated.
"""
