"""Churn: the probability that an account paying on the as-of date stops paying within the next 30 days.

Belongs here: `features` (the schema), `model` (the estimator and scoring), `reasons` (contribution of each indicator), `slices`
(of time), `training` (the choice, the verdict), `rolling` (earlier origins), `evaluation` (figures of a set of probabilities),
`drift` (against the training data), `artifact` (bytes, card, golden rows) and `report` (texts and pictures). Does not belong
here: the SQL that computes the features (`int_churn__features` in the dbt project), and risk levels or actions, which are
marts. Nothing is imported at this level: scikit-learn is loaded by `ml.churn.model`, skops when an artefact is written or read,
matplotlib when a picture is drawn.
"""
