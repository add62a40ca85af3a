"""What tests of several packages ask for."""

import pytest


@pytest.fixture(
    params=[{}, {"path_registers": 1}, {"path_registers": 1, "wire_registers": 1}],
    ids=["none", "path", "wire"],
)
def registers(request):
    """Fields of a config: none of the registers that are for FPGAs, those on paths, all."""
    return request.param
