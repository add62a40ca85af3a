"""Which part of a model runs on the accelerator."""

from dataclasses import asdict

from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Coverage:
    """The part of a model that runs on the accelerator, of one inference of its program.

    MACs count every Conv, ConvTranspose, Gemm and MatMul, quantized or not; operators are the ONNX
    nodes that remain at run time.
    """

    macs_accelerator: int
    macs_total: int
    operators_accelerator: int
    operators_total: int

    @property
    def macs_share(self) -> float | None:
        """None where the model multiplies nothing."""
        return self.macs_accelerator / self.macs_total if self.macs_total else None

    def as_dict(self) -> dict[str, int]:
        """Return JSON-able values."""
        return asdict(self)
