import socket

from tfrec.training.ports import reserve_port


def test_port_is_free_for_its_task_and_given_to_nobody_else() -> None:
    ports = {reserve_port() for _ in range(50)}

    given = set()
    for _ in range(2000):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            given.add(other.getsockname()[1])
    assert len(ports) == 50
    assert not ports & given
    for port in ports:
        with socket.socket() as task:
            task.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            task.bind(("127.0.0.1", port))
            task.listen(1)
