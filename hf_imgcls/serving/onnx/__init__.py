"""ONNX: the graph, the folder, preprocessing that other programs can follow, running it with onnxruntime."""
