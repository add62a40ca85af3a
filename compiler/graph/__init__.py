"""The quantized graph and its passes."""
