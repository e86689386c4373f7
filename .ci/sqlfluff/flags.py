"""dbt's flags as a night that folds has them."""

FULL_REFRESH = False
