"""a served bundle + prepared data -> how fast it answers recorded shoppers."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from tfrec.errors import UserError
from tfrec.serving.address import Address
from tfrec.serving.client import Client
from tfrec.serving.inputs import check_inputs
from tfrec.serving.load_connections import connect, encode
from tfrec.serving.load_test import LoadResult, Plan, run_load
from tfrec.stages.artifact import Artifact
from tfrec.stages.recorded_requests import recorded_requests


class Asked(NamedTuple):
    """What a load test asks.

    Attributes:
      server: `grpc://host:port` or `http://host:port`.
      model: the model's name there.
      signature: which of its signatures.
      k: how many items, where it can be said.
    """

    server: str
    model: str
    signature: str
    k: int


def load_test(
    asked: Asked,
    prepared: Artifact,
    plan: Plan,
    connections: int,
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> LoadResult:
    """Asks a server for recorded shoppers; requests are encoded before the clock starts.

    Args:
      asked: what to ask of whom.
      prepared: holds the held-out queries; see `recorded_requests`.
      plan: what load to make.
      connections: how many requests there are at once at most.
      on_progress: hears how many seconds have gone.

    Returns:
      How each request fared; see `run_load`.

    Raises:
      UserError: if no server answers, or the signature is none of the model's or takes what is
        not recorded.
      ServingError: if the server does not know the model, or refuses the first request.
    """
    address = Address.parse(asked.server)
    with Client(asked.server) as client:
        signatures = client.metadata(asked.model)
        if asked.signature not in signatures:
            raise UserError(
                f"--signature: {asked.model} has no {asked.signature}; it has "
                f"{', '.join(sorted(signatures))}"
            )
        signature = signatures[asked.signature]
        recorded = recorded_requests(prepared, asked.signature, signature, asked.k)
        # What the server refuses is said here, with its reason; under load only statuses count.
        client.predict(asked.model, recorded[0], signature=asked.signature)
    place = f"{asked.model}.{asked.signature}"
    requests = [
        encode(address, asked.model, asked.signature, check_inputs(place, inputs, signature))
        for inputs in recorded
    ]
    with ExitStack() as opened:
        calls = []
        for _ in range(connections):
            calls.append(connect(address, asked.model))
            opened.callback(calls[-1].close)
        return run_load(calls, requests, plan, on_progress)
