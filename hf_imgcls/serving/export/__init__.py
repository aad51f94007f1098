"""Exports in any format: their folder, the check against the model, the table of formats."""
