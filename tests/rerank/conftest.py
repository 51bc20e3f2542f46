from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).parent.parent / "models")
)  # the makers of tiny models, as its own tests find them
