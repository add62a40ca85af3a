"""Write a quantized ImageNet network with seeded random weights (see flows/bench/networks.py).

python examples/make_network.py resnet50 -o resnet50.onnx
python examples/make_network.py mobilenetv2 -o mobilenetv2.onnx
"""

import argparse
from pathlib import Path

import onnx

from tilewright.flows.bench.networks import NETWORKS, make_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=list(NETWORKS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        onnx.save(make_network(arguments.network), arguments.output)
    except OSError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
