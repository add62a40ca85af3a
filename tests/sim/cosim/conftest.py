import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The stand-in at 128 bit with readable SRAM."""
    from standin import build_standin

    return build_standin(tmp_path_factory.mktemp("standin"), srams_public=True)
