"""Evaluations that run on any Scorer."""
