"""Recipes: schema, the stage table, planning and running."""
