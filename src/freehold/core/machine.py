"""How much of the machine is this process's."""

from __future__ import annotations

import math
import os
from pathlib import Path

_OWN = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
SHARE = "PYTHON_CPU_COUNT"
"""Environment variable by which a process is told to take fewer cores; Python 3.13 reads it too."""


def cores() -> int:
    """Cores that this process may use: by its affinity, and by its control group's quota, as a container has one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def share() -> int:
    """Cores that it should take: fewer where processes beside it do the same work."""
    told = os.environ.get(SHARE, "")
    return min(cores(), int(told)) if told.isdecimal() and int(told) else cores()


def _quota() -> float:
    """The least of the quotas of its control group and those above (cgroup v2, ``cpu.max``)."""
    try:
        own = _OWN.read_text().partition("0::/")[2].strip()
    except OSError:
        return math.inf
    found = math.inf
    group = _GROUPS / own
    while group.is_relative_to(_GROUPS):
        try:
            limit, period = (group / "cpu.max").read_text().split()
            found = min(found, int(limit) / int(period))
        except (OSError, ValueError):  # none, or "max"
            pass
        group = group.parent
    return found
