"""`tfrec gateway`: the recommendation service. `tfrec gateway-key`: a key for it."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfrec.cli import overrides
from tfrec.errors import UserError

if TYPE_CHECKING:
    from tfrec.service.http.keys import Scope
    from tfrec.stages.experiment import Experiment

_SCOPES: tuple["Scope", ...] = ("read", "users", "events", "erase", "metrics")
_EPILOGUE = """\b
Any value of the config can be given by its dotted name:
  tfrec gateway configs/complete_journey.yaml --service.server grpc://localhost:8500
"""


@click.command(context_settings=overrides.OPEN, epilog=_EPILOGUE)
@click.argument("config")
@click.option("--host", help="Short for --service.http.host.  [default: 127.0.0.1]")
@click.option("--port", help="Short for --service.http.port; 0 picks a free one.  [default: 8080]")
@click.option(
    "--insecure", is_flag=True, help="Let everybody who reaches another address ask without a key."
)
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def gateway(
    config: str, host: str | None, port: str | None, insecure: bool, values: tuple[str, ...]
) -> None:
    """Answer what a shopper should see now, and why, over HTTP.

    CONFIG is that of an experiment that was run. /docs lists the addresses, / is a small shop to
    try it in. Stopped by a signal, it lets running requests end.

    \b
    Examples:
      tfrec gateway configs/complete_journey.yaml
      tfrec gateway configs/complete_journey.yaml --port 8090
      tfrec gateway configs/complete_journey.yaml --host 0.0.0.0 --service.http.keys keys.yaml
    """
    changes = overrides.parse(values)
    short = {"service.http.host": host, "service.http.port": port}
    changes |= {name: json.dumps(value) for name, value in short.items() if value is not None}
    if port is not None:
        changes["service.http.port"] = port
    _serve(config, changes, insecure)


def _serve(config: str, changes: dict[str, str], insecure: bool) -> None:
    import uvloop

    from tfrec.service.http.server import address, check_access, reserve, serve
    from tfrec.stages.experiment import Experiment
    from tfrec.stages.open_gateway import open_gateway

    experiment = Experiment.load(config, overrides=changes)
    service = experiment.config.service
    check_access(service.http, insecure)
    listener = reserve(service.http)
    url = address(service.http, listener)

    async def run() -> None:
        opened = open_gateway(experiment, service)
        pages = _pages(experiment, opened)
        name = experiment.config.name
        await serve(
            opened, service.http, listener, lambda: click.echo(f"gateway {name}: {url}"), pages
        )

    uvloop.run(run())


def _pages(experiment: "Experiment", opened: Any) -> list[Any]:
    """The storefront, in which one may be any shopper only where nobody else can look."""
    from tfrec.data.prepared import PreparedData
    from tfrec.service.http.guard import is_loopback
    from tfrec.service.storefront.pages import routes
    from tfrec.service.storefront.proposals import some_shoppers

    http = experiment.config.service.http
    if not http.shows_storefront:
        return []
    return routes(
        opened,
        shoppers=some_shoppers(PreparedData(experiment.prepared.path).profiles),
        may_choose=is_loopback(http.host) and not http.needs_keys,
    )


@click.command(context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "--file", required=True, type=click.Path(path_type=Path), help="File of keys; it is added to."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(_SCOPES),
    help="What the key lets one do; repeatable. read: slates and items; users: a shopper by id; "
    "events: send them; erase: forget a shopper; metrics.",
)
@click.option("--days", type=click.IntRange(min=1, max=36_500), help="Until it expires.")
def gateway_key(name: str, file: Path, scopes: "tuple[Scope, ...]", days: int | None) -> None:
    """Make a key for the gateway, and print it; the file keeps its hash only.

    NAME says whose it is. A running gateway takes the key at once. To take a key back, remove its
    entry from the file.

    \b
    Examples:
      tfrec gateway-key shop --file service/keys.yaml --scope read --scope users --scope events
      tfrec gateway-key prometheus --file service/keys.yaml --scope metrics --days 365
    """
    from tfrec.service.http.keys import KeyFile, make_key, read_keys, write_keys

    before = read_keys(file) if file.exists() else KeyFile()
    if any(key.name == name for key in before.keys):
        raise UserError(f"{name!r}: {file} has a key of this name; give another, or remove it")
    expires = datetime.now(timezone.utc) + timedelta(days=days) if days else None
    key, kept = make_key(name, scopes, expires.replace(microsecond=0) if expires else None)
    write_keys(file, KeyFile(keys=(*before.keys, kept)))
    click.echo(key)
