import pytest
import tensorflow as tf

from tfrec.training.config import TrainingConfig
from tfrec.training.strategies import leads, make_strategy, shards, steps_per_dispatch


def test_a_single_device_needs_no_strategy() -> None:
    strategy = make_strategy(TrainingConfig(strategy="single"))

    assert strategy.num_replicas_in_sync == 1
    assert not tf.distribute.has_strategy()
    assert leads(strategy)


@pytest.mark.parametrize(
    ("shape", "parts"),
    [([4096, 8], [3, 1]), ([10**9, 8], [3, 1]), ([4095, 8], [1, 1]), ([10**6], [3]), ([8], [1])],
)
def test_long_variables_are_cut_over_all_servers_along_their_rows(
    shape: list[int], parts: list[int]
) -> None:
    assert shards(tf.TensorShape(shape), 3) == parts


def test_processes_in_step_make_one_step_at_a_time() -> None:
    steps = {
        strategy: steps_per_dispatch(TrainingConfig(strategy=strategy, steps_per_dispatch=7))
        for strategy in ("single", "mirrored", "multi_worker_mirrored", "parameter_server")
    }

    assert steps == {
        "single": 7,
        "mirrored": 7,
        "multi_worker_mirrored": 1,
        "parameter_server": 7,
    }
