"""How long a query adapter takes: embedding the queries, training, choosing, and the whole of `freehold tune adapter`.

    python bench/tuning/adapter_speed.py [--data DIR] [--set obliqa] [--pairs 2000] [--work DIR]

The set is ingested into a house once, which is not timed, nor is the making of the training set. Parts are timed one
after another in this process; the passages' vectors are in the house's catalog, as they always are. The reference is
the same training of one setting in torch (one linear layer on the same batches, loss and Adam torch's own), where torch
is installed. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from freehold.house import House, open_house
from freehold.train.adapter import LADDER, Adapter, AdapterTraining, Pairs, choose, train
from freehold.train.adapter import _batches as batches_of
from freehold.tuning import adapter, data

HERE = Path(__file__).parent
LANGUAGES = {"cnil-fr": ("fr",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("FREEHOLD_DATA") or HERE.parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--set", default="obliqa")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--work", type=Path, default=Path(".bench/tuning"))
    options = parser.parse_args()
    folder, root = options.data / options.set, options.work / options.set
    if not root.exists():
        values = {"house.name": options.set, "house.languages": LANGUAGES.get(options.set, ("en",))}
        with House.create(root, values) as house:
            house.ingest_beir(folder, progress=say)
    with open_house(root) as house:
        training = data.prepare(house, data.Request(dataset=folder), progress=say, pseudonymise=False)
        print(json.dumps(measured(house, training, options), indent=1))


def measured(house: House, training: Any, options: argparse.Namespace) -> dict[str, Any]:
    examples = training.part("train")[: options.pairs]
    seconds: dict[str, dict[str, float]] = {}
    house.engines()  # models and index are open already where a house serves
    labels = training.dev_labels()
    texts = [example.query for example in examples]
    timed(seconds, "queries embedded", lambda: adapter.embedded(house, texts, silent))
    pairs = timed(seconds, "queries embedded, passages read", lambda: adapter._pairs(house, examples, silent))
    trained = [(LADDER[0], timed(seconds, "one setting trained", lambda: train(pairs, LADDER[0])))]
    trained += timed(seconds, "the other settings trained", lambda: [(s, train(pairs, s)) for s in LADDER[1:]])
    reach = [made for _, made in trained]
    dev = timed(seconds, "dev part searched", lambda: adapter.DevSearch.of(house, labels, silent, reach=reach))
    timed(seconds, "chosen", lambda: choose(trained, dev.scores))
    if torch_here():
        other = timed(seconds, "one setting trained in torch", lambda: in_torch(pairs, LADDER[0]))
        difference = float(np.abs(other.weight - trained[0][1].weight).max() / np.abs(other.weight).max())
    else:
        difference = None
    whole = timed(seconds, "freehold tune adapter", lambda: tuned(house, training))
    return {
        "set": options.set,
        "pairs": len(pairs.ids),
        "passages": len(pairs.passages),
        "dev_queries": len(dev.queries),
        "dim": pairs.queries.shape[1],
        "seconds": seconds,
        "largest_relative_difference_to_torch": difference,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "settings_chosen": dict(whole.version.settings),
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()},
    }


def tuned(house: House, training: Any) -> Any:
    """The whole, as the command does it; the version is removed again."""
    made = adapter.tune_adapter(house, training, adapter.Request(), progress=silent)
    house.registry.remove(made.version.id)
    return made


def in_torch(pairs: Pairs, settings: AdapterTraining) -> Adapter:
    """The same batches, candidates and rates, gradients and Adam by torch."""
    import torch

    torch.set_num_threads(1)
    dim = pairs.queries.shape[1]
    weight, bias = torch.zeros(dim, dim, requires_grad=True), torch.zeros(dim, requires_grad=True)
    steps = settings.epochs * -(-len(pairs.ids) // settings.batch_size)
    optimiser = torch.optim.Adam([weight, bias], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    rng = np.random.Generator(np.random.PCG64([settings.seed, 0]))
    for epoch in range(settings.epochs):
        for batch in batches_of(pairs, settings, f"{settings.seed}:0:{epoch}", rng):
            queries = torch.from_numpy(batch.queries)
            unit = torch.nn.functional.normalize(queries + queries @ weight + bias, dim=1)
            logits = unit @ torch.from_numpy(batch.candidates).T / settings.temperature
            logits = logits.masked_fill(torch.from_numpy(batch.barred), -torch.inf)
            losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.sought), reduction="none")
            loss = (losses * torch.from_numpy(batch.salience)).sum()
            loss = loss + settings.l2 / 2 * (weight.square().sum() + bias.square().sum())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Adapter(weight.detach().numpy(), bias.detach().numpy())


def timed(seconds: dict[str, dict[str, float]], name: str, work: Callable[[], Any]) -> Any:
    """``processor`` is time of all threads: what other work on the machine does not change much."""
    started, before = time.perf_counter(), time.process_time()
    with threadpool_limits(limits=os.cpu_count()):
        result = work()
    wall, processor = time.perf_counter() - started, time.process_time() - before
    seconds[name] = {"wall": round(wall, 2), "processor": round(processor, 2)}
    print(f"{name}: {wall:.1f} s, {processor:.1f} s of processor", file=sys.stderr)
    return result


def torch_here() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def say(stage: str, done: int, total: int) -> None:
    if done == total:
        print(f"{stage}: {done}", file=sys.stderr)


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


if __name__ == "__main__":
    main()
