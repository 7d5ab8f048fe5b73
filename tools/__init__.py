"""Maintenance of a checkout: `make reproduce`, and what is committed before a release."""
