"""Which configs of a space stand for all: the corners first, then what is farthest from them."""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tilewright.flows.sweep.space import Candidate, Space

MAX_DRAWN = 4000
"""Of a space's configs, from which those are chosen that stand for all."""
MAX_CORNERS = 1024


def drawn(space: Space, seed: int) -> Iterator[Candidate]:
    """Yield all of a small space's candidates; of a large one corners, and others by the seed."""
    if space.num_points <= MAX_DRAWN:
        yield from space.candidates()
        return
    ends = [(values[0], values[-1]) for values in space.ranges.values()]
    for base in space.bases:
        for point in itertools.islice(itertools.product(*ends), MAX_CORNERS):
            yield space.candidate(base, dict(zip(space.ranges, point, strict=True)))
    generator = random.Random(seed)
    for _ in range(MAX_DRAWN):
        values = {name: generator.choice(values) for name, values in space.ranges.items()}
        yield space.candidate(generator.choice(space.bases), values)


def different(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that are configs, each config once."""
    return list({each.config.digest: each for each in candidates if each.config}.values())


def spread(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Return so many candidates that are far from each other: corners, at most half, then any.

    candidates: configs, each once.
    """
    places = coordinates(candidates)
    distances = np.full(len(candidates), np.inf)
    chosen: list[int] = []
    corners = ((places == 0) | (places == 1)).all(axis=1)
    for allowed, most in ((corners, count // 2), (np.full(len(candidates), True), count)):
        while len(chosen) < most and (distances[allowed] > 0).any():
            chosen.append(int(np.argmax(np.where(allowed, distances, -1.0))))
            away = np.linalg.norm(places - places[chosen[-1]], axis=1)
            distances = np.minimum(distances, away)
    return [candidates[number] for number in chosen]


def coordinates(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """Return where candidates stand: what is asked for, on a logarithmic scale from 0 to 1, and
    its base, of each one whether it is that."""
    names = dict.fromkeys(name for each in candidates for name in each.asked)
    columns = [[math.log2(1 + each.asked.get(name, 0)) for each in candidates] for name in names]
    found = np.array(columns).reshape(len(names), len(candidates)).T
    ranges = np.ptp(found, axis=0)
    found = (found - found.min(axis=0))[:, ranges > 0] / ranges[ranges > 0]
    bases = list(dict.fromkeys(each.base.name for each in candidates))
    places = [[float(each.base.name == base) for base in bases] for each in candidates]
    return np.hstack([found, np.array(places)])
