"""What planning a layer looks at: config, graph, places, and the words free for its tiles."""

from dataclasses import dataclass

from tilewright.compiler.graph.graph import Graph
from tilewright.compiler.plan.placement import Placement
from tilewright.compiler.plan.places import Place
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.tensor import Tensor
from tilewright.support.errors import ModelError


class DoesNotFitError(ModelError):
    """A layer has no tiling within the memory it was given."""


@dataclass(kw_only=True)
class LayerView:
    """The graph of a section and where its maps live."""

    config: Config
    graph: Graph
    placement: Placement
    workspace: tuple[int, int] = (0, 0)
    """First word and words of activation SRAM for the tiles of the present chain."""

    def map(self, name: str) -> Tensor:
        return self.graph.maps[name]

    def place(self, name: str) -> Place:
        return self.placement.places[name]

    def is_resident(self, name: str) -> bool:
        """Whether the feature map lives in activation SRAM."""
        return self.place(name).storage in self.placement.sram
