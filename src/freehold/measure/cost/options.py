"""The options that are compared, each put together of parts, and what a month of it costs and how fast it answers.

A server serves what peaks ask of it and, beside, ingest, re-embedding, retraining and erasure. It takes the highest
rate at which its p95 still holds the latency target, and no more than ``load_share`` of what it can do; where the
target is out of reach however few come, ``load_share`` alone decides. GPUs are sized in the same way. Servers and
GPUs come in whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.measure.capacity.queueing import Queue

Values = NDArray[np.float64]
Draws = Mapping[str, Values]
"""Figure or price in euros -> its value in each draw."""
HOURS, DAYS = 730.0, 30.4
_STATES = 48
_BUSY = np.linspace(0, 0.9, 10)
"""Steps of load for which p95 is worked out, as shares of the capacity; beyond the last a queue hardly settles."""


@dataclass(frozen=True, slots=True)
class Option:
    """Parts by name: a server, at most one of a GPU and a bought model, perhaps a store of vectors that is bought."""

    name: str
    server: str
    """The price of a month, or ``owned`` for one that is bought and run."""
    gpu: str = ""
    """Its price."""
    gpu_hours: float = HOURS
    """Units of that price in a month: hours, or 1 where it is the price of a month."""
    gpu_kind: str = ""
    """Whose speed: the figure ``<kind>_tokens_per_s``."""
    api: str = ""
    """Prices ``<api>_in`` and ``<api>_out``, figures ``<api>_first_token_s`` and ``<api>_tokens_per_s``."""
    store: str = ""

    @property
    def kind(self) -> str:
        """``quotes``, ``gpu`` or ``api``: what answers."""
        return "gpu" if self.gpu else "api" if self.api else "quotes"

    @property
    def prices(self) -> tuple[str, ...]:
        """The lines of the price table that it needs."""
        found = ["kwh"] if self.server == "owned" else [self.server]
        found += [self.gpu] if self.gpu else []
        found += [f"{self.api}_in", f"{self.api}_out"] if self.api else []
        return (*found, *STORES.get(self.store, ()))


@dataclass(frozen=True, slots=True)
class Month:
    """A month of an option, draw by draw."""

    euros: Values
    servers: Values
    gpus: Values
    p95_ms: Values
    """Of an answer at peak: that of search and that of the model added, which is a little more than it is."""


class Machine:
    """What a machine takes and how fast it is then, draw by draw.

    p95 is worked out for steps of load and interpolated: it is asked for many options, which share their machines.
    """

    def __init__(self, lam: Values, sigma: Values, kappa: Values, tail: Values, load_share: Values) -> None:
        laws, self._rows = np.unique(np.stack([lam, sigma, kappa, tail]), axis=1, return_inverse=True)
        queue = Queue.of(laws[0], laws[1], laws[2], laws[3], _STATES)
        self.capacity_per_s = queue.capacity_per_s[self._rows]
        self._most: Values = np.minimum(load_share, _BUSY[-1])
        self._log_ms = np.log(np.stack([queue.p95_at(busy * queue.capacity_per_s) for busy in _BUSY], -1))

    def takes(self, budget_ms: Values) -> Values:
        """Requests a second at which its p95 is within so many milliseconds, and no more than its share of load.

        That share alone decides where nothing is within.
        """
        log_ms, log_budget = self._log_ms[self._rows], np.log(np.maximum(budget_ms, 1e-9))
        below = (log_ms <= log_budget[:, None]).sum(-1) - 1
        at = np.clip(below, 0, len(_BUSY) - 2)
        low, high = _pair(log_ms, at)
        busy = _BUSY[1] * (at + np.clip((log_budget - low) / (high - low), 0.01, 1))
        return np.where(below < 0, self._most, np.minimum(busy, self._most)) * self.capacity_per_s

    def p95_ms(self, rate_per_s: Values) -> Values:
        """p95 at a rate of at most what it takes."""
        place: Values = np.minimum(rate_per_s / self.capacity_per_s, _BUSY[-1]) / _BUSY[1]
        below = np.minimum(place.astype(int), len(_BUSY) - 2)
        low, high = _pair(self._log_ms[self._rows], below)
        return np.asarray(np.exp(low + (high - low) * (place - below)))


def _pair(rows: Values, at: NDArray[np.intp]) -> tuple[Values, Values]:
    """Of each row the value at its place, and the next."""
    low, high = (np.take_along_axis(rows, (at + more)[:, None], 1)[:, 0] for more in (0, 1))
    return low, high


STORES = {
    "pinecone": ("pinecone_storage", "pinecone_read", "pinecone_write", "pinecone_least"),
    "qdrant": ("qdrant_gb",),
}
OPTIONS = (
    Option("CPU, answers are quotes (OVHcloud RISE-S)", "ovh_rise_s"),
    Option("CPU, answers are quotes (Hetzner CCX33)", "hetzner_ccx33"),
    Option("CPU, answers are quotes (AWS Frankfurt)", "aws_m6a_2xlarge"),
    Option("CPU, answers are quotes (bought server)", "owned"),
    Option("CPU + L4, vLLM with an 8B model (OVHcloud)", "ovh_rise_s", "ovh_l4", gpu_kind="l4"),
    Option("CPU + L40S, vLLM with an 8B model (OVHcloud)", "ovh_rise_s", "ovh_l40s", gpu_kind="l40s"),
    Option("CPU + A100, vLLM with an 8B model (OVHcloud)", "ovh_rise_s", "ovh_a100", gpu_kind="a100"),
    Option("CPU + H100, vLLM with an 8B model (OVHcloud)", "ovh_rise_s", "ovh_h100", gpu_kind="h100"),
    Option("CPU + H100, vLLM with an 8B model (Scaleway)", "ovh_rise_s", "scaleway_h100", gpu_kind="h100"),
    Option("CPU + GEX45, vLLM with an 8B model (Hetzner)", "hetzner_ccx33", "hetzner_gex45", 1.0, "rtx4000"),
    Option("own search + Mistral Large 4 API", "ovh_rise_s", api="mistral_large"),
    Option("own search + GPT-6 Luna API", "ovh_rise_s", api="openai_luna"),
    Option("own search + Nova Lite on Bedrock (Frankfurt)", "ovh_rise_s", api="nova_lite"),
    Option("own search + Nova Pro on Bedrock (Frankfurt)", "ovh_rise_s", api="nova_pro"),
    Option("Pinecone (US) + own service + GPT-6 Luna API", "ovh_rise_s", api="openai_luna", store="pinecone"),
    Option("Qdrant Cloud (EU) + own service + Mistral Large 4 API", "ovh_rise_s", api="mistral_large", store="qdrant"),
)


@dataclass(frozen=True, slots=True)
class Machines:
    """A search server, and a GPU with the time of an answer alone as its second."""

    search: Machine
    gpu: Machine


def machines_of(d: Draws) -> Machines:
    """The machines of these draws."""
    one, none = np.ones_like(d["search_ms"]), np.zeros_like(d["search_ms"])
    search = Machine(1000 / d["search_ms"], d["search_in_line"], d["search_in_step"], d["search_tail"], d["load_share"])
    return Machines(search, Machine(one, d["gpu_in_line"], none, d["answer_tail"], d["load_share"]))


def month(option: Option, d: Draws, machines: Machines) -> Month:
    """What it costs and how fast it is. ``d`` holds every figure, and every price that the option needs."""
    peak = d["queries_a_day"] / 86400 * d["peak_factor"]
    alone_ms = _alone_ms(option, d, machines)
    # Of what a GPU leaves when it is idle, search may take half: what load adds needs time on both.
    budget_ms = (d["latency_target_ms"] - alone_ms) * (0.5 if option.gpu else 1.0)
    rate = machines.search.takes(budget_ms)
    copies = np.maximum(1, np.ceil(peak / rate + _beside(d)))
    gpus, model_ms = np.zeros_like(peak), alone_ms
    if option.gpu:
        alone_s, left_ms = _answer_s(option, d), d["latency_target_ms"] - machines.search.p95_ms(rate)
        gpus = np.maximum(1, np.ceil(peak * alone_s / machines.gpu.takes(left_ms / alone_s)))
        model_ms = machines.gpu.p95_ms(peak * alone_s / gpus) * alone_s
    servers = copies * _parts(d)
    euros = servers * _server(option, d) + d[_hours(option)] * d["hour_eur"]
    if option.gpu:
        euros = euros + gpus * option.gpu_hours * d[option.gpu]
    if option.api:
        euros = euros + _tokens(option, d)
    if option.store:
        euros = euros + _store(option, d)
    return Month(euros, servers, gpus, machines.search.p95_ms(peak / copies) + model_ms)


def stored(d: Draws) -> Values:
    """Vectors that are kept: those of standing documents, and of each month's new ones for as long as they are kept."""
    return d["vectors"] * (1 + d["growth_a_month"] * d["retention_months"])


def written(d: Draws) -> Values:
    """Vectors embedded in a month: new ones, and all that are kept after a tuning."""
    return d["vectors"] * d["growth_a_month"] + stored(d) * d["reembeddings_a_month"]


def _parts(d: Draws) -> Values:
    """Into how many servers a house has to be divided to be stored; each question asks all of them."""
    gb = (stored(d) * d["passage_kb"] + d["queries_a_day"] * DAYS * d["log_months"] * d["log_kb"]) / 1e6
    return np.maximum(1, np.ceil(gb / d["server_gb"]))


def _beside(d: Draws) -> Values:
    """How many servers are busy with what is done beside answering."""
    hours = written(d) * d["tokens_a_vector"] / d["embed_tokens_per_s"] / 3600 + d["retraining_hours"]
    return (hours + d["erasures_a_month"] * d["erasure_minutes"] / 60) / HOURS


def _answer_s(option: Option, d: Draws) -> Values:
    """What a GPU takes for an answer, on average, when it has no other."""
    return d["answer_tokens"] / d[f"{option.gpu_kind}_tokens_per_s"]


def _alone_ms(option: Option, d: Draws, machines: Machines) -> Values:
    """p95 of the model's part of an answer when nothing else is asked; a bought model is taken not to slow down."""
    none = np.zeros_like(d["answer_tokens"])
    if option.gpu:
        return machines.gpu.p95_ms(none) * _answer_s(option, d)
    if option.api:
        longest = d["answer_tokens"] * d["answer_tail"]
        return 1000 * (d[f"{option.api}_first_token_s"] + longest / d[f"{option.api}_tokens_per_s"])
    return none


def _server(option: Option, d: Draws) -> Values:
    """A server's month."""
    if option.server != "owned":
        return d[option.server]
    power = d["server_watts"] / 1000 * d["power_overhead"] * HOURS * d["kwh"]
    return d["server_eur"] / d["server_years"] / 12 + power + d["rack_eur"]


def _hours(option: Option) -> str:
    return "hours_bought" if option.api else "hours_owned" if option.server == "owned" else "hours_self_hosted"


def _tokens(option: Option, d: Draws) -> Values:
    million = d["queries_a_day"] * DAYS / 1e6
    return million * (d["prompt_tokens"] * d[f"{option.api}_in"] + d["answer_tokens"] * d[f"{option.api}_out"])


def _store(option: Option, d: Draws) -> Values:
    if option.store == "qdrant":
        # 1.5 times the vectors: https://qdrant.tech/documentation/guides/capacity-planning/
        return stored(d) * d["dimensions"] * 4 * 1.5 / 1e9 * d["qdrant_gb"]
    kb = d["dimensions"] * 4 / 1024 + 1  # a vector and its metadata
    used = stored(d) * kb / 1e6 * d["pinecone_storage"] + written(d) * kb / 1e6 * d["pinecone_write"]
    used = used + d["queries_a_day"] * DAYS * d["read_units_a_query"] / 1e6 * d["pinecone_read"]
    return np.maximum(used, d["pinecone_least"])
