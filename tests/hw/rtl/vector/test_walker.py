"""The walk over an output buffer or a second operand, against loops, under random stalls."""

import random

import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.vector.walker import Walker
from tilewright.hw.spec.config import PRESETS

CONFIGS = {
    "one group a word": PRESETS["base"],
    "four groups a word": PRESETS["base"].replace(lanes=4),
    "path registers": PRESETS["base"].replace(lanes=4, path_registers=1),
}
JOBS = 40


def random_job(rng, config):
    """Return a job's fields; some walks have one position, some jobs are empty."""
    return {
        "base": rng.randrange(config.activation_words),
        "stride": rng.randrange(config.activation_words),
        "pitch": rng.randrange(config.activation_words),
        "group": rng.randrange(config.row_groups),
        "groups": rng.choice([1, 2, 5]),
        "out_height": rng.choice([1, 1, 3]),
        "out_width": rng.choice([1, 1, 2, 4]),
        "slot": rng.randrange(2),
        "combine": rng.randrange(2),
        "empty": rng.random() < 0.2,
    }


def positions(job, config):
    """Yield (address, group, last, slot, combine, empty) of a job, as the ISA numbers them."""
    kind = job["slot"], job["combine"], job["empty"]
    if job["empty"]:
        yield job["base"], job["group"], 1, *kind
        return
    places = [
        (number // config.row_groups, number % config.row_groups, y, x)
        for number in range(job["group"], job["group"] + job["groups"])
        for y in range(job["out_height"])
        for x in range(job["out_width"])
    ]
    for word, group, y, x in places:
        address = job["base"] + word * job["stride"] + y * job["pitch"] + x
        last = (word, group, y, x) == places[-1]
        yield address % 2**20, group, last, *kind


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("offers", "moves"), [(1.0, 1.0), (1.0, 0.5), (0.3, 1.0), (0.4, 0.6)])
def test_random_walks_with_random_stalls(name, offers, moves):
    config, rng = CONFIGS[name], random.Random(f"{name} {offers} {moves}")
    design = Walker(config=config)
    jobs = [random_job(rng, config) for _ in range(JOBS)]
    expected = [list(positions(job, config)) for job in jobs]

    async def run(ctx):
        taken, left, offered = 0, [], False
        while taken < JOBS or left:
            offered = taken < JOBS and (offered or rng.random() < offers)
            ctx.set(design.job.valid, offered)
            job = jobs[taken] if offered else random_job(rng, config)
            for field, value in job.items():
                part = design.job.p if field in ("slot", "combine", "empty") else design.job.p.walk
                ctx.set(getattr(part, field), value)
            assert ctx.get(design.active) == bool(left)
            step = bool(left) and rng.random() < moves
            ctx.set(design.moves, step)
            if left:
                found = ctx.get(design.position)
                fields = ("address", "group", "last", "slot", "combine", "empty")
                assert tuple(found[field] for field in fields) == left[0]
                assert found.exists == (found.address < config.activation_words)
            ready = not left or (step and len(left) == 1)
            assert ctx.get(design.job.ready) == ready
            left = left[1:] if step else left
            if offered and ready:
                left, taken, offered = expected[taken], taken + 1, False
            await ctx.tick()

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
