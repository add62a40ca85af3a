"""The window that MATRIX and VECTOR move over a source, and DEPTHWISE in part."""

from tilewright.hw.spec.isa import Instruction, bits, count
from tilewright.hw.spec.loops import Axis, Loop
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Window(Instruction):
    """Window of an output pixel: kernel positions of a source of height x width pixels."""

    kernel_height: int = count(10, "window rows (ky loop)", unit="pixels")
    kernel_width: int = count(10, "window columns (kx loop)", unit="pixels")
    out_height: int = count(14, "output rows (y loop)", unit="pixels")
    out_width: int = count(14, "output columns (x loop)", unit="pixels")
    stride_y: int = bits(8, "source step of an output row", unit="pixels")
    stride_x: int = bits(8, "source step of an output column", unit="pixels")
    dilation_y: int = bits(8, "source step of a window row", unit="pixels")
    dilation_x: int = bits(8, "source step of a window column", unit="pixels")
    origin_y: int = bits(
        14, "source row of the first window's first row", unit="pixels", signed=True
    )
    origin_x: int = bits(
        14, "source column of the first window's first column", unit="pixels", signed=True
    )
    height: int = bits(14, "rows of the source buffer", unit="pixels")
    width: int = bits(14, "columns of the source buffer", unit="pixels")
    padding: int = bits(8, "int8 value fed for source pixels outside the buffer", signed=True)

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.out_height * self.out_width

    @property
    def kernel(self) -> int:
        """Source pixels of a window."""
        return self.kernel_height * self.kernel_width

    @property
    def kernel_loops(self) -> tuple[Loop, Loop]:
        """The ky and kx loops."""
        return (
            Loop(count=self.kernel_height, stride=self.dilation_y, along="y"),
            Loop(count=self.kernel_width, stride=self.dilation_x, along="x"),
        )

    @property
    def pixel_loops(self) -> tuple[Loop, Loop]:
        """The y and x loops over the source."""
        return (
            Loop(count=self.out_height, stride=self.stride_y, along="y"),
            Loop(count=self.out_width, stride=self.stride_x, along="x"),
        )

    def frame(self, pitch: int) -> tuple[Axis, Axis]:
        """Return the source's axes, a row being `pitch` words."""
        return (
            Axis(name="y", origin=self.origin_y, size=self.height, pitch=pitch),
            Axis(name="x", origin=self.origin_x, size=self.width, pitch=1),
        )
