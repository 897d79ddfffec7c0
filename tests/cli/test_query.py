import pytest
from click.testing import CliRunner

from tfrec.cli.main import cli


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "department"], "--only: 'department' has no value; give it as --only NAME="),
        (["--most", "=9"], "--most: '=9' has no value"),
        (["--least", "price=cheap"], "--least: price=cheap is no number; give one, e.g. 9.50"),
    ],
)
def test_condition_that_cannot_be_read_is_refused_before_anything_is_asked(
    options: list[str], message: str
) -> None:
    done = CliRunner().invoke(cli, ["query", "shop", *options])

    assert done.exit_code != 0
    assert message in str(done.exception or done.output)
