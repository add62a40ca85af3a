"""Write a single-layer int8 QDQ ONNX model with seeded random weights, for benchmarks.

    python examples/make_kernel.py gemm 512 512 512 -o gemm.onnx         (M, K, N)
    python examples/make_kernel.py conv 256 256 3 14 14 -o conv.onnx   (in, out, kernel, H, W)
    python examples/make_kernel.py depthwise 128 3 56 56 -o dw.onnx       (channels, kernel, H, W)

Graph input and output are int8, so nothing is left to the host. Convolutions have stride 1 and
padding kernel // 2.
"""

import argparse
from pathlib import Path

import onnx

from tilewright.flows.bench.kernels import KINDS, make_kernel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument(
        "sizes",
        type=int,
        nargs="+",
        help="gemm: M K N; conv: in out kernel height width; depthwise: channels kernel height "
        "width",
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        onnx.save(make_kernel(arguments.kind, arguments.sizes), arguments.output)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
