"""The exceptions a user's mistake can raise; the command line prints them in one line."""


class TilewrightError(Exception):
    """A mistake of the user: what must hold, what was given, where, and what would work."""


class ConfigError(TilewrightError):
    """A config field breaks a rule."""


class ProgramError(TilewrightError):
    """A program file or an assembly text is malformed, damaged or meant for another config."""


class ModelError(TilewrightError):
    """A model is malformed or uses something the compiler does not support."""


class InputError(TilewrightError):
    """An input tensor has the wrong name, shape or dtype."""


class ExecutionError(TilewrightError):
    """The accelerator reported a fault or did not finish."""


class ToolError(TilewrightError):
    """A tool that the flow needs is missing or failed."""
