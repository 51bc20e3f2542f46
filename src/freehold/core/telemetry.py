"""The switches by which libraries are told to tell nobody that they are used. Set before any of them is imported.

Each is read by the library of its line; the guard over connections (``freehold.core.egress``) stops what pays no heed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

SWITCHES: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",  # consoledonottrack.com: huggingface_hub, MLflow, vLLM and others
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub: user agent and /api/telemetry
    "DISABLE_TELEMETRY": "1",  # huggingface_hub's name for the same before 0.20
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",  # a token that lies in a home directory is sent to nobody
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # datasets counts the use of loading scripts
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "WANDB_MODE": "disabled",  # transformers' Trainer reports to whatever tracker is installed
    "COMET_MODE": "DISABLED",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
"""Environment variable -> value."""


def switch_off() -> None:
    """Set them all, whatever they were set to: nothing leaves the house unless its settings say so."""
    os.environ.update(SWITCHES)
