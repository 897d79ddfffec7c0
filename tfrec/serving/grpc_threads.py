"""The threads that gRPC's requests are answered in: its own for quick ones, a pool for the others.

`grpc.server` gives a request to a thread of its pool before it has been read. That thread waits for
gRPC's own to read it, and the two pass it on four times, which costs more than a small model's run.
There is no public way to answer a request in gRPC's own thread, so this module, and no other,
reaches below `grpc.server`.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from grpc import _server
from grpc._cython import cygrpc


class GrpcThreads(ThreadPoolExecutor):
    """A pool of threads that a server is made with.

    A handler of unary requests may have a method `read`, which takes a request's bytes. It returns
    what the handler is to be called with, and whether the answer is quick. If so, the handler is
    called at once, in the thread that reads all requests.
    """

    def submit(self, run: Callable[..., Any], /, *call: Any) -> Future:  # type: ignore[override]
        """Takes a request that gRPC has been told of."""
        respond, event, state, handler, _, *serializers = call
        submit = super().submit
        read = getattr(handler, "read", None)
        if read is None:
            return submit(run, *call)
        receive = _server._receive_message(state, event.call, read)

        def received(receipt: cygrpc.BaseEvent) -> Any:
            ended = receive(receipt)
            given, state.request = state.request, None
            if given is None:  # The client is gone. gRPC finds that out for itself.
                submit(run, *call)
                return ended
            request, quick = given
            answer = run if quick else partial(submit, run)
            answer(respond, event, state, handler, lambda: request, *serializers)
            return ended

        event.call.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), received)
        state.due.add(_server._RECEIVE_MESSAGE_TOKEN)
        return _DONE


_NO_FLAGS = 0
# gRPC asks only whether a request has been answered, and counts by that what it does not limit.
_DONE: Future = Future()
_DONE.set_result(None)
