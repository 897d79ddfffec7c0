import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

from tfrec.serving.grpc_threads import GrpcThreads


class Handler:
    """Answers with the name of its thread; waits for its gate where that is asked for."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if request == b"wait":
            assert self.gate.wait(60)
        if request == b"refuse":
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        if request == b"raise":
            raise KeyError("a bug")
        return threading.current_thread().name.encode()


class ReadingHandler(Handler):
    """The same, whose answers are quick but for those that wait or take a thread."""

    def read(self, message: bytes) -> tuple[bytes, bool]:
        if message == b"fail to read":
            raise KeyError("another bug")
        return message, message not in (b"wait", b"slow")


@pytest.fixture
def handler() -> Iterator[ReadingHandler]:
    handler = ReadingHandler()
    yield handler
    handler.gate.set()


@pytest.fixture
def server(handler: ReadingHandler) -> Iterator[grpc.Server]:
    server = grpc.server(GrpcThreads(2, thread_name_prefix="pool"))
    methods = {
        "Reading": grpc.unary_unary_rpc_method_handler(handler),
        "Plain": grpc.unary_unary_rpc_method_handler(Handler()),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Service", methods),))
    server.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield server
    handler.gate.set()
    assert server.stop(60).wait(60)


@pytest.fixture
def channel(server: grpc.Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture
def ask(channel: grpc.Channel) -> Callable[..., str]:
    def call(request: bytes, method: str = "Reading") -> str:
        return channel.unary_unary(f"/Service/{method}")(request, timeout=60).decode()

    return call


def refusal(call: Callable, *arguments, **options) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code().name, caught.value.details()


def test_quick_requests_are_answered_in_the_thread_that_reads(ask):
    answered = {ask(b"quick") for _ in range(3)}

    assert len(answered) == 1
    assert not answered.pop().startswith("pool")


@pytest.mark.parametrize(("request_", "method"), [(b"slow", "Reading"), (b"quick", "Plain")])
def test_other_requests_are_answered_in_the_pool(ask, request_, method):
    assert ask(request_, method).startswith("pool")


def test_empty_request_is_one(ask):
    assert not ask(b"").startswith("pool")


def test_quick_requests_pass_a_pool_that_is_full(ask, channel, handler):
    call = channel.unary_unary("/Service/Reading")
    waiting = [call.future(b"wait", timeout=60) for _ in range(5)]

    assert not ask(b"quick").startswith("pool")
    assert not any(future.done() for future in waiting)

    handler.gate.set()
    assert all(future.result().startswith(b"pool") for future in waiting)


@pytest.mark.parametrize(
    ("request_", "code", "details"),
    [
        (b"refuse", "NOT_FOUND", "nothing here"),
        (b"raise", "UNKNOWN", "Exception calling application: 'a bug'"),
        (b"fail to read", "INTERNAL", "Exception deserializing request!"),
    ],
)
def test_failed_request_harms_no_other(ask, request_, code, details):
    assert refusal(ask, request_) == (code, details)
    assert not ask(b"quick").startswith("pool")


def test_deadline_ends_the_wait_for_an_answer(channel, ask):
    call = channel.unary_unary("/Service/Reading")
    ask(b"quick")  # so that there is a connection

    assert refusal(call, b"wait", timeout=0.05) == ("DEADLINE_EXCEEDED", "Deadline Exceeded")
    assert not ask(b"quick").startswith("pool")


def test_call_without_a_request_is_refused(channel, ask):
    call = channel.stream_unary("/Service/Reading")

    code, details = refusal(call, iter(()), timeout=60)

    assert code == "UNIMPLEMENTED"
    assert details.endswith("requires exactly one request message.")
    assert not ask(b"quick").startswith("pool")


def test_call_that_is_cancelled_before_its_request_leaves_nothing(channel, ask, server):
    done = threading.Event()

    def never() -> Iterator[bytes]:
        done.wait(60)
        yield from ()

    call = channel.stream_unary("/Service/Reading").future(never(), timeout=60)
    assert not ask(b"quick").startswith("pool")
    call.cancel()
    assert not ask(b"quick").startswith("pool")
    done.set()

    assert server.stop(60).wait(60)


def test_stop_lets_requests_in_the_pool_finish(channel, ask, handler, server):
    future = channel.unary_unary("/Service/Reading").future(b"wait", timeout=60)
    ask(b"quick")

    stopped = server.stop(60)
    handler.gate.set()

    assert future.result().startswith(b"pool")
    assert stopped.wait(60)
