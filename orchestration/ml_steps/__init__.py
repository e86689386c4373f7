"""The ML steps of a night: each reads intermediate models and writes tables of the schema `ml`.

Belongs here: the protocol of a step, the registry, the store of trained models, and one module per step. Does not belong here:
the estimators themselves (`ml`), and Dagster's view of a step (`defs.ml_steps`).
"""
