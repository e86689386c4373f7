"""Estimators of the growth platform, in the manner of scikit-learn: frames in, results and bytes out.

Belongs here: features as data, models, their training, their evaluation and their artefacts. Does not belong here: orchestration,
SQL, databases and file paths; the callers bring frames and store bytes.
"""
