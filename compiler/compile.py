"""The compiler's front door: an imported model, or a quantized graph, becomes a Program."""

from tilewright.compiler.frontend.importer import ImportedModel, model_of_graph
from tilewright.compiler.graph.graph import Graph
from tilewright.compiler.options import DEFAULT, Options
from tilewright.compiler.passes import PASSES, Observer, run_passes
from tilewright.compiler.program.assemble import assemble, bare
from tilewright.compiler.section import Section
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.program import BareProgram, Program
from tilewright.hw.spec.steps import Island


def compile_model(
    model: ImportedModel,
    config: Config,
    options: Options = DEFAULT,
    observe: Observer | None = None,
) -> Program:
    """Compile an imported model: the program is complete, and running it needs no compiler.

    Raises ModelError when a layer does not fit the config. The checker has passed on the result.
    """
    return assemble(model, config, run_sections(model, config, options, observe))


def list_instructions(model: ImportedModel, config: Config) -> BareProgram:
    """Return what `compile_model` makes of the same, as far as its cycles depend on it.

    Neither are constants written nor is the program proved. Raises as `compile_model` does.
    """
    return bare(model, config, run_sections(model, config))


def compile_graph(graph: Graph, config: Config, options: Options = DEFAULT) -> Program:
    """Compile a quantized graph; inputs and outputs are its int8 maps (channels, height, width)."""
    return compile_model(model_of_graph(graph), config, options)


def lower(graph: Graph, config: Config, options: Options = DEFAULT) -> Section:
    """Place, tile, synchronize and order a graph. Raises DoesNotFitError, ModelError."""
    (section,) = run_sections(model_of_graph(graph), config, options)
    return section


def run_sections(
    model: ImportedModel,
    config: Config,
    options: Options = DEFAULT,
    observe: Observer | None = None,
    stop_after: str = PASSES[-1].name,
) -> tuple[Section, ...]:
    """Run the passes up to the one named `stop_after` on each section of a model.

    An island is observed once, as behind the first pass. The maps of a section lie in DRAM behind
    what the passes that ran have placed before them.
    """
    names = [step.name for step in PASSES]
    passes = PASSES[: names.index(stop_after) + 1]
    sections: list[Section] = []
    start = 0
    for given in model.steps:
        if isinstance(given, Island):
            if observe is not None:
                observe(PASSES[0], given)
            continue
        section = Section(
            config=config, options=options, imported=given, graph=given.graph, dram_start=start
        )
        sections.append(run_passes(section, passes, observe))
        start = sections[-1].dram_end
    return tuple(sections)
