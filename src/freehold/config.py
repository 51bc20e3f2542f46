"""``freehold.toml`` to frozen settings, where every value knows where it came from.

The dataclasses below are the whole language of the file: a section each, a field each, its type, default and meaning.
``load`` reads a file, ``render`` writes one. Secrets are references (``{ env = "NAME" }`` or ``{ file = "PATH" }``).
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from freehold.core.errors import SettingsError
from freehold.core.retention import Retention
from freehold.endpoints import Declared, endpoints, read_declared

FILE_NAME = "freehold.toml"


def _setting(default: Any, help: str, *, low: float | None = None, high: float | None = None) -> Any:
    metadata = {"help": help, "low": low, "high": high}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret, never the secret: an environment variable or a file that holds it."""

    env: str | None = None
    file: str | None = None

    def reveal(self) -> str:
        """The secret's value. Raises SettingsError when the variable or file is missing or empty."""
        if self.env is not None:
            value = os.environ.get(self.env, "")
            where = f"the environment variable {self.env}"
        else:
            path = Path(self.file or "").expanduser()
            try:
                value = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                value = ""
            where = f"the file {path}"
        if not value:
            raise SettingsError(f"{where} holds no secret", hint=f"set {where} or correct the reference in {FILE_NAME}")
        return value


@dataclass(frozen=True, slots=True)
class HouseSettings:
    """[house]: what the house is called, whose languages it speaks, where its data may go."""

    name: str = _setting("", "shown in reports")
    languages: tuple[str, ...] = _setting(
        ("en",), "ISO 639-1 codes of the documents' languages; choose model and stemming"
    )
    regions: tuple[str, ...] = _setting(("eu",), "remote endpoints outside these regions are refused")
    operator: str = _setting("", "who runs the house; also endpoints on private addresses that name no other operator")


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """[ingest]: limits under which every file is parsed, in a process of its own."""

    max_file_mb: int = _setting(64, "larger files are quarantined", low=1)
    cpu_s: int = _setting(60, "processor seconds for one file", low=1)
    wall_s: int = _setting(120, "seconds on the clock for one file", low=1)
    memory_mb: int = _setting(2048, "address space of a parsing process", low=256)
    near_duplicate: float = _setting(0.9, "Jaccard similarity from which two documents are linked", low=0.8, high=1.0)


@dataclass(frozen=True, slots=True)
class ChunkingSettings:
    """[chunking]: how documents are cut. Budgets are in the embedder's own tokens."""

    kind: Literal["tokens", "sentences", "structure", "clauses"] = _setting("structure", "how texts are cut")
    max_tokens: int = _setting(256, "all that the model reads of a chunk: text, heading path, its own marks", low=64)
    overlap_tokens: int = _setting(32, "shared by neighbouring chunks", low=0)


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """[embedder]: which model turns texts into vectors."""

    kind: Literal["onnx", "sentence-transformers", "openai"] = _setting("onnx", "which engine runs the model")
    model: str = _setting("", "packaged name, local folder or model id; empty: chosen from house.languages")
    endpoint: str = _setting("", "base URL of an OpenAI-compatible server, for kind openai")
    region: str = _setting("", "where the endpoint is run, for endpoints off this machine")
    operator: str = _setting("", "who runs the endpoint, for endpoints off this machine")
    api_key: Secret | None = _setting(None, "reference to the endpoint's key")
    timeout_s: float = _setting(30.0, "for one request to the endpoint", low=0.1)
    threads: int = _setting(0, "processor threads; 0 takes every core", low=0)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """[index]: the vector engine."""

    kind: Literal["qdrant-edge", "qdrant"] = _setting("qdrant-edge", "embedded in the house, or on a Qdrant server")
    hnsw_ef: int = _setting(256, "breadth of the approximate search; higher is slower and closer to exact", low=16)
    endpoint: str = _setting("", "URL of the server, for kind qdrant; its port is 6333 where none is given")
    region: str = _setting("", "where the server is run, for servers off this machine")
    operator: str = _setting("", "who runs the server, for servers off this machine")
    api_key: Secret | None = _setting(None, "reference to the server's key")
    timeout_s: float = _setting(30.0, "for one request to the server, in whole seconds", low=1.0)
    shards: int = _setting(1, "parts of a collection; each has term statistics of its own", low=1)
    replicas: int = _setting(1, "copies of each part, on as many nodes", low=1)


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """[retrieval]: how candidates are found and fused."""

    mode: Literal["hybrid", "dense", "lexical"] = _setting("hybrid", "which legs are asked")
    fusion: Literal["rrf", "dbsf", "weighted"] = _setting("weighted", "how two legs become one list")
    rrf_k: int = _setting(60, "rank constant of reciprocal rank fusion", low=1)
    dense_weight: float = _setting(0.5, "share of the dense leg in rrf and weighted fusion", low=0.0, high=1.0)
    candidates: int = _setting(100, "hits taken from each leg", low=1, high=10_000)
    rerank_depth: int = _setting(50, "hits that the reranker scores again", low=1, high=1_000)


@dataclass(frozen=True, slots=True)
class RerankerSettings:
    """[reranker]: the second look at the best candidates."""

    kind: Literal["late-interaction", "cross-encoder", "none"] = _setting("late-interaction", "which reranker")
    model: str = _setting("", "folder or packaged name; empty: the embedder's own token vectors")
    weight: float = _setting(0.5, "share of the reranker's score beside the first stage's", low=0.0, high=1.0)
    budget_ms: float = _setting(0.0, "time for scoring; fewer hits are scored where it is short; 0: no limit", low=0.0)


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """[generator]: who words the answers."""

    kind: Literal["extractive", "openai", "llama-cpp"] = _setting("extractive", "which generator")
    model: str = _setting("", "model id at the endpoint, or a packaged name or GGUF file for llama-cpp")
    endpoint: str = _setting("", "base URL of an OpenAI-compatible server, for kind openai")
    region: str = _setting("", "where the endpoint is run, for endpoints off this machine")
    operator: str = _setting("", "who runs the endpoint, for endpoints off this machine")
    api_key: Secret | None = _setting(None, "reference to the endpoint's key")
    timeout_s: float = _setting(30.0, "for one whole answer", low=0.1)
    context_tokens: int = _setting(0, "size of the context window; 0 asks the model", low=0)
    answer_tokens: int = _setting(512, "longest answer", low=16)
    passages: int = _setting(8, "hits that are offered to the generator", low=1, high=100)


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """[judge]: who decides, when answers are evaluated, whether a sentence is supported by what it cites."""

    kind: Literal["alignment", "openai"] = _setting("alignment", "the house's own alignment, or a model as well")
    model: str = _setting("", "model id at the endpoint")
    endpoint: str = _setting("", "base URL of an OpenAI-compatible server, for kind openai")
    region: str = _setting("", "where the endpoint is run, for endpoints off this machine")
    operator: str = _setting("", "who runs the endpoint, for endpoints off this machine")
    api_key: Secret | None = _setting(None, "reference to the endpoint's key")
    timeout_s: float = _setting(30.0, "for one verdict", low=0.1)
    sample: str = _setting("", "labelled pairs to calibrate on (.jsonl); empty: the packaged ones")


@dataclass(frozen=True, slots=True)
class GateSettings:
    """[gate]: what a candidate must show before it may replace what is live. Declare it before the run."""

    dataset: str = _setting("", "labelled set that decides: a BEIR folder or a .jsonl file; relative to this file")
    split: str = _setting("", "its split; empty: test, else dev, else the only one")
    measures: tuple[str, ...] = _setting(("nDCG@10", "R@50"), "measures that may not drop")
    slices: tuple[str, ...] = _setting(
        (), "fields whose every value is checked too: language, length, ambiguity, metadata"
    )
    margin: float = _setting(0.01, "drop that is tolerated over all queries", low=0.0, high=1.0)
    slice_margin: float = _setting(0.05, "drop that is tolerated on a slice", low=0.0, high=1.0)
    alpha: float = _setting(0.05, "accepted probability of a wrong verdict, each way", low=0.0001, high=0.5)
    p95_ms: float = _setting(0.0, "limit on the 95th percentile of a search; 0: none", low=0.0)
    searches: int = _setting(200, "searches that are timed", low=0, high=100_000)
    resamples: int = _setting(10_000, "bootstrap and permutation resamples", low=1_000, high=1_000_000)
    seed: int = _setting(0, "of every random draw", low=0)


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """[privacy]: how people are found in what the house holds, and how soon a model and the query log forget them."""

    detector: Literal["rampart", "presidio"] = _setting(
        "rampart", "which engine finds people, beside the rules by shape"
    )
    presidio_models: tuple[str, ...] = _setting(
        ("en_core_web_sm",), "for presidio: a spaCy model for each of house.languages, package or folder"
    )
    numbers: tuple[str, ...] = _setting((), "regular expressions of numbers under which people are known here")
    recipients: tuple[str, ...] = _setting((), "whom data is passed on to: they must be told of an erasure (Art. 19)")
    switch_off_days: int = _setting(30, "days after which such a model stops serving, replaced or not", low=1)
    query_retention_days: int = _setting(30, "days that the query log keeps what was asked", low=1)
    document_retention_days: int = _setting(0, "days that a document stays, from when it came in; 0: for good", low=0)
    document_retention: tuple[str, ...] = _setting(
        (), "PATTERN: DAYS for sources that are like it, in place of that; the first that fits; 0: for good"
    )
    document_date: str = _setting("", "field of the documents with the date that days count from, where it has one")

    @property
    def retention(self) -> Retention:
        """How long documents stay. Raises SettingsError."""
        return Retention.read(self.document_retention, self.document_retention_days)


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """[schedule]: what is done again and again, by ``freehold serve`` or ``freehold schedule run``, and how often.

    Paths are relative to this file.
    """

    retrain_days: int = _setting(7, "between two rounds of training again without the erased; 0: never", low=0)
    reprobe_days: int = _setting(30, "between two searches for what certificates say is gone; 0: never", low=0)
    expire_days: int = _setting(1, "between two times that the query log forgets what is too old; 0: never", low=0)
    purge_days: int = _setting(1, "between two times that documents go whose time is over; 0: never", low=0)
    watch_days: int = _setting(1, "between two looks for drift; 0: never, unless freehold watch is called", low=0)
    remedy_days: int = _setting(
        14, "least between two trainings after an alarm, where watch.retrain = run; 0: never", low=0
    )
    checkpoint_days: int = _setting(1, "between two times that the ledger is verified and witnessed; 0: never", low=0)
    witness: str = _setting("", "file, outside of the house, that the ledger's checkpoint is written to; empty: none")
    backup_days: int = _setting(0, "between two backups; 0: never", low=0)
    backup_folder: str = _setting("", "folder, outside of the house, that gets a folder for each backup")
    backup_keys: str = _setting("", "key file of these backups, apart from them")
    backup_kept_days: int = _setting(30, "how long such a backup is kept", low=1)
    service: bool = _setting(True, "freehold serve does what is due; false leaves it to freehold schedule run")


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """[watch]: ``freehold watch``, which looks whether what is asked and what is held is still as it was."""

    false_alarms_per_month: float = _setting(
        0.1, "how many are allowed while nothing changes, all signals together", low=0.0001, high=10.0
    )
    canaries: str = _setting("", "questions with known answers (.jsonl); relative to this file; empty: gate.dataset's")
    canary_hits: int = _setting(10, "a canary's answer must be among so many hits", low=1, high=100)
    retrain: Literal["propose", "run"] = _setting(
        "propose", "after an alarm: name the commands, or train a query adapter and let the gate decide"
    )


@dataclass(frozen=True, slots=True)
class RecordsSettings:
    """[records]: what ``freehold records`` cannot know of itself. What is left empty is shown as to be filled in.

    A list that holds ``none`` alone says that there is none.
    """

    controller: str = _setting("", "who decides what the house is for, and how (Art. 4(7) GDPR)")
    contact: str = _setting("", "how the controller is reached")
    joint_controllers: tuple[str, ...] = _setting((), "who decides with them (Art. 26), with contact")
    representative: str = _setting("", "in the Union, of a controller outside of it (Art. 27), with contact; or none")
    officer: str = _setting("", "data protection officer, with contact; or none")
    purposes: tuple[str, ...] = _setting((), "what the documents are searched for")
    lawful_basis: tuple[str, ...] = _setting((), "letter of Art. 6(1) for each purpose, and the interest under (f)")
    subjects: tuple[str, ...] = _setting((), "categories of people in the documents")
    data: tuple[str, ...] = _setting((), "categories of personal data in the documents")
    special: tuple[str, ...] = _setting((), "categories under Art. 9 or 10 among them, and what allows it")
    transfers: tuple[str, ...] = _setting((), "third countries that data goes to, and the safeguard (Art. 44 to 49)")
    retention: tuple[str, ...] = _setting((), "how long documents of each category stay")
    security: tuple[str, ...] = _setting((), "measures around the house: disks, rooms, people, training")
    necessity: str = _setting("", "why no less data and no milder way would do (Art. 35(7)(b))")
    risks: tuple[str, ...] = _setting((), "NAME: how likely, how grave, what is left, for each risk that is listed")
    views: str = _setting("", "what those concerned or their representatives said (Art. 35(9)), or why not asked")
    advice: str = _setting("", "what the data protection officer advised (Art. 35(2))")
    review: str = _setting("", "when the assessment is looked at again (Art. 35(11))")
    provider: str = _setting("", "who puts the system into service under their name (Art. 3(3) AI Act)")
    intended_purpose: str = _setting("", "for whom and for what, under which conditions (Art. 3(12) AI Act)")
    risk_class: str = _setting("", "point of Annex III that makes it high-risk, or why none does (Art. 6 AI Act)")
    oversight: tuple[str, ...] = _setting((), "who looks after the answers, and may overrule or stop (Art. 14 AI Act)")
    standards: tuple[str, ...] = _setting((), "harmonised standards and specifications applied")
    declaration: str = _setting("", "where the EU declaration of conformity is (Art. 47 AI Act), or why there is none")
    monitoring: str = _setting("", "where the plan for monitoring in use is (Art. 72 AI Act)")


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """[traffic]: what is kept of what is asked through the service."""

    query_log: bool = _setting(False, "keep questions, what was shown for them, clicks and thumbs; else nothing")
    answers: bool = _setting(False, "keep the text of answers too")


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """[tracking]: where trained versions are logged besides the house's own registry."""

    kind: Literal["none", "mlflow"] = _setting("none", "which tracker")
    endpoint: str = _setting("", "URL of an MLflow server, or a folder")
    region: str = _setting("", "where the server is run, for servers off this machine")
    operator: str = _setting("", "who runs the server, for servers off this machine")
    artefacts: bool = _setting(False, "send the files of a version too, not only what is said of it")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """[server]: ``freehold serve``. Who may do what is said by keys: see ``freehold keys``."""

    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 listens on all")
    port: int = _setting(8080, "TCP port", low=0, high=65535)
    hosts: tuple[str, ...] = _setting((), "names by which MCP clients call it, besides localhost and addresses")
    engines: int = _setting(0, "processes that search; 0: one for each core, 8 at most", low=0, high=64)
    queue: int = _setting(64, "requests that may wait; what comes beyond is refused at once", low=1, high=10_000)
    timeout_s: float = _setting(10.0, "for one search, unless its caller wants less", low=0.05)
    answer_timeout_s: float = _setting(60.0, "for one answer, unless its caller wants less", low=0.05)
    rate_per_s: float = _setting(0.0, "requests a second for each key; 0: no limit", low=0.0)
    cache: int = _setting(1_000, "results of searches kept in memory until anything changes; 0: none", low=0)
    cache_people: bool = _setting(True, "also keep results of questions that name somebody; false reads each for names")
    mask_people: bool = _setting(False, "bars over people whom the question does not name, in all that is given out")
    max_body_mb: int = _setting(1, "largest body of a request that uploads nothing", low=1)
    max_upload_mb: int = _setting(256, "largest upload, all its files together", low=1)
    origins: tuple[str, ...] = _setting((), "web origins whose pages may call the service (CORS)")
    oidc_issuer: str = _setting("", "URL of an OpenID provider whose bearer tokens are taken too")
    oidc_audience: str = _setting("freehold", "for whom its tokens must be made out")
    oidc_region: str = _setting("", "where the provider is run, if off this machine")
    oidc_operator: str = _setting("", "who runs the provider, if off this machine")
    otlp_endpoint: str = _setting("", "base URL of an OpenTelemetry collector that traces are sent to; empty: none")
    otlp_region: str = _setting("", "where the collector is run, if off this machine")
    otlp_operator: str = _setting("", "who runs the collector, if off this machine")


@dataclass(frozen=True, slots=True)
class ResidencySettings:
    """[residency]: where the house may go besides the endpoints that other sections name."""

    also: tuple[Declared, ...] = _setting(
        (), "tables of host, operator, region, purpose: an OpenID provider's second host, MLflow's store of files"
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in force. ``origins`` tells for each dotted key where its value came from."""

    house: HouseSettings = HouseSettings()
    ingest: IngestSettings = IngestSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    index: IndexSettings = IndexSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    reranker: RerankerSettings = RerankerSettings()
    generator: GeneratorSettings = GeneratorSettings()
    judge: JudgeSettings = JudgeSettings()
    gate: GateSettings = GateSettings()
    privacy: PrivacySettings = PrivacySettings()
    schedule: ScheduleSettings = ScheduleSettings()
    watch: WatchSettings = WatchSettings()
    records: RecordsSettings = RecordsSettings()
    traffic: TrafficSettings = TrafficSettings()
    tracking: TrackingSettings = TrackingSettings()
    server: ServerSettings = ServerSettings()
    residency: ResidencySettings = ResidencySettings()
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def embedder_model(self) -> str:
        """The model in force: the one named, else by the house's languages."""
        if self.embedder.model:
            return self.embedder.model
        return "all-minilm-l6-v2" if set(self.house.languages) == {"en"} else "multilingual-e5-small"

    def items(self) -> list[tuple[str, object, str]]:
        """(dotted key, value, origin) of every setting, in the order of the file."""
        return [
            (
                f"{section}.{f.name}",
                getattr(getattr(self, section), f.name),
                self.origins.get(f"{section}.{f.name}", "default"),
            )
            for section, kind in SECTIONS.items()
            for f in dataclasses.fields(kind)
        ]

    def with_values(self, values: Mapping[str, object], *, origin: str) -> Settings:
        """A copy with dotted keys replaced, checked like a file. Raises SettingsError."""
        tables: dict[str, dict[str, object]] = {}
        for key, value in values.items():
            section, _, name = key.partition(".")
            tables.setdefault(section, {})[name] = value
        return _build(tables, base=self, where=lambda _section, _key: origin)


SECTIONS: Mapping[str, type[Any]] = {
    f.name: typing.get_type_hints(Settings)[f.name] for f in dataclasses.fields(Settings) if f.name != "origins"
}


def load(path: Path) -> Settings:
    """Read a settings file. Raises SettingsError naming the line for anything that is not as it must be."""
    try:
        source = path.read_text(encoding="utf-8")
        tables = tomllib.loads(source)
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist", hint=f"freehold init {path.parent} makes a house") from None
    except OSError as e:
        hint = "give the folder of a house to --house"
        raise SettingsError(f"{path} cannot be read: {e.strerror}", hint=hint) from None
    except UnicodeDecodeError as e:
        raise SettingsError(f"{path} is not UTF-8 text (byte {e.start})", hint="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as e:
        raise SettingsError(f"{path} is not valid TOML: {e}", hint="see https://toml.io for the notation") from None
    lines = _line_numbers(source)
    return _build(tables, base=Settings(), where=lambda s, k: f"{path.name}:{lines.get((s, k), lines.get((s, ''), 1))}")


def render(values: Mapping[str, object], *, comments: bool = True) -> str:
    """The text of a settings file that holds ``values`` (dotted keys), and every other setting as a comment."""
    out = []
    for section, kind in SECTIONS.items():
        if not comments and not any(key.startswith(f"{section}.") for key in values):
            continue
        out.append(f"[{section}]")
        for f in dataclasses.fields(kind):
            key, text = f"{section}.{f.name}", f.metadata["help"]
            if key in values:
                out.append(f"{f.name} = {_toml(values[key])}")
            elif comments and f.default is not None:
                out.append(f"# {f.name} = {_toml(f.default)}".ljust(34) + f"  # {text}")
        out.append("")
    return "\n".join(out)


def _build(tables: Mapping[str, Any], *, base: Settings, where: typing.Callable[[str, str], str]) -> Settings:
    origins = dict(base.origins)
    sections: dict[str, Any] = {}
    for section, table in tables.items():
        kind = SECTIONS.get(section)
        if kind is None:
            raise _unknown("section", section, SECTIONS, where(section, ""))
        if not isinstance(table, dict):
            raise SettingsError(
                f"{section} at {where(section, '')} is not a section", hint=f"write [{section}] above its keys"
            )
        hints, fields = typing.get_type_hints(kind), {f.name: f for f in dataclasses.fields(kind)}
        values = {}
        for name, raw in table.items():
            at = where(section, name)
            if name not in fields:
                raise _unknown("key", f"{section}.{name}", [f"{section}.{n}" for n in fields], at)
            values[name] = _convert(raw, hints[name], fields[name], f"{section}.{name}", at)
            origins[f"{section}.{name}"] = at
        sections[section] = dataclasses.replace(getattr(base, section), **values)
    settings = dataclasses.replace(base, **sections, origins=origins)
    _check(settings)
    return settings


def _convert(raw: object, kind: Any, spec: dataclasses.Field[Any], key: str, at: str) -> object:
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if raw not in choices:
            near = difflib.get_close_matches(str(raw), choices, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SettingsError(f"{key} = {raw!r} at {at} is not a choice", hint=f"{hint}one of: {', '.join(choices)}")
        return raw
    if typing.get_origin(kind) is types.UnionType:
        return _secret(raw, key, at)
    if kind == tuple[Declared, ...]:
        return read_declared(raw, key, at)
    if kind == tuple[str, ...]:
        if not isinstance(raw, list | tuple) or not all(isinstance(item, str) for item in raw):
            raise SettingsError(f"{key} at {at} must be a list of strings", hint=f'for example {spec.name} = ["en"]')
        return tuple(raw)
    if kind is float and type(raw) is int:
        raw = float(raw)
    if type(raw) is not kind:
        raise SettingsError(
            f"{key} at {at} must be {_NAMES[kind]}, not {_NAMES.get(type(raw), type(raw).__name__)}",
            hint=f"the default is {spec.name} = {_toml(spec.default)}",
        )
    low, high = spec.metadata["low"], spec.metadata["high"]
    if (low is not None and not raw >= low) or (high is not None and not raw <= high):  # NaN passes neither
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise SettingsError(f"{key} = {raw} at {at} is out of range", hint=f"it must be {bounds}")
    return raw


_NAMES: Mapping[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def _secret(raw: object, key: str, at: str) -> Secret:
    if (
        isinstance(raw, dict)
        and len(raw) == 1
        and all(k in {"env", "file"} and isinstance(v, str) for k, v in raw.items())
    ):
        return Secret(**raw)
    raise SettingsError(
        f"{key} at {at} must be a reference to a secret, not the secret",
        hint=f'write {key.partition(".")[2]} = {{ env = "NAME_OF_A_VARIABLE" }} or {{ file = "PATH" }}',
    )


def _unknown(what: str, name: str, known: typing.Iterable[str], at: str) -> SettingsError:
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return SettingsError(f"unknown {what} {name} at {at}", hint=hint, refs=(name,))


def _check(settings: Settings) -> None:
    """Rules that tie several keys together."""
    if not settings.house.languages:
        raise SettingsError("house.languages is empty", hint='name the documents\' languages, for example ["en", "de"]')
    for language in settings.house.languages:
        if not re.fullmatch("[a-z]{2}", language):
            raise SettingsError(
                f"house.languages holds {language!r}", hint='use ISO 639-1 codes, for example ["en", "de"]'
            )
    _check_schedule(settings)
    _ = settings.privacy.retention
    tracking = settings.tracking
    if tracking.kind != "none" and not tracking.endpoint:
        hint = 'a URL or a folder, for example endpoint = "http://127.0.0.1:5000"'
        raise SettingsError(f"tracking.kind = {tracking.kind} needs tracking.endpoint", hint=hint)
    endpoints(settings)
    for name, part in (("embedder", settings.embedder), ("generator", settings.generator), ("judge", settings.judge)):
        if part.kind == "openai" and not part.model:
            hint = "the model id that the endpoint serves"
            raise SettingsError(f"{name}.kind = openai needs {name}.model", hint=hint)


def _check_schedule(settings: Settings) -> None:
    part = settings.schedule
    if part.backup_days and not (part.backup_folder and part.backup_keys):
        hint = "name both, on disks apart from each other and from the house, or set it to 0"
        raise SettingsError("schedule.backup_days needs schedule.backup_folder and schedule.backup_keys", hint=hint)
    if settings.watch.retrain == "run" and not settings.gate.dataset:
        hint = "declare the labelled questions that are to decide, or leave watch.retrain at propose"
        raise SettingsError("watch.retrain = run needs gate.dataset", hint=hint)


def _line_numbers(source: str) -> dict[tuple[str, str], int]:
    """(section, key) -> line, and (section, "") -> the section's own line, for messages."""
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(source.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)", line):
            section = header[1]
            lines.setdefault((section, ""), number)
        elif pair := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line):
            lines.setdefault((section, pair[1]), number)
    return lines


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Declared):
        return "{ " + ", ".join(f"{key} = {_toml(said)}" for key, said in dataclasses.asdict(value).items()) + " }"
    if isinstance(value, Secret):
        kind, name = ("env", value.env) if value.env is not None else ("file", value.file)
        return f"{{ {kind} = {_toml(name)} }}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
    return str(value)
