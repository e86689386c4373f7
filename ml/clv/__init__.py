"""Customer lifetime value: how long customers stay, how often they order, the value of an order, and the resulting total.

Belongs here: `inputs` (errors, checks at the door), `likelihood` (maximum likelihood and its uncertainty), the three models
`shifted_beta_geometric` (subscriptions), `beta_geo_nbd` (orders of shop customers) and `gamma_gamma` (their value),
`lifetime_value` (what customers are worth) and `cohorts` (the tables of one night). Does not belong here: the SQL that counts
periods and orders, margins and discount rates, which are settings, and the marts that keep the results. Nothing is imported at
this level.
"""
