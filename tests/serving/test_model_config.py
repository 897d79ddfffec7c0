from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfrec.errors import UserError
from tfrec.serving.model_config import (
    All,
    Latest,
    ModelConfig,
    Specific,
    listed_models,
    read_model_config,
)


def parse(text: str) -> tuple[ModelConfig, ...]:
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return listed_models(config)


def model(fields: str = "", name: str = "m", platform: str = "tensorflow") -> str:
    return (
        "model_config_list { config { base_path: '/models/m'"
        f" name: '{name}' model_platform: '{platform}' {fields} }} }}"
    )


def test_every_field_of_a_file_counts(tmp_path):
    file = tmp_path / "models.config"
    file.write_text(
        """
        # Two models.
        model_config_list {
          config {
            name: "demo"
            base_path: "/models/demo"
            model_platform: "tensorflow"
            model_version_policy { specific { versions: 1 versions: 2 } }
            version_labels { key: "stable" value: 1 }
            version_labels { key: "canary" value: 2 }
            logging_config { sampling_config { sampling_rate: 0.5 } }
          }
          config { name: "iris", base_path: "file:///models/iris", model_type: TENSORFLOW }
        }
        """
    )

    models = listed_models(read_model_config(file))

    assert models == (
        ModelConfig(
            "demo",
            Path("/models/demo"),
            Specific(frozenset({1, 2})),
            {"stable": 1, "canary": 2},
        ),
        ModelConfig("iris", Path("/models/iris")),
    )


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ("", {9}),
        ("model_version_policy {}", {9}),
        ("model_version_policy { latest {} }", {9}),
        ("model_version_policy { latest { num_versions: 2 } }", {5, 9}),
        ("model_version_policy { latest { num_versions: 7 } }", {-1, 5, 9}),
        ("model_version_policy { all {} }", {-1, 5, 9}),
        ("model_version_policy { specific { versions: [5, 6] } }", {5}),
        ("model_version_policy { specific {} }", set()),
    ],
)
def test_policies_choose_among_the_versions(policy, chosen):
    (config,) = parse(model(policy))

    assert config.policy.choose([5, -1, 9]) == chosen
    assert config.policy.choose([]) == set()


def test_policies_are_compared_by_what_they_choose():
    assert parse(model()) == parse(model("model_version_policy { latest { num_versions: 1 } }"))
    assert Latest() != Latest(2)
    assert All() == All()


def test_no_model_is_a_config_too():
    assert parse("") == ()
    assert parse("model_config_list {}") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (model(name=""), r"model_config_list.config\[0\]: name is missing; give one"),
        (
            "model_config_list { config { name: 'm' base_path: '/m' model_platform: 'tensorflow' }"
            " config { name: 'm' base_path: '/m' model_platform: 'tensorflow' } }",
            "Illegal to list model m multiple times in config list",
        ),
        (
            model(platform=""),
            r"Illegal setting neither ModelServerConfig::model_type \(deprecated\) nor"
            r" ModelServerConfig::model_platform\.",
        ),
        (
            model("model_type: TENSORFLOW"),
            r"Illegal setting both ModelServerConfig::model_type \(deprecated\) and"
            r" ModelServerConfig::model_platform\.",
        ),
        (model("model_type: OTHER", platform=""), "ModelServerConfig::model_type choice 2 not"),
        (model(platform="caffe"), "Model m requests unsupported platform caffe"),
        (
            model().replace("/models/m", "models/m"),
            r"Expected model m to have an absolute path or URI; got base_path\(\)=models/m",
        ),
        (
            model().replace("/models/m", ""),
            r"Expected model m to have an absolute path or URI; got base_path\(\)=$",
        ),
        (model().replace("/models/m", "gs://bucket/m"), "gs://bucket/m is not on this machine"),
        ("custom_model_config { type_url: 'x' }", "custom_model_config is not supported"),
    ],
)
def test_what_cannot_be_served_is_refused(text, message):
    with pytest.raises(UserError, match=f"INVALID_ARGUMENT: .*{message}"):
        parse(text)


def test_syntax_error_names_file_line_and_field(tmp_path):
    file = tmp_path / "models.config"
    file.write_text("model_config_list {\n  config { nmae: 'm' }\n}")

    with pytest.raises(UserError) as caught:
        read_model_config(file)

    assert f"Invalid protobuf file: '{file}'" in str(caught.value)
    assert "2:12" in str(caught.value)
    assert "nmae" in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"model_config_file: .*absent: No such file"):
        read_model_config(tmp_path / "absent")
