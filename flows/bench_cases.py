"""What `tilewright bench` runs, beside the figures of Gemmini's RTL.

Gemmini's cycles were measured on its own RTL in Verilator: 16x16, int8, 320 KiB of SRAM, 16
bytes/cycle, latency 64, cold start, from the first command to idle. "Library" is its own software,
"best" the best of a few tilings tried by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LATENCY = 64
"""DRAM latency in cycles where a case does not say."""
PEER_ARRAY = (16, 16)
"""The array of the peer's figures."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kernel of `flows.kernels`, or with `model` an ONNX file."""

    name: str
    kind: str = ""
    sizes: tuple[int, ...] = ()
    latency: int = LATENCY
    gemmini_library: int | None = None
    """Cycles."""
    gemmini_best: int | None = None
    model: Path | None = None


def kernel(
    name: str,
    kind: str,
    sizes: Sequence[int],
    library: int | None,
    best: int | None = None,
    latency: int = LATENCY,
) -> Case:
    """Return the case of a kernel; without `best`, nothing better than the library was found."""
    return Case(
        name=name,
        kind=kind,
        sizes=tuple(sizes),
        latency=latency,
        gemmini_library=library,
        gemmini_best=best or library,
    )


KERNELS: tuple[Case, ...] = (
    kernel("GEMM 64^3", "gemm", (64, 64, 64), 2_155),
    kernel("GEMM 50x70x100", "gemm", (50, 70, 100), 4_028),
    kernel("GEMM 8x768x768", "gemm", (8, 768, 768), 83_536, 53_619),
    kernel("GEMM 1x768x768", "gemm", (1, 768, 768), 82_914, 52_483),
    kernel("GEMM 256^3", "gemm", (256, 256, 256), 70_361, 67_905),
    kernel("depthwise 3x3 56x56x128", "depthwise", (128, 3, 56, 56), 3_281_464),
    kernel("GEMM 64x768x768", "gemm", (64, 768, 768), 157_805, 151_089),
    kernel("GEMM 64x768x768, latency 200", "gemm", (64, 768, 768), 283_569, None, 200),
    kernel("conv 1x1 28x28x512 -> 256", "conv", (512, 256, 1, 28, 28), 406_521),
    kernel("conv 3x3 56x56x64 -> 64", "conv", (64, 64, 3, 56, 56), 469_177, 466_354),
    kernel("conv 3x3 14x14x256 -> 256", "conv", (256, 256, 3, 14, 14), 557_622, 462_480),
    kernel("conv 3x3 7x7x512 -> 512", "conv", (512, 512, 3, 7, 7), 730_314, 584_924),
    kernel("GEMM 512^3", "gemm", (512, 512, 512), 542_683, 530_449),
)
"""The short ones first."""
NUM_QUICK = 3
"""Kernels of --quick: the first ones."""


def model_name(path: Path) -> str:
    """Return a model's name: its file's, or its folder's where the file is called model.onnx."""
    stem = path.stem
    return path.resolve().parent.name if stem == "model" else stem
