"""The estimate of host and accelerator: facts that any table of rates must keep."""

import pytest

from tilewright.compiler import host_cost
from tilewright.hw.spec.config import PRESETS

BASE = PRESETS["base"]


def test_operators_take_time_even_for_nothing():
    assert host_cost.operator_seconds(0, 0) == host_cost.HOST_OPERATOR_SECONDS > 0


def test_time_of_an_operator_adds_its_parts():
    both, neither = host_cost.operator_seconds(10**9, 10**6), host_cost.operator_seconds(0, 0)
    macs, elements = host_cost.operator_seconds(10**9, 0), host_cost.operator_seconds(0, 10**6)
    assert both - neither == pytest.approx((macs - neither) + (elements - neither))


def test_a_section_is_bound_by_array_or_vector_unit():
    # 16 x 16 at half, 200 MHz: 25.6 GMAC/s; 16 lanes: 3.2 G results/s
    start = host_cost.START_SECONDS
    assert host_cost.section_seconds(25_600_000, [16], BASE) == pytest.approx(start + 1e-3)
    assert host_cost.section_seconds(256, [3_200_000], BASE) == pytest.approx(start + 1e-3)


def test_whole_networks_are_worth_the_accelerator_and_single_values_are_not():
    macs, results = 12_500_000, [100_000]
    accelerated = host_cost.section_seconds(macs, results, BASE) + host_cost.moving_seconds(4096)
    assert accelerated < host_cost.operator_seconds(macs, sum(results))
    tiny = host_cost.section_seconds(16, [16], BASE) + host_cost.moving_seconds(65536)
    assert tiny > host_cost.operator_seconds(16, 16)
