"""The churn model: trained monthly, scored nightly."""
