"""Which inputs a command was asked to give a model."""

from pathlib import Path

from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class WantedInputs:
    """Which samples a model is given."""

    input_file: Path | None = None
    """A .npz file; None: random ones."""
    samples: int | None = None
    """How many; None: all of the file, or one random one."""
    seed: int = 0
    """Of random ones."""
