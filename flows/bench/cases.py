"""What `tilewright bench` runs: kernels beside Gemmini's RTL, large products, networks, models.

Gemmini's cycles were measured on its own RTL in Verilator: 16x16, int8, 320 KiB of SRAM, 16
bytes/cycle, latency 64, cold start, from the first command to idle. "Library" is its own software,
"best" the best of a few tilings tried by hand.
"""

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.support.errors import InputError
from tilewright.support.records import record

PEER_ARRAY = (16, 16)
"""The array of the peer's figures."""
PEER_SIZED = PRESETS["base"].replace(
    name="base-320", activation_kib=112, weight_kib=72, accumulator_kib=128, parameter_kib=8
)
"""`base` with no more SRAM than the peer has."""
SIZES = ("base", "edge", "large")
"""Presets of the large products and the networks."""


@record(frozen=True, kw_only=True)
class Case:
    """One thing to compile and run on one config: a kernel, a network or an ONNX file."""

    name: str
    config: Config
    kind: str = ""
    """Of a kernel, see `flows.kernels`."""
    sizes: tuple[int, ...] = ()
    latency: int = MEMORY_LATENCY
    gemmini_library: int | None = None
    """Cycles."""
    gemmini_best: int | None = None
    target: int | None = None
    """Cycles that the kernel may take at most."""
    network: str = ""
    """Of `flows.networks`."""
    model: Path | None = None
    is_long: bool = False
    """Takes many minutes on RTL."""

    @property
    def is_kernel(self) -> bool:
        return bool(self.kind)


@record(frozen=True, kw_only=True)
class Kernel:
    """A row of the kernels' table; without `best`, nothing better than the library was found."""

    name: str
    kind: str
    sizes: tuple[int, ...]
    library: int
    best: int | None = None
    target: int
    latency: int = MEMORY_LATENCY

    def on(self, config: Config) -> Case:
        """Return the case on a config; another array than the peer's is not compared with it."""
        is_peer = (config.rows, config.cols) == PEER_ARRAY
        return Case(
            name=self.name,
            config=config,
            kind=self.kind,
            sizes=self.sizes,
            latency=self.latency,
            gemmini_library=self.library if is_peer else None,
            gemmini_best=(self.best or self.library) if is_peer else None,
            target=self.target if is_peer else None,
        )


# fmt: off
KERNELS: tuple[Kernel, ...] = (
    Kernel(name="GEMM 64^3", kind="gemm", sizes=(64, 64, 64), library=2_155, target=1_700),
    Kernel(name="GEMM 50x70x100", kind="gemm", sizes=(50, 70, 100), library=4_028, target=2_600),
    Kernel(name="GEMM 8x768x768", kind="gemm", sizes=(8, 768, 768), library=83_536, best=53_619,
           target=42_000),
    Kernel(name="GEMM 1x768x768", kind="gemm", sizes=(1, 768, 768), library=82_914, best=52_483,
           target=40_000),
    Kernel(name="GEMM 256^3", kind="gemm", sizes=(256, 256, 256), library=70_361, best=67_905,
           target=67_200),
    Kernel(name="depthwise 3x3 56x56x128", kind="depthwise", sizes=(128, 3, 56, 56),
           library=3_281_464, target=90_000),
    Kernel(name="GEMM 64x768x768", kind="gemm", sizes=(64, 768, 768), library=157_805,
           best=151_089, target=150_000),
    Kernel(name="GEMM 64x768x768, latency 200", kind="gemm", sizes=(64, 768, 768),
           library=283_569, target=152_000, latency=200),
    Kernel(name="conv 1x1 28x28x512 -> 256", kind="conv", sizes=(512, 256, 1, 28, 28),
           library=406_521, target=405_500),
    Kernel(name="conv 3x3 56x56x64 -> 64", kind="conv", sizes=(64, 64, 3, 56, 56),
           library=469_177, best=466_354, target=457_000),
    Kernel(name="conv 3x3 14x14x256 -> 256", kind="conv", sizes=(256, 256, 3, 14, 14),
           library=557_622, best=462_480, target=460_000),
    Kernel(name="conv 3x3 7x7x512 -> 512", kind="conv", sizes=(512, 512, 3, 7, 7),
           library=730_314, best=584_924, target=466_000),
    Kernel(name="GEMM 512^3", kind="gemm", sizes=(512, 512, 512), library=542_683, best=530_449,
           target=529_000),
)
# fmt: on
"""The short ones first."""
NUM_QUICK = 3
"""Kernels of --quick: the first ones."""

NETWORK_NAMES = {"resnet50": "ResNet-50", "mobilenetv2": "MobileNetV2 1.0"}


def choose(
    models: Sequence[Path],
    config: Config | None,
    patterns: Sequence[str],
    *,
    with_kernels: bool,
    with_long: bool,
    quick: bool,
) -> list[Case]:
    """Return what to measure: kernels, long cases and models, of those what patterns match.

    Raises InputError where that is nothing.
    """
    cases = kernels(config, quick=quick) if with_kernels else []
    cases += long_cases() if with_long else []
    cases += model_cases(models, config)
    if patterns:
        cases = matching(cases, patterns)
    if not cases:
        raise InputError("nothing to measure; give models, or leave out --no-kernels")
    return cases


def kernels(config: Config | None, *, quick: bool = False) -> list[Case]:
    """Return the kernels on a config, by default `base` with the peer's amount of SRAM."""
    return [kernel.on(config or PEER_SIZED) for kernel in KERNELS[: NUM_QUICK if quick else None]]


def long_cases() -> list[Case]:
    """Return GEMM 1024^3 and the networks on arrays of three sizes."""
    products = [
        Case(
            name=f"GEMM 1024^3 on {preset}",
            config=PRESETS[preset],
            kind="gemm",
            sizes=(1024, 1024, 1024),
            is_long=True,
        )
        for preset in SIZES
    ]
    networks = [
        Case(name=f"{shown} on {preset}", config=PRESETS[preset], network=network, is_long=True)
        for network, shown in NETWORK_NAMES.items()
        for preset in SIZES
    ]
    return [*products, *networks]


def model_cases(paths: Sequence[Path], config: Config | None) -> list[Case]:
    """Return the cases of ONNX files on a config, by default `base`."""
    return [
        Case(name=model_name(path), config=config or PRESETS["base"], model=path) for path in paths
    ]


def model_name(path: Path) -> str:
    """Return a model's name: its file's, or its folder's where the file is called model.onnx."""
    stem = path.stem
    return path.resolve().parent.name if stem == "model" else stem


def check_config_names(cases: Sequence[Case]) -> None:
    """Raise InputError where two configs have one name, by which the report tells them apart."""
    configs: dict[str, Config] = {}
    for case in cases:
        other = configs.setdefault(case.config.name, case.config)
        if other != case.config:
            raise InputError(
                f"the given config and that of other cases are both named {other.name!r}; "
                "give another one, for example --set name=mine"
            )


def matching(cases: Sequence[Case], patterns: Sequence[str]) -> list[Case]:
    """Return the cases whose name matches one of the patterns (* and ?, any capitals).

    Raises InputError for a pattern that matches none.
    """
    chosen = set()
    for pattern in patterns:
        found = [case.name for case in cases if _matches(case.name, pattern)]
        if not found:
            names = ", ".join(case.name for case in cases)
            raise InputError(f"--case {pattern!r} matches no case; the cases are {names}")
        chosen.update(found)
    return [case for case in cases if case.name in chosen]


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())
