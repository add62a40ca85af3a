"""A section of a model on its way through the compiler, from graph to ordered tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tilewright.compiler.emit.context import Constants
from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.frontend.importer import ImportedSection
from tilewright.compiler.graph.graph import Graph
from tilewright.compiler.options import DEFAULT, Options
from tilewright.compiler.plan.placement import DRAM_ALIGNMENT, Placement
from tilewright.compiler.plan.tiling import Plan
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.fold import Fold
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Instruction
from tilewright.hw.spec.tensor import Tensor


@dataclass(kw_only=True)
class Section:
    """What the passes know of a section so far; what no pass has made is empty."""

    config: Config
    options: Options = DEFAULT
    imported: ImportedSection
    graph: Graph
    """The imported one, as the passes so far have changed it."""
    dram_start: int = 0
    """DRAM byte at which its maps begin."""
    allow_residents: bool = True
    """Whether feature maps may stay in activation SRAM."""
    macs: Mapping[str, int] = field(default_factory=dict)
    """The model's own multiply-accumulates by output map; copies and folded zeros are none."""
    folds: Mapping[str, Fold] = field(default_factory=dict)
    """How the host folds input maps."""
    output_names: tuple[str, ...] = ()
    """The caller's name of each output of `graph`, which may be a copy."""
    on_unit: tuple[bool, ...] = ()
    """Whether the depthwise unit runs each layer."""
    chains: tuple[range, ...] = ()
    """Numbers of the layers that run together."""
    placement: Placement = field(default_factory=Placement)
    constants: Constants = field(default_factory=Constants)
    plans: Mapping[int, Plan] = field(default_factory=dict)
    """The tiling of each layer, by its number."""
    tasks: tuple[Task, ...] = ()

    @property
    def name(self) -> str:
        return self.imported.name

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        return (*(task.instruction for task in self.tasks), instruction("END"))

    @property
    def dram_end(self) -> int:
        """DRAM byte, aligned, behind what has a place by now."""
        end = max(self.dram_start, self.placement.dram_end, self.constants.end)
        return -(-end // DRAM_ALIGNMENT) * DRAM_ALIGNMENT

    @property
    def writable(self) -> list[tuple[int, int]]:
        """DRAM byte ranges of every storage but the graph's inputs, once they have places."""
        placement = self.placement
        inputs = {placement.places[name].storage for name in self.graph.inputs}
        return [
            (address, address + placement.storages[name].size * self.config.activation_pitch)
            for name, address in placement.dram.items()
            if name not in inputs
        ]

    def in_dram(self, name: str) -> Tensor:
        """Return an input or output map where it lies in DRAM."""
        stored = self.graph.maps[name]
        return replace(stored, layout=self.placement.in_dram(stored, self.config))
