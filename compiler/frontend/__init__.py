"""The compiler's front end: an ONNX model becomes a quantized graph and its border on the host."""

from tilewright.compiler.frontend.importer import ImportedModel, import_model
from tilewright.compiler.frontend.partition import HostOperator

__all__ = ["HostOperator", "ImportedModel", "import_model"]
