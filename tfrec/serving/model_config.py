"""Which models a server serves, and which of their versions: TensorFlow Serving's model config."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from tfrec.serving.config_protos import read_text_proto
from tfrec.serving.status import ServingError


@dataclass(frozen=True)
class Latest:
    """Serves the newest versions.

    Attributes:
      num_versions: how many, at least 1.
    """

    num_versions: int = 1

    def choose(self, versions: Collection[int]) -> set[int]:
        """Those of `versions` to serve."""
        return set(sorted(versions)[-self.num_versions :])


@dataclass(frozen=True)
class All:
    """Serves every version."""

    def choose(self, versions: Collection[int]) -> set[int]:
        """Those of `versions` to serve."""
        return set(versions)


@dataclass(frozen=True)
class Specific:
    """Serves the versions that are listed, where they exist.

    Attributes:
      versions: their numbers.
    """

    versions: frozenset[int]

    def choose(self, versions: Collection[int]) -> set[int]:
        """Those of `versions` to serve."""
        return set(self.versions.intersection(versions))


VersionPolicy = Latest | All | Specific


@dataclass(frozen=True)
class ModelConfig:
    """One model of a server.

    Attributes:
      name: what requests call it.
      base_path: directory that holds a directory per version.
      policy: which of its versions are served.
      labels: version by label, for requests that name a label instead of a number.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = Latest()
    labels: Mapping[str, int] = field(default_factory=dict)


def read_model_config(path: Path) -> model_server_config_pb2.ModelServerConfig:
    """Reads a file that holds a ModelServerConfig in protobuf's text form.

    Raises:
      UserError: if the file cannot be read, or holds no such message.
    """
    return read_text_proto(path, model_server_config_pb2.ModelServerConfig(), "model_config_file")


def listed_models(config: model_server_config_pb2.ModelServerConfig) -> tuple[ModelConfig, ...]:
    """The models of a config, once they have been checked.

    Args:
      config: with a `model_config_list`; one without any choice lists no models.

    Raises:
      ServingError: if a model is listed twice, or a field is missing or out of the question.
    """
    if config.HasField("custom_model_config"):
        raise ServingError(
            "INVALID_ARGUMENT",
            "custom_model_config is not supported; list the models in model_config_list",
        )
    models: dict[str, ModelConfig] = {}
    for place, proto in enumerate(config.model_config_list.config):
        if not proto.name:
            raise ServingError(
                "INVALID_ARGUMENT", f"model_config_list.config[{place}]: name is missing; give one"
            )
        if proto.name in models:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Illegal to list model {proto.name} multiple times in config list",
            )
        _check_platform(proto)
        models[proto.name] = ModelConfig(
            proto.name, _base_path(proto), _policy(proto), dict(proto.version_labels)
        )
    return tuple(models.values())


_PLATFORM = "tensorflow"


def _check_platform(proto: Any) -> None:
    problem = None
    if proto.model_type and proto.model_platform:
        problem = (
            "Illegal setting both ModelServerConfig::model_type (deprecated) and"
            " ModelServerConfig::model_platform."
        )
    elif proto.model_type not in (
        model_server_config_pb2.MODEL_TYPE_UNSPECIFIED,
        model_server_config_pb2.TENSORFLOW,
    ):
        problem = f"ModelServerConfig::model_type choice {proto.model_type} not supported."
    elif not proto.model_type and not proto.model_platform:
        problem = (
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor"
            " ModelServerConfig::model_platform."
        )
    elif proto.model_platform not in ("", _PLATFORM):
        problem = f"Model {proto.name} requests unsupported platform {proto.model_platform}"
    if problem is not None:
        raise ServingError("INVALID_ARGUMENT", problem)


def _base_path(proto: Any) -> Path:
    place = proto.base_path.removeprefix("file://")
    if "://" in place:
        raise ServingError(
            "INVALID_ARGUMENT",
            f"model {proto.name}: base_path {place} is not on this machine; copy it here or mount"
            " it",
        )
    if not Path(place).is_absolute():
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Expected model {proto.name} to have an absolute path or URI; got"
            f" base_path()={proto.base_path}",
        )
    return Path(place)


def _policy(proto: Any) -> VersionPolicy:
    policy = proto.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return All()
    if choice == "specific":
        return Specific(frozenset(policy.specific.versions))
    return Latest(max(policy.latest.num_versions, 1))
