"""The front end: an ONNX model becomes sections of quantized graphs and islands of the host."""
