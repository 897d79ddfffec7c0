import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.serving.manager import ModelManager
from tfrec.serving.status import ServingError

POLL_SECONDS = 0.02


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "tiny"


@pytest.fixture
def start(base_path: Path) -> Iterator[Callable[..., ModelManager]]:
    managers = []

    def build(**options) -> ModelManager:
        manager = ModelManager(
            {"tiny": base_path}, file_system_poll_wait_seconds=POLL_SECONDS, **options
        )
        managers.append(manager)
        manager.start()
        return manager

    yield build
    for manager in managers:
        manager.stop()


def states(manager: ModelManager) -> dict[int, str]:
    return {status.version: status.state for status in manager.statuses("tiny")}


def answer(manager: ModelManager, version: int | None = None) -> float:
    with manager.lease("tiny", version) as lease:
        signature = lease.servable.signatures["serving_default"]
        outputs = lease.servable.run(signature, {"x": np.zeros(1, np.float32)}, ["y"])
    return outputs["y"].item()


def test_newest_version_is_served(start, push, base_path):
    push(base_path, "1", plus=2.0)
    push(base_path, "00010", plus=3.0)
    (base_path / "tmp").mkdir()
    (base_path / "12.5").mkdir()
    (base_path / "99999999999999999999").mkdir()
    (base_path / "77").write_text("a file is no version")

    manager = start()

    assert states(manager) == {10: "AVAILABLE"}
    assert answer(manager) == 3.0
    assert answer(manager, 10) == 3.0


def test_new_version_replaces_the_old_one(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start()
    assert answer(manager) == 2.0

    push(base_path, "2", plus=3.0)

    wait_until(lambda: states(manager) == {2: "AVAILABLE", 1: "END"})
    assert answer(manager) == 3.0
    assert [status.version for status in manager.statuses("tiny")] == [2, 1]


def test_running_request_finishes_on_the_old_version(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start()

    with manager.lease("tiny") as lease:
        push(base_path, "2", plus=3.0)
        wait_until(lambda: states(manager) == {2: "AVAILABLE", 1: "UNLOADING"})
        signature = lease.servable.signatures["serving_default"]
        outputs = lease.servable.run(signature, {"x": np.zeros(1, np.float32)}, ["y"])
        assert outputs["y"].item() == 2.0
        assert answer(manager) == 3.0

    wait_until(lambda: states(manager)[1] == "END")


def test_no_request_is_lost_while_versions_change(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start()
    answers, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(answer(manager))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    push(base_path, "2", plus=3.0)
    wait_until(lambda: states(manager).get(1) == "END")
    seen = len(answers)
    wait_until(lambda: len(answers) > seen + 20)
    stop.set()
    for thread in threads:
        thread.join()

    assert set(answers) == {2.0, 3.0}
    assert answers[-1] == 3.0


def test_deleted_version_gives_way_to_the_next_newest(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    newest = push(base_path, "2", plus=3.0)
    manager = start()
    assert states(manager) == {2: "AVAILABLE"}

    shutil.rmtree(newest)

    wait_until(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})
    assert answer(manager) == 2.0


def test_model_without_versions_ends(start, push, base_path, wait_until):
    only = push(base_path, "1")
    manager = start()

    shutil.rmtree(only)

    wait_until(lambda: states(manager) == {1: "END"})
    with pytest.raises(ServingError, match=r"Servable not found for request: Latest\(tiny\)"):
        answer(manager)


def test_failed_load_keeps_the_old_version(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start()

    (base_path / "2").mkdir()

    wait_until(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})
    failed = manager.statuses("tiny", 2)[0]
    assert failed.error_code == "NOT_FOUND"
    assert "saved_model.pb is missing" in failed.error_message
    assert answer(manager) == 2.0


def test_failed_load_is_tried_again(start, push, base_path, saved_models, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start(load_retry_interval_seconds=0.1)
    unfinished = base_path / "2"
    unfinished.mkdir()
    wait_until(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})

    shutil.copytree(saved_models[3.0], unfinished, dirs_exist_ok=True)

    wait_until(lambda: states(manager) == {2: "AVAILABLE", 1: "END"})
    assert manager.statuses("tiny", 2)[0].error_code == "OK"


def test_version_pushed_anew_after_its_failures_is_loaded(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start(max_num_load_retries=0)
    broken = base_path / "2"
    broken.mkdir()
    wait_until(lambda: states(manager).get(2) == "END")

    broken.rename(base_path / "broken")
    newer = push(base_path, "3", plus=2.0)
    wait_until(lambda: states(manager).get(3) == "AVAILABLE")
    shutil.rmtree(newer)
    push(base_path, "2", plus=3.0)

    wait_until(lambda: states(manager).get(2) == "AVAILABLE")


def test_start_waits_for_the_first_version(base_path, push, wait_until, caplog):
    caplog.set_level("INFO")
    manager = ModelManager({"tiny": base_path}, file_system_poll_wait_seconds=POLL_SECONDS)
    starting = threading.Thread(target=manager.start)
    starting.start()
    wait_until(lambda: "model tiny: waiting" in caplog.text)
    base_path.mkdir()
    wait_until(lambda: "holds no version" in caplog.text)
    assert starting.is_alive()

    push(base_path, "1")
    starting.join(timeout=20)

    assert not starting.is_alive()
    assert answer(manager) == 2.0
    manager.stop()


def test_start_ends_when_stopped_while_waiting(base_path):
    manager = ModelManager({"tiny": base_path}, file_system_poll_wait_seconds=POLL_SECONDS)
    starting = threading.Thread(target=manager.start)
    starting.start()

    manager.stop()
    starting.join(timeout=20)

    assert not starting.is_alive()


def test_start_fails_if_the_first_version_fails(start, base_path):
    (base_path / "1").mkdir(parents=True)

    with pytest.raises(UserError, match=r"model tiny: .*1/saved_model.pb is missing"):
        start()


def test_unknown_names_are_refused_as_tensorflow_serving_does(start, push, base_path):
    push(base_path, "1")
    manager = start()

    def refusal(call: Callable) -> str:
        with pytest.raises(ServingError) as caught:
            call()
        return str(caught.value)

    def lease(*arguments) -> None:
        with manager.lease(*arguments):
            pass

    assert refusal(lambda: lease("other")) == (
        "NOT_FOUND: Servable not found for request: Latest(other)"
    )
    assert refusal(lambda: lease("tiny", 9)) == (
        "NOT_FOUND: Servable not found for request: Specific(tiny, 9)"
    )
    assert refusal(lambda: lease("tiny", None, "stable")) == (
        "INVALID_ARGUMENT: Unrecognized servable version label: stable"
    )
    assert refusal(lambda: lease("")) == "INVALID_ARGUMENT: ModelSpec has no name specified."
    assert refusal(lambda: manager.statuses("other")) == (
        "NOT_FOUND: Could not find any versions of model other"
    )
    assert refusal(lambda: manager.statuses("tiny", 9)) == (
        "NOT_FOUND: Could not find version 9 of model tiny"
    )


def test_poll_wait_must_be_positive(base_path):
    with pytest.raises(UserError, match="file_system_poll_wait_seconds: 0 is not positive"):
        ModelManager({"tiny": base_path}, file_system_poll_wait_seconds=0)
