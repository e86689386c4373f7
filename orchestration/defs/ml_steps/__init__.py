"""The ML steps of the registry as assets and checks."""
