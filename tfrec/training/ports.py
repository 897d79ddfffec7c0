"""Ports for tasks that are yet to start."""

import socket


def reserve_port() -> int:
    """Finds a port for a task that will be a while yet before it listens there.

    The server's end of a connection that it closes first lingers for a minute (TIME_WAIT). Until
    then the system gives the port to nobody who asks for any, while a task may listen there.
    """
    with socket.socket() as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client.connect(listener.getsockname())
        listener.accept()[0].close()
        return int(listener.getsockname()[1])
