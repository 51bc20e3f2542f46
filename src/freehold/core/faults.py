"""Named steps at which a test may kill the process.

``step("catalog.committed")`` does nothing, unless the environment variable FREEHOLD_KILL_AT names that step: then the
process dies on the spot as by ``kill -9``, with nothing flushed and no handler run. Tests use it to show that no step
loses acknowledged work (the idea of fail points, as in FreeBSD's fail(9)).
"""

from __future__ import annotations

import os
import signal

KILL_AT = "FREEHOLD_KILL_AT"


def step(name: str) -> None:
    """Die here if FREEHOLD_KILL_AT is ``name``."""
    if os.environ.get(KILL_AT) == name:
        os.kill(os.getpid(), signal.SIGKILL)
