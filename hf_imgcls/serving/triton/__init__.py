"""A model repository of Triton Inference Server: configuration, graph, labels, a client."""
