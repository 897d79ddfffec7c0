import pytest
from google.protobuf import text_format

from tfrec.errors import UserError
from tfrec.serving.config_protos import BatchingParameters, SSLConfig, read_text_proto


def test_fields_are_read_by_name(tmp_path):
    file = tmp_path / "batching"
    file.write_text(
        "max_batch_size { value: 8 } # rows\nallowed_batch_sizes: 2\nallowed_batch_sizes: 8"
    )

    message = read_text_proto(file, BatchingParameters(), "flag")

    assert message.max_batch_size.value == 8
    assert list(message.allowed_batch_sizes) == [2, 8]
    assert not message.HasField("num_batch_threads")


def test_numbers_and_types_are_those_on_the_wire():
    message = text_format.Parse(
        'server_key: "k" server_cert: "c" custom_ca: "a" client_verify: true', SSLConfig()
    )

    assert message.SerializeToString() == b"\x0a\x01k\x12\x01c\x1a\x01a\x20\x01"


@pytest.mark.parametrize("content", [b"max_batch_size {", b"rows: 3", b"\xff\xfe"])
def test_file_that_is_no_such_message_is_named(tmp_path, content):
    file = tmp_path / "batching"
    file.write_bytes(content)

    with pytest.raises(UserError) as caught:
        read_text_proto(file, BatchingParameters(), "batching_parameters_file")

    message = str(caught.value)
    assert message.startswith(f"batching_parameters_file: Invalid protobuf file: '{file}': ")
    assert "its fields are max_batch_size, " in message
    assert "\n" not in message


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"flag: .*/none: No such file or directory"):
        read_text_proto(tmp_path / "none", SSLConfig(), "flag")
