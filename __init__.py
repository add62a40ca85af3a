"""Tilewright: a hardware/software co-design framework for tensor accelerators."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.flows.session import Session
    from tilewright.hw.spec.config import Config

    __version__: str

__all__ = ["Config", "Session", "__version__"]

_HOMES = {"Config": "tilewright.hw.spec.config", "Session": "tilewright.flows.session"}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that the import stays light."""
    import importlib

    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("tilewright")
    if name not in _HOMES:
        raise AttributeError(f"module 'tilewright' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
