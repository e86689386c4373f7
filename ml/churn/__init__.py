"""Churn: the probability that an account that pays on the as-of date stops paying within the next 30 days.

Belongs here: `features` (the schema), `model` (the estimator and scoring), `reasons` (what each indicator contributes), `slices`
(of time), `training` (the choice, the verdict), `rolling` (earlier origins), `evaluation` (figures of a set of probabilities),
`drift` (against what was learnt from), `artifact` (bytes, card, golden rows) and `report` (words and pictures). Does not belong
here: the SQL that computes the features (`int_churn__features` in the dbt project), and risk levels or actions, which are marts.
Nothing is imported at this level: scikit-learn is loaded by `ml.churn.model`, skops when an artefact is written or read,
matplotlib when a picture is drawn.
"""
