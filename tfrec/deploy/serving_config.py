"""The files of TensorFlow Serving's flags, which `tfrec serve` reads as well."""

import itertools
from collections.abc import Iterable

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfrec.deploy.served_version import Batchable
from tfrec.errors import UserError
from tfrec.serving.config_protos import BatchingParameters, MonitoringConfig
from tfrec.serving.model_config import All, Latest, ModelConfig, Specific, VersionPolicy
from tfrec.serving.monitoring import DEFAULT_PATH

BATCH_TIMEOUT_MICROS = 1000
"""How long a batch that is not full waits: about as long as a search of a large catalogue."""


def parse_versions(text: str) -> VersionPolicy:
    """Reads which versions to serve.

    Args:
      text: `latest`, `latest:N`, `all`, or numbers: `3,5`.

    Raises:
      UserError: if it is none of these.
    """
    kind, _, count = text.partition(":")
    if text == "all":
        return All()
    if kind == "latest" and (count or "1").isdecimal() and int(count or 1) > 0:
        return Latest(int(count or 1))
    numbers = text.split(",")
    if all(number.isdecimal() for number in numbers):
        return Specific(frozenset(map(int, numbers)))
    raise UserError(
        f"versions: {text!r}: not understood; write latest, latest:N, all, or numbers, e.g. 3,5"
    )


def render_models(models: Iterable[ModelConfig]) -> str:
    """Renders a ModelServerConfig.

    Args:
      models: in their order; their base paths are absolute.

    Raises:
      UserError: if a model is there twice, or a label points to a version that is not served.
    """
    config = model_server_config_pb2.ModelServerConfig()
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise UserError(f"{model.name}: listed twice; a server tells models apart by name")
        seen.add(model.name)
        _check_labels(model)
        entry = config.model_config_list.config.add(
            name=model.name, base_path=str(model.base_path), model_platform="tensorflow"
        )
        _fill_policy(entry.model_version_policy, model.policy)
        entry.version_labels.update(model.labels)
    return text_format.MessageToString(config)


def render_batching(rows: int, batchable: Iterable[Batchable]) -> str:
    """Renders BatchingParameters for servers that run requests of several callers together.

    Rows that vary in length are not filled up: a server would do so with the first value of a
    request, which makes another shopper of it. Nor are batches, by `allowed_batch_sizes`: graphs
    take any size, and on CPUs a row that nobody asked for costs as much as another.

    Args:
      rows: of a batch.
      batchable: the signatures of each version that is served.

    Returns:
      The message. Comments say which signatures cannot be asked while requests are batched.

    Raises:
      UserError: if no signature can be batched.
    """
    versions = list(batchable)
    if not any(version.batched for version in versions):
        raise UserError("batch-size: no signature can be batched; leave it out")
    parameters = BatchingParameters()
    parameters.max_batch_size.value = rows
    parameters.batch_timeout_micros.value = BATCH_TIMEOUT_MICROS
    alike, refused = (
        sorted(set(itertools.chain.from_iterable(names)))
        for names in zip(*((one.alike, one.refused) for one in versions), strict=True)
    )
    comments = {"Refused while this is in use (they hold single values)": refused}
    comments["Requests that meet need lists of one length"] = alike
    lines = [f"# {what}: {', '.join(names)}.\n" for what, names in comments.items() if names]
    return "".join(lines) + text_format.MessageToString(parameters)


def render_monitoring() -> str:
    """Renders a MonitoringConfig: metrics at TensorFlow Serving's own path."""
    config = MonitoringConfig()
    config.prometheus_config.enable = True
    config.prometheus_config.path = DEFAULT_PATH
    return text_format.MessageToString(config)


def _check_labels(model: ModelConfig) -> None:
    if not isinstance(model.policy, Specific):
        return
    for label, version in model.labels.items():
        if version not in model.policy.versions:
            served = ", ".join(map(str, sorted(model.policy.versions)))
            raise UserError(
                f"label: {label}={version}: not among the versions served, {served}; add it to them"
            )


def _fill_policy(proto: model_server_config_pb2.ModelConfig, policy: VersionPolicy) -> None:
    if isinstance(policy, Latest):
        proto.latest.num_versions = policy.num_versions
    elif isinstance(policy, All):
        proto.all.SetInParent()
    else:
        proto.specific.versions.extend(sorted(policy.versions))
