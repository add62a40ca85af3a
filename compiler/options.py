"""What the compiler is asked for: how it reads a model, and its optimizations."""

from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class ImportOptions:
    """How a model is read: what is left to the host, and the batch."""

    strict: bool = False
    """Refuse models that leave operators to the host."""
    keep_sections: bool = False
    """Keep sections of the accelerator that cost more than they save."""
    allow_host_only: bool = False
    """Accept a model that the accelerator has no part in, as one island."""
    batch_size: int | None = None
    """Samples of every inference, in place of a symbolic batch."""


@record(frozen=True, kw_only=True)
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
AS_IT_IS = ImportOptions()
