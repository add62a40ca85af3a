"""Lines through samples: they find the terms of what is a line, and state how far they are off."""

import numpy as np
import pytest

from tilewright.flows.sweep.estimate import clock_of
from tilewright.flows.sweep.fitting import fit, fit_line

SIDES = (
    (2, 2),
    (2, 4),
    (2, 8),
    (4, 2),
    (4, 4),
    (4, 8),
    (8, 2),
    (8, 4),
    (8, 8),
    (6, 6),
    (6, 8),
    (2, 6),
)


def terms(sides):
    """A constant, rows, cols, their product, and two terms that have nothing to do with it."""
    return np.array([(1, r, c, r * c, (7 * r + 3 * c) % 5, (r ^ c) % 3) for r, c in sides], float)


def product(sides):
    return np.array([1000 + 30 * c + 700 * r * c for r, c in sides], float)


def test_a_sum_of_a_constant_and_products_is_found_exactly():
    found = fit(terms(SIDES), product(SIDES)[:, None])
    new = ((5, 7), (16, 16))
    assert found.at(terms(new)) == pytest.approx(product(new))
    assert max(found.errors) < 1e-6


def test_parts_have_lines_of_their_own():
    by_rows, by_product = (
        np.array(list(map(f, SIDES)), float) for f in (lambda s: 9 * s[0], lambda s: s[0] * s[1])
    )
    found = fit(terms(SIDES), np.stack([by_rows, by_product], axis=1))
    assert found.at(terms([(5, 7)]))[0] == pytest.approx(9 * 5 + 35)


def test_noise_is_not_fitted_and_stated_as_error():
    generator = np.random.default_rng(3)
    sides = [tuple(generator.integers(2, 40, 2)) for _ in range(24)]
    noise = generator.normal(0, 0.02, len(sides))
    found = fit(terms(sides), (product(sides) * (1 + noise))[:, None])
    assert 0.005 < np.median(found.errors) < 0.03
    new = [(5, 7), (20, 31), (38, 12), (30, 30)]
    assert found.at(terms(new)) == pytest.approx(product(new), rel=0.05)


def test_a_line_has_at_most_half_as_many_terms_as_samples():
    generator = np.random.default_rng(1)
    given = np.hstack([np.ones((8, 1)), generator.normal(size=(8, 30))])
    assert np.count_nonzero(fit_line(given, generator.normal(5, 1, 8), np.ones(8))) <= 4


def test_a_term_that_one_sample_alone_has_is_not_taken():
    given = np.array([(1.0, number, number == 5) for number in range(10)])
    values = 10 + given[:, 1] + 50 * given[:, 2]
    assert fit_line(given, values, np.ones(10))[2] == 0


def test_what_is_the_same_everywhere_is_a_constant():
    found = fit(terms(SIDES), np.zeros((len(SIDES), 1)))
    assert found.at(terms([(3, 3)]))[0] == 0
    assert max(found.errors) == 0


def test_a_clock_is_a_line_where_it_is_one_and_never_above_the_fastest_sample():
    given = terms(SIDES)
    found = clock_of(given, 5 + 0.5 * given[:, 1])
    assert found.line is not None
    assert found.megahertz(terms([(5, 4)])) == pytest.approx(1000 / 7.5)
    assert found.megahertz(terms([(1, 4)])) == pytest.approx(1000 / 6)


def test_a_clock_that_is_no_line_is_that_of_the_nearest_sample():
    generator = np.random.default_rng(0)
    given = np.hstack([np.ones((12, 1)), generator.uniform(1, 9, (12, 1)).round()])
    given[6:, 1] += 1000
    periods = np.repeat([5.0, 9.0], 6) + generator.normal(0, 0.2, 12)
    given = np.vstack([given, [[1, 200.0], [1, 400.0]]])
    periods = np.append(periods, [9.0, 9.0])
    found = clock_of(given, periods)
    assert found.line is None
    assert found.megahertz(np.array([[1.0, 300.0]])) == pytest.approx(1000 / 9)
    assert found.megahertz(given[7:8]) == pytest.approx(1000 / periods[7])
