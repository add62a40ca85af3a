"""Compiles modules with mypyc: a program of `flows.native`, for the folder of their package."""

import json
import sys

OPTIONS = ("--config-file=", "--follow-imports=silent", "--ignore-missing-imports")
"""For mypy: what is not compiled is only looked at."""


def main(target: str, groups: str) -> None:
    """Write extension modules to the folder `target`; groups: paths and a name of each, as JSON."""
    from mypyc.build import mypycify
    from setuptools import setup

    separate = [(paths, name) for paths, name in json.loads(groups)]
    extensions = mypycify(
        [*OPTIONS, *(path for paths, _ in separate for path in paths)],
        opt_level="2",
        debug_level="0",
        separate=separate,
    )
    command = ["--quiet", "build_ext", "--build-lib", target, "--parallel", str(len(separate))]
    setup(name="native", ext_modules=extensions, script_args=command)


if __name__ == "__main__":
    main(*sys.argv[1:])
