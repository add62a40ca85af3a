"""Values that no QuantizeLinear follows."""

import numpy as np

SHAPE = (1, 8, 12, 12)


def convolved(builder, shape=SHAPE, function="none"):
    weight = builder.weight((shape[1], shape[1], 3, 3), 0, around=2.0**-9)
    value = builder.node("Conv", [builder.activation(shape), weight], pads=[1, 1, 1, 1])
    return applied(builder, value, function)


def applied(builder, value, function):
    if function == "none":
        return value
    if function == "SiLU":
        return builder.node("Mul", [value, builder.node("Sigmoid", [value])])
    return builder.node(function, [value])


def quantized(builder, value, scale, zero_point=0):
    """An output of the model."""
    pair = [builder.constant(np.float32(scale)), builder.constant(builder.zero_point(zero_point))]
    builder.output(builder.node("QuantizeLinear", [value, *pair]))


def gated(builder, value, gate="HardSigmoid"):
    """A gate a channel, of the mean of a value that is not quantized."""
    mean = builder.requantized(builder.node("GlobalAveragePool", [value]), 2.0**-7)
    inner = builder.node(
        "Relu", [builder.node("Conv", [mean, builder.weight((8, 8, 1, 1), around=2.0**-7)])]
    )
    weight = builder.weight((8, 8, 1, 1), around=2.0**-8)
    return builder.node(gate, [builder.node("Conv", [builder.requantized(inner, 2.0**-6), weight])])
