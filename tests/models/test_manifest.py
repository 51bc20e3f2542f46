from __future__ import annotations

import re

from freehold.models.manifest import cards


def test_every_packaged_model_is_pinned_throughout() -> None:
    assert list(cards()) == [
        "all-minilm-l6-v2", "multilingual-e5-small", "all-mpnet-base-v2", "smollm2-135m-instruct", "rampart"
    ]  # fmt: skip
    for card in cards().values():
        hashes = [file.sha256 for file in card.files + card.derived_from]
        hashes += [wheel.sha256 for source in card.sources for wheel in source.wheels]
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes), card.name
        assert card.licence in {"Apache-2.0", "MIT", "CC-BY-4.0"}
        assert card.attribution
        assert card.sources
        assert bool(card.derive) == bool(card.derived_from)
        assert not card.revision or re.fullmatch("[0-9a-f]{40}", card.revision)


def test_no_file_of_a_model_leaves_its_folder() -> None:
    for card in cards().values():
        for file in card.files:
            assert re.fullmatch(r"[\w.-]+(/[\w.-]+)*", file.path)
            assert ".." not in file.path
