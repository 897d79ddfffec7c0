import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfrec.deploy.served_version import Batchable
from tfrec.deploy.serving_config import (
    parse_versions,
    render_batching,
    render_models,
    render_monitoring,
)
from tfrec.errors import UserError
from tfrec.serving.batching import BatchingParameters, read_batching_parameters
from tfrec.serving.model_config import All, Latest, ModelConfig, Specific, listed_models
from tfrec.serving.monitoring import read_monitoring_config


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("latest", Latest(1)),
        ("latest:3", Latest(3)),
        ("all", All()),
        ("7", Specific(frozenset([7]))),
        ("3,5", Specific(frozenset([3, 5]))),
    ],
)
def test_versions_are_read_as_they_are_written(text, policy):
    assert parse_versions(text) == policy


@pytest.mark.parametrize("text", ["", "newest", "latest:0", "latest:x", "3,", "-1", "3;5"])
def test_versions_that_are_not_understood_are_refused(text):
    with pytest.raises(UserError, match=r"versions: '.*': not understood; write latest"):
        parse_versions(text)


def test_models_come_back_from_the_message_as_they_went_in(tmp_path):
    models = (
        ModelConfig("shop", tmp_path / "shop", Specific(frozenset([2, 3])), {"stable": 2}),
        ModelConfig("news", tmp_path / "news", Latest(2)),
        ModelConfig("tv", tmp_path / 'a "b"', All(), {"any": 9}),
    )

    text = render_models(models)

    read = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert listed_models(read) == models
    assert {model.model_platform for model in read.model_config_list.config} == {"tensorflow"}


def test_model_listed_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="shop: listed twice"):
        render_models([ModelConfig("shop", tmp_path), ModelConfig("shop", tmp_path / "other")])


def test_label_of_a_version_that_is_not_served_is_refused(tmp_path):
    model = ModelConfig("shop", tmp_path, Specific(frozenset([2, 3])), {"stable": 4})

    with pytest.raises(UserError, match="label: stable=4: not among the versions served, 2, 3"):
        render_models([model])


def test_batching_says_what_it_refuses_and_what_has_to_be_alike(tmp_path):
    shop = Batchable(("embed_query", "serving_default"), ("serving_default",), ("recommend",))
    news = Batchable(("rank",), ("rank",), ())

    text = render_batching(48, [shop, news])

    file = tmp_path / "batching.config"
    file.write_text(text)
    assert read_batching_parameters(file) == BatchingParameters(
        max_batch_size=48, batch_timeout_micros=1000
    )
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments == [
        "# Refused while this is in use (they hold single values): recommend.",
        "# Requests that meet need lists of one length: rank, serving_default.",
    ]


def test_batching_of_what_cannot_be_batched_is_refused():
    with pytest.raises(UserError, match="batch-size: no signature can be batched"):
        render_batching(48, [Batchable((), (), ("recommend",))])


def test_metrics_are_where_tensorflow_serving_has_them(tmp_path):
    file = tmp_path / "monitoring.config"
    file.write_text(render_monitoring())

    assert read_monitoring_config(file) == "/monitoring/prometheus/metrics"
