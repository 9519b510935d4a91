from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dynface_video.errors import InputError
from training.gpu.checkpoint import load_parts, save_in_parts

CPU = torch.device("cpu")


def state(seed: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(seed)
    return {"weights": {"a": torch.randn(500, generator=generator)}, "step": seed}


def test_a_state_comes_back_from_small_parts(tmp_path: Path) -> None:
    parts = save_in_parts(state(3), tmp_path, "prior", part_bytes=1000)
    assert len(parts) > 2 and all(part.stat().st_size <= 1000 for part in parts)
    loaded = load_parts(tmp_path, "prior", CPU)
    assert loaded is not None and loaded["step"] == 3
    assert torch.equal(loaded["weights"]["a"], state(3)["weights"]["a"])  # type: ignore[index]


def test_only_the_last_state_is_kept(tmp_path: Path) -> None:
    save_in_parts(state(1), tmp_path, "prior", part_bytes=1000)
    parts = save_in_parts(state(2), tmp_path, "prior", part_bytes=1000)
    assert {path.name for path in tmp_path.iterdir()} == {part.name for part in parts} | {"prior.json"}
    assert load_parts(tmp_path, "prior", CPU)["step"] == 2  # type: ignore[index]


def test_a_write_that_broke_off_leaves_the_state_before(tmp_path: Path) -> None:
    save_in_parts(state(1), tmp_path, "prior")
    (tmp_path / "prior.1.000").write_bytes(b"half of the next one")
    assert load_parts(tmp_path, "prior", CPU)["step"] == 1  # type: ignore[index]


def test_no_state_is_none_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    assert load_parts(tmp_path, "prior", CPU) is None
    (part,) = save_in_parts(state(1), tmp_path, "prior")
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged"):
        load_parts(tmp_path, "prior", CPU)
    part.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load_parts(tmp_path, "prior", CPU)
