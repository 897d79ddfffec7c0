"""TensorFlow Serving's config messages that its Python package leaves out, and reading them.

Numbers, types and names of the fields are those of its `.proto` files.
"""

from pathlib import Path
from typing import TypeVar

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from google.protobuf.message import Message

from tfrec.errors import UserError

MessageT = TypeVar("MessageT", bound=Message)


def read_text_proto(path: Path, message: MessageT, flag: str) -> MessageT:
    """Reads a file in protobuf's text form.

    Args:
      path: the file.
      message: an empty message of the type that the file holds; it is filled.
      flag: what named the file, for messages to users.

    Returns:
      `message`.

    Raises:
      UserError: if the file cannot be read, or holds no such message.
    """
    try:
        return text_format.Parse(path.read_bytes(), message)
    except OSError as error:
        raise UserError(f"{flag}: {path}: {error.strerror}; give the path of a file") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        known = ", ".join(field.name for field in message.DESCRIPTOR.fields)
        raise UserError(
            f"{flag}: Invalid protobuf file: '{path}': {' '.join(str(error).split())};"
            f" its fields are {known}"
        ) from None


# Fields are numbered from 1.
_FIELDS = {
    "PrometheusConfig": ("bool enable", "string path"),
    "MonitoringConfig": ("tensorflow.serving.PrometheusConfig prometheus_config",),
    "SSLConfig": (
        "string server_key",
        "string server_cert",
        "string custom_ca",
        "bool client_verify",
    ),
    "BatchingParameters": (
        "google.protobuf.Int64Value max_batch_size",
        "google.protobuf.Int64Value batch_timeout_micros",
        "google.protobuf.Int64Value max_enqueued_batches",
        "google.protobuf.Int64Value num_batch_threads",
        "google.protobuf.StringValue thread_pool_name",
        "repeated int64 allowed_batch_sizes",
        "bool pad_variable_length_inputs",
        "google.protobuf.BoolValue enable_large_batch_splitting",
        "google.protobuf.Int64Value max_execution_batch_size",
    ),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="tfrec/serving/config_protos.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, field in enumerate(fields, start=1):
            _add_field(message, number, field)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, number: int, text: str) -> None:
    *repeated, kind, name = text.split()
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if "." in kind:
        field.type_name = f".{kind}"
    else:
        field.type = field.Type.Value(f"TYPE_{kind.upper()}")


# A pool of their own: another package may well bring the real messages into the default one.
_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
_POOL.AddSerializedFile(_file().SerializeToString())


def _message_type(name: str) -> type[Message]:
    descriptor = _POOL.FindMessageTypeByName(f"tensorflow.serving.{name}")
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)


MonitoringConfig = _message_type("MonitoringConfig")
SSLConfig = _message_type("SSLConfig")
BatchingParameters = _message_type("BatchingParameters")
