"""An exported folder: its graph, its preprocessing in words, the proof that it answers as its model does."""
