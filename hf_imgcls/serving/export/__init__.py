"""Exports in any format: the folder they lie in, the check against the model, the table of formats."""
