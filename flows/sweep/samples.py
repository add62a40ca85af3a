"""Which configs of a space stand for all: corners first, then what has other values than those."""

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
SAME = 0.1
"""Added to the distance of two values, so that equal ones are as near as that."""


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
    """Return so many candidates: corners, at most half, far from each other; then those that share
    the fewest and the least near values with the ones before (as a MaxPro design, Joseph 2015).

    candidates: configs, each once.
    """
    places = coordinates(candidates)
    is_left = np.full(len(places), True)
    distances, nearness = np.full(len(places), np.inf), np.zeros(len(places))
    chosen: list[int] = []
    corners = ((places == 0) | (places == 1)).all(axis=1)
    while len(chosen) < min(count, len(places)):
        left_corners = is_left & corners
        if len(chosen) < count // 2 and left_corners.any():
            chosen.append(int(np.argmax(np.where(left_corners, distances, -1.0))))
        else:
            chosen.append(int(np.argmin(np.where(is_left, nearness, np.inf))))
        away = abs(places - places[chosen[-1]])
        is_left[chosen[-1]] = False
        distances = np.minimum(distances, np.linalg.norm(away, axis=1))
        nearness += 1 / np.prod(away + SAME, axis=1)
    return [candidates[number] for number in chosen]


def coordinates(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """Return where candidates stand: what is asked for, on a logarithmic scale from 0 to 1, and
    its base, of each one whether it is that."""
    names = dict.fromkeys(name for each in candidates for name in each.asked)
    columns = [
        [math.log2(1 + max(each.asked.get(name, 0), 0)) for each in candidates] for name in names
    ]
    found = np.array(columns).reshape(len(names), len(candidates)).T
    ranges = np.ptp(found, axis=0)
    found = (found - found.min(axis=0))[:, ranges > 0] / ranges[ranges > 0]
    bases = list(dict.fromkeys(each.base.name for each in candidates))
    places = [[float(each.base.name == base) for base in bases] for each in candidates]
    return np.hstack([found, np.array(places)])
