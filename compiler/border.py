"""The model's border at run time: ONNX inputs to feature maps, feature maps to ONNX outputs.

Needs no compiler: a compiled program carries the border's sections. Host operators run in
ONNX Runtime with all graph optimizations disabled.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.support.errors import InputError, ModelError

Array = NDArray[np.generic]
Maps = dict[str, NDArray[np.int8]]

HALF_RANGE = 128
"""What a uint8 value loses to be stored as int8."""
FATAL_ONLY = 4
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Name, NumPy dtype name and static shape of a model input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Packing:
    """Fill the int8 feature map `map` from the int8 or uint8 tensor `tensor`.

    Element i of the map (channels, height, width) is element `index[i]` of the flat tensor.
    """

    map: str
    tensor: str
    shape: tuple[int, int, int]
    index: NDArray[np.int32]

    def pack(self, tensor: Array) -> NDArray[np.int8]:
        flat = tensor.reshape(-1)[self.index]
        if flat.dtype == np.uint8:
            flat = flat.astype(np.int16) - HALF_RANGE
        return flat.astype(np.int8).reshape(self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Unpacking:
    """Make the int8 or uint8 tensor `tensor` of `shape` from the feature map `map`.

    Element i of the flat tensor is element `index[i]` of the flat map.
    """

    map: str
    tensor: str
    shape: tuple[int, ...]
    index: NDArray[np.int32]
    is_unsigned: bool

    def unpack(self, feature_map: NDArray[np.int8]) -> Array:
        flat = feature_map.reshape(-1)[self.index].reshape(self.shape)
        if not self.is_unsigned:
            return flat
        return (flat.astype(np.int16) + HALF_RANGE).astype(np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class HostModel:
    """An ONNX model that the host runs; `inputs` and `outputs` are tensor names."""

    data: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model on its inputs among `tensors`."""
        feeds = {name: tensors[name] for name in self.inputs}
        try:
            results = self._session.run(list(self.outputs), feeds)
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise InputError(f"the host operators fail: {' '.join(str(error).split())}") from error
        return dict(zip(self.outputs, results, strict=True))

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # only needed by models with host operators

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = FATAL_ONLY
        try:
            return onnxruntime.InferenceSession(
                self.data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # see run
            reason = " ".join(str(error).split())
            raise ModelError(f"ONNX Runtime refuses the host operators: {reason}") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Border:
    """Everything between a model's tensors and the accelerator's feature maps."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    packings: tuple[Packing, ...]
    unpackings: tuple[Unpacking, ...]
    prefix: HostModel | None = None
    suffix: HostModel | None = None
    constants: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    """Input maps that hold the same values in every inference."""
    map_shapes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Shapes of the feature maps that `finish` reads."""

    @property
    def finish_needs_inputs(self) -> bool:
        """Whether `finish` must be given the model's inputs as well."""
        made = {item.tensor for item in self.unpackings}
        needed = set(self.suffix.inputs) if self.suffix else set()
        return bool(needed - made)

    def prepare(self, inputs: Mapping[str, Array]) -> Maps:
        """Turn the model's inputs into the accelerator's input maps, int8 (C, H, W) by name.

        Raises:
            InputError: a name, shape or dtype is not the model's.
        """
        tensors = check_inputs(self.inputs, inputs)
        if self.prefix:
            tensors |= self.prefix.run(tensors)
        packed = {item.map: item.pack(tensors[item.tensor]) for item in self.packings}
        return packed | self.constants

    def finish(
        self,
        maps: Mapping[str, NDArray[np.int8]],
        inputs: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Turn the accelerator's output maps into the model's outputs by name.

        `inputs` are the model's inputs; only needed where `finish_needs_inputs`.

        Raises:
            InputError: a map or an input is missing or has the wrong shape or dtype.
        """
        tensors: dict[str, Array] = {}
        if self.finish_needs_inputs:
            tensors = check_inputs(self.inputs, inputs or {})
        for item in self.unpackings:
            tensors[item.tensor] = item.unpack(self._checked(maps, item.map))
        if self.suffix:
            tensors |= self.suffix.run(tensors)
        return {item.name: tensors[item.name] for item in self.outputs}

    def _checked(self, maps: Mapping[str, NDArray[np.int8]], name: str) -> NDArray[np.int8]:
        if name not in maps:
            raise InputError(f"the output map {name!r} is missing; got {sorted(maps)}")
        given, shape = maps[name], self.map_shapes[name]
        if given.dtype != np.int8 or given.shape != shape:
            raise InputError(
                f"the output map {name!r} must be int8 {list(shape)}, "
                f"got {given.dtype} {list(given.shape)}"
            )
        return given

    def to_sections(self) -> dict[str, bytes]:
        """Serialise to named byte strings.

        They are border.json, *.onnx, *.index (int32, little endian) and *.data (int8).
        """
        header: dict[str, Any] = {
            "version": VERSION,
            "inputs": [asdict(item) for item in self.inputs],
            "outputs": [asdict(item) for item in self.outputs],
            "map_shapes": self.map_shapes,
            "packings": [],
            "unpackings": [],
            "constants": [],
        }
        sections: dict[str, bytes] = {}
        for position, packing in enumerate(self.packings):
            header["packings"].append(_without_index(packing))
            sections[f"packings.{position}.index"] = packing.index.astype("<i4").tobytes()
        for position, unpacking in enumerate(self.unpackings):
            header["unpackings"].append(_without_index(unpacking))
            sections[f"unpackings.{position}.index"] = unpacking.index.astype("<i4").tobytes()
        for position, (name, data) in enumerate(self.constants.items()):
            header["constants"].append({"map": name, "shape": data.shape})
            sections[f"constants.{position}.data"] = data.tobytes()
        for side, model in (("prefix", self.prefix), ("suffix", self.suffix)):
            if model:
                header[side] = {"inputs": model.inputs, "outputs": model.outputs}
                sections[f"{side}.onnx"] = model.data
        text = json.dumps(header, indent=1, sort_keys=True)
        return {"border.json": text.encode(), **sections}

    @classmethod
    def from_sections(cls, sections: Mapping[str, bytes]) -> "Border":
        """The inverse of to_sections.

        Raises:
            ModelError: a section is missing or of another version.
        """
        try:
            header = json.loads(sections["border.json"])
            if header["version"] != VERSION:
                raise ModelError(
                    f"the border's version must be {VERSION}, got {header['version']}; compile "
                    "the model again"
                )
            return _border_from(header, sections)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"damaged border section: {error}; compile the model again") from error


def check_inputs(specs: tuple[TensorSpec, ...], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs as arrays, in the order of `specs`.

    Raises:
        InputError: a name, shape or dtype differs from `specs`.
    """
    names = [spec.name for spec in specs]
    if set(names) != set(inputs):
        raise InputError(f"the model's inputs are {names}, got {sorted(inputs)}")
    checked: dict[str, Array] = {}
    for spec in specs:
        array = np.asarray(inputs[spec.name])
        if array.shape != spec.shape or array.dtype.name != spec.dtype:
            raise InputError(
                f"input {spec.name!r} must be {spec.dtype} {list(spec.shape)}, "
                f"got {array.dtype.name} {list(array.shape)}"
            )
        checked[spec.name] = array
    return checked


def _without_index(item: Packing | Unpacking) -> dict[str, Any]:
    return {key: value for key, value in vars(item).items() if key != "index"}


def _border_from(header: dict[str, Any], sections: Mapping[str, bytes]) -> Border:
    def index(kind: str, position: int) -> NDArray[np.int32]:
        data = sections[f"{kind}.{position}.index"]
        return np.frombuffer(data, "<i4").astype(np.int32)

    def shaped(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "shape": tuple(fields["shape"])}

    def host(side: str) -> HostModel | None:
        if side not in header:
            return None
        names = {key: tuple(value) for key, value in header[side].items()}
        return HostModel(data=sections[f"{side}.onnx"], **names)

    return Border(
        inputs=tuple(TensorSpec(**shaped(item)) for item in header["inputs"]),
        outputs=tuple(TensorSpec(**shaped(item)) for item in header["outputs"]),
        packings=tuple(
            Packing(**shaped(item), index=index("packings", position))
            for position, item in enumerate(header["packings"])
        ),
        unpackings=tuple(
            Unpacking(**shaped(item), index=index("unpackings", position))
            for position, item in enumerate(header["unpackings"])
        ),
        constants={
            item["map"]: np.frombuffer(sections[f"constants.{position}.data"], np.int8).reshape(
                item["shape"]
            )
            for position, item in enumerate(header["constants"])
        },
        prefix=host("prefix"),
        suffix=host("suffix"),
        map_shapes={name: tuple(shape) for name, shape in header["map_shapes"].items()},
    )
