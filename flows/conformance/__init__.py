"""The onnx package's backend suite on an accelerator: which of its cases run where, and how."""
