"""Tilewright: a hardware/software co-design framework for tensor accelerators."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.flows.session import Session
    from tilewright.hw.spec.config import Config

__all__ = ["Config", "Session"]

_HOMES = {"Config": "tilewright.hw.spec.config", "Session": "tilewright.flows.session"}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that the import stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tilewright' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
