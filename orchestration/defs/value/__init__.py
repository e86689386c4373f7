"""Lifetime values: predicted nightly."""
