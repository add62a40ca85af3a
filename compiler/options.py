"""What the compiler may do: its optimizations, and what each of them gains can be measured."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """Optimizations; each can be switched off to see what it gains."""

    fold_stem: bool = True
    """Fold the kernel of a first layer with few channels into its channels."""
    residency: bool = True
    """Keep feature maps in activation SRAM between layers where they fit."""
    depthwise_unit: bool = True
    """Run depthwise convolutions on their unit instead of the array's diagonal."""
    interleave: bool = True
    """Run a depthwise layer together with the layers before and behind it, and a convolution with
    the pooling behind it."""


DEFAULT = Options()
