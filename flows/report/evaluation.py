"""The evaluation of a model as a table and sentences."""

from rich.console import Console

from tilewright.flows.evaluation import Evaluation, Score
from tilewright.flows.report.coverage import coverage_sentence
from tilewright.flows.report.display import percent, plural, table


def print_evaluation(out: Console, found: Evaluation, name: str) -> None:
    """Print accuracy and speed of each way to run the model, then how they agree."""
    out.print(coverage_sentence(found.coverage), markup=False)
    rows = [
        _row("accelerator (reference)", found.reference),
        _row("ONNX Runtime, int8", found.onnx_runtime),
    ]
    if found.float_model is not None:
        rows.append(_row("ONNX Runtime, float", found.float_model))
    title = f"{name} on {plural(found.samples, 'sample')}"
    if found.labeled:
        title += f", {found.labeled:,} with a label"
    out.print(table(title, ("model", ">top-1", ">top-5", ">samples/s"), rows))
    out.print(f"with ONNX Runtime: {found.agreement.sentence()}", markup=False)
    if found.float_agreement is not None:
        noise = found.float_agreement.signal_to_noise_db
        text = "" if noise is None else f", {noise:.1f} dB signal to noise"
        out.print(
            f"with the float model: same top class for {found.float_agreement.same_top:,} of "
            f"{plural(found.samples, 'sample')}{text}",
            markup=False,
        )


def _row(name: str, score: Score) -> tuple[str, str | None, str | None, str]:
    return name, percent(score.top1), percent(score.top5), f"{score.samples_per_second:,.1f}"
