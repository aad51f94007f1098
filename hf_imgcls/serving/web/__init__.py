"""A folder that a browser runs: page, graph, and preprocessing that reproduces the model's own."""
