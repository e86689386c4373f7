"""Customer lifetime value: models of tenure, order frequency and order value, and their combination.

Belongs here: `inputs` (errors, input checks), `likelihood` (maximum likelihood and its uncertainty), the models
`shifted_beta_geometric` (subscriptions), `beta_geo_nbd` (orders of shop customers) and `gamma_gamma` (order values),
`lifetime_value` (values of customers) and `cohorts` (the tables of one night). Does not belong here: the SQL that counts periods
and orders, settings (margins, discount rates), and the marts with the results. Nothing is imported at this level.
"""
