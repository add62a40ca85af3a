"""Makes the compiler's random graphs importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "compiler"))
