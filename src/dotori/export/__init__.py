"""Exports of a model folder to files that other programs run."""
