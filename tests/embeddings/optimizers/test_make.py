import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from tfrec.config import Section, validate
from tfrec.embeddings.optimizers.config import OptimizerSettings
from tfrec.embeddings.optimizers.make import make_optimizer
from tfrec.errors import UserError

KINDS = ["rowwise_adagrad", "adagrad", "lazy_adam", "ftrl", "sgd"]


class Training(Section):
    optimizer: OptimizerSettings


def settings(kind: str, **fields: float) -> OptimizerSettings:
    return TypeAdapter(OptimizerSettings).validate_python({"kind": kind, **fields})


@pytest.mark.parametrize("kind", KINDS)
def test_optimizer_takes_every_field_of_its_settings(kind: str) -> None:
    chosen = settings(kind, learning_rate=0.25, clip_norm=2, weight_decay=0.5)

    config = make_optimizer(chosen).get_config()

    assert config == {"name": kind, **chosen.model_dump(exclude={"kind"})}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight_decay", [0, 0.1])
def test_state_takes_the_floats_that_settings_promise(kind: str, weight_decay: float) -> None:
    chosen = settings(kind, weight_decay=weight_decay)
    optimizer = make_optimizer(chosen)

    optimizer.build([tf.Variable(tf.zeros([10, 7]))])

    floats = sum(slot.shape.num_elements() for slot in optimizer.variables[1:])
    assert floats == 10 * chosen.slot_floats(7)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"kind": "adamw"},
            "training.optimizer.kind: 'adamw': unknown; "
            "known: rowwise_adagrad, adagrad, lazy_adam, ftrl, sgd",
        ),
        (
            {"learning_rate": 0.1},
            "training.optimizer.kind: missing; "
            "known: rowwise_adagrad, adagrad, lazy_adam, ftrl, sgd",
        ),
        (
            {"kind": "sgd", "learning_rate": 0},
            "training.optimizer.learning_rate: 0: Input should be greater than 0",
        ),
        (
            {"kind": "adagrad", "beta_1": 0.9},
            "training.optimizer.beta_1: unknown key; "
            "known here: learning_rate, clip_norm, weight_decay, kind, initial_accumulator",
        ),
        (
            {"kind": "lazy_adam", "beta_2": 1},
            "training.optimizer.beta_2: 1: Input should be less than 1",
        ),
        (
            {"kind": "rowwise_adagrad", "initial_accumulator": 0},
            "training.optimizer.initial_accumulator: 0: Input should be greater than 0",
        ),
    ],
)
def test_wrong_settings_give_one_clear_line(given: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as error:
        validate(Training, {"optimizer": given}, "training")

    assert str(error.value) == line
