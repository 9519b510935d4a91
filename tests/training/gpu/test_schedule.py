from __future__ import annotations

import pytest

from training.gpu.schedule import average_decay, learning_rate_factor, shares_of_time


def test_shares_fill_the_time() -> None:
    parts = shares_of_time({"prior": 3.0, "sampler": 1.0}, 540)
    assert parts == {"prior": 405.0, "sampler": 135.0}


def test_a_part_without_time_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        shares_of_time({"prior": 0.0}, 540)
    with pytest.raises(ValueError, match="positive"):
        shares_of_time({"prior": 1.0}, 0)


def test_the_learning_rate_rises_stays_and_ends_at_zero() -> None:
    rates = [learning_rate_factor(k / 100) for k in range(101)]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates[3:50] == [1.0] * 47
    assert rates[:4] == sorted(rates[:4]) and rates[50:] == sorted(rates[50:], reverse=True)
    assert learning_rate_factor(1.3) == pytest.approx(0, abs=1e-12)


def test_the_averages_horizon_grows_with_the_run() -> None:
    assert average_decay(0, 0.999) == 0.1
    assert average_decay(80, 0.999) == pytest.approx(0.9)
    assert average_decay(10**6, 0.999) == 0.999
