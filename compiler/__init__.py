"""From ONNX models to accelerator programs."""
