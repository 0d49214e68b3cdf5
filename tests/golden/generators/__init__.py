"""Generators of the golden files; `make_golden.py` describes what they write."""
