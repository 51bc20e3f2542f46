"""A labelled set as training takes it: which split is learned from, which chooses settings, which is held out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from freehold.core.errors import UsageError
from freehold.measure.labels import Labels, read_labels, splits_of

NOTHING = "none"
"""In the place of a split: nothing of the set is learned from, and what it asks is kept out of what is."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The splits of a labelled set; all empty where there is none."""

    labels: dict[str, Labels] = field(default_factory=dict)
    """Split -> its labels."""
    train: str = ""
    held_out: tuple[str, ...] = ()
    """Those that are not learned from."""
    dev: str = ""
    """The one of them that is the dev part; empty where that is held out from train."""

    @property
    def digests(self) -> dict[str, str]:
        """Split -> digest of the files that it was read from."""
        return {split: labels.digest for split, labels in self.labels.items()}


def read_splits(dataset: Path | None, split: str | None) -> Splits:
    """All splits, each for its purpose.

    With train, dev and test, dev is the dev part. With train and one other, the other is what somebody will report on,
    and the dev part is held out from train, as it is where there is one split alone. ``split`` names what is learned
    from instead of train; ``train+dev`` takes both, ``none`` holds out all. Raises UsageError, naming file and line,
    for what is not as it must be, and where it is not clear what to learn from.
    """
    if dataset is None:
        return Splits()
    known = splits_of(dataset)
    if split == NOTHING:
        return Splits({name: read_labels(dataset, name) for name in known}, held_out=known)
    train = split or ("train" if "train" in known or not known else known[0] if len(known) == 1 else "")
    if not train:
        hint = f"choose what to learn from with --split: {', '.join(known)}"
        raise UsageError(f"{dataset} has no split called train", hint=hint)
    labels = {train: read_labels(dataset, train)}
    held_out = tuple(name for name in known if name not in {part.strip() for part in train.split("+")})
    labels |= {name: read_labels(dataset, name) for name in held_out}
    return Splits(labels, train, held_out, "dev" if "dev" in held_out and len(held_out) > 1 else "")
