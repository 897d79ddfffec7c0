import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_config import All, Latest, ModelConfig, Specific
from tfrec.serving.model_versions import ModelVersions, Retry, load_servable
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError

POLL_SECONDS = 0.02


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "tiny"


@pytest.fixture
def start(base_path: Path) -> Iterator[Callable[..., ModelManager]]:
    managers = []

    def build(*models: ModelConfig, **options) -> ModelManager:
        manager = ModelManager(
            models or [ModelConfig("tiny", base_path)],
            **{"file_system_poll_wait_seconds": POLL_SECONDS, **options},
        )
        managers.append(manager)
        manager.start()
        return manager

    yield build
    for manager in managers:
        manager.stop()


def states(manager: ModelManager, name: str = "tiny") -> dict[int, str]:
    return {status.version: status.state for status in manager.statuses(name)}


def refusal(call: Callable) -> str:
    with pytest.raises(ServingError) as caught:
        call()
    return str(caught.value)


def answer(
    manager: ModelManager, version: int | None = None, label: str = "", name: str = "tiny"
) -> float:
    with manager.lease(name, version, label) as lease:
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
    wait_until(lambda: answers)
    push(base_path, "2", plus=3.0)
    wait_until(lambda: states(manager).get(1) == "END")
    seen = len(answers)
    wait_until(lambda: len(answers) > seen + 20)
    stop.set()
    for thread in threads:
        thread.join()

    assert set(answers) == {2.0, 3.0}
    assert answer(manager) == 3.0


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

    wait_until(lambda: manager.statuses("tiny")[0].error_message)
    failed = manager.statuses("tiny", 2)[0]
    assert states(manager) == {2: "LOADING", 1: "AVAILABLE"}
    assert failed.error_code == "NOT_FOUND"
    assert "saved_model.pb is missing" in failed.error_message
    assert answer(manager) == 2.0


def test_failed_load_is_tried_again(start, push, base_path, saved_models, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start(load_retry_interval_seconds=0.1, max_num_load_retries=10_000)
    unfinished = base_path / "2"
    unfinished.mkdir()
    wait_until(lambda: states(manager) == {2: "LOADING", 1: "AVAILABLE"})

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
    manager = ModelManager(
        [ModelConfig("tiny", base_path)], file_system_poll_wait_seconds=POLL_SECONDS
    )
    starting = threading.Thread(target=manager.start)
    starting.start()
    wait_until(lambda: "model tiny: waiting" in caplog.text)
    base_path.mkdir()
    wait_until(lambda: "holds no version" in caplog.text)
    assert starting.is_alive()

    push(base_path, "1")
    starting.join(timeout=60)

    assert not starting.is_alive()
    assert answer(manager) == 2.0
    manager.stop()


def test_start_ends_when_stopped_while_waiting(base_path):
    manager = ModelManager(
        [ModelConfig("tiny", base_path)], file_system_poll_wait_seconds=POLL_SECONDS
    )
    starting = threading.Thread(target=manager.start)
    starting.start()

    manager.stop()
    starting.join(timeout=60)

    assert not starting.is_alive()


def test_start_fails_if_the_first_version_fails(start, base_path):
    (base_path / "1").mkdir(parents=True)

    with pytest.raises(UserError, match=r"model tiny: .*1/saved_model.pb is missing"):
        start()


def test_unknown_names_are_refused_as_tensorflow_serving_does(start, push, base_path):
    push(base_path, "1")
    manager = start()

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


def test_poll_wait_must_not_be_negative(base_path):
    with pytest.raises(UserError, match="file_system_poll_wait_seconds: -1 is negative"):
        ModelManager([], file_system_poll_wait_seconds=-1)


def test_poll_wait_of_zero_looks_once(start, push, base_path):
    push(base_path, "1", plus=2.0)
    manager = start(file_system_poll_wait_seconds=0)

    push(base_path, "2", plus=3.0)
    manager.reload([ModelConfig("tiny", base_path)])

    assert states(manager) == {1: "AVAILABLE"}
    assert answer(manager) == 2.0


def test_failed_load_is_given_up_after_its_retries(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start(max_num_load_retries=2, load_retry_interval_seconds=0)

    (base_path / "2").mkdir()

    wait_until(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})
    assert manager.statuses("tiny", 2)[0].error_code == "NOT_FOUND"
    assert answer(manager) == 2.0


def test_truncated_variables_keep_the_old_version_and_the_status_says_why(
    start, push, base_path, saved_models, tmp_path, wait_until
):
    push(base_path, "1", plus=2.0)
    manager = start(max_num_load_retries=0)
    broken = tmp_path / "broken"
    shutil.copytree(saved_models[3.0], broken)
    data = next(broken.glob("variables/variables.data*"))
    data.write_bytes(data.read_bytes()[:3])

    broken.rename(base_path / "2")

    wait_until(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})
    failed = manager.statuses("tiny", 2)[0]
    assert failed.error_code != "OK"
    assert "variables" in failed.error_message
    assert answer(manager) == 2.0


def test_failing_warm_up_keeps_the_old_version(start, push, base_path, predict_request, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start(max_num_load_retries=0)

    push(base_path, "2", plus=3.0, warmup=[predict_request(x=[1.0]), predict_request(z=[1.0])])

    wait_until(lambda: states(manager) == {2: "END", 1: "AVAILABLE"})
    assert "record 1 failed" in manager.statuses("tiny", 2)[0].error_message
    assert answer(manager) == 2.0


def test_foreign_files_are_left_alone(start, push, base_path):
    version = push(base_path, "1", plus=2.0)
    (version / "README.txt").write_text("not ours")
    (base_path / ".DS_Store").write_bytes(b"\x00")
    (base_path / "lost+found").mkdir()

    manager = start()

    assert states(manager) == {1: "AVAILABLE"}
    assert answer(manager) == 2.0


@pytest.mark.parametrize(
    ("policy", "available"),
    [
        (Latest(), {4}),
        (Latest(2), {3, 4}),
        (Latest(9), {1, 3, 4}),
        (All(), {1, 3, 4}),
        (Specific(frozenset({1, 3, 7})), {1, 3}),
    ],
)
def test_policy_picks_the_versions(start, push, base_path, policy, available, wait_until):
    for version in ("1", "3", "4"):
        push(base_path, version)

    manager = start(ModelConfig("tiny", base_path, policy))

    wait_until(lambda: len(states(manager)) == len(available))
    wait_until(lambda: states(manager) == dict.fromkeys(available, "AVAILABLE"))
    with manager.lease("tiny") as lease:
        assert lease.version == max(available)


def test_two_latest_versions_move_on_together(start, push, base_path, wait_until):
    push(base_path, "1")
    push(base_path, "2")
    manager = start(ModelConfig("tiny", base_path, Latest(2)))
    wait_until(lambda: states(manager) == {1: "AVAILABLE", 2: "AVAILABLE"})

    push(base_path, "3")

    wait_until(lambda: states(manager) == {3: "AVAILABLE", 2: "AVAILABLE", 1: "END"})


def test_specific_version_that_is_not_there_is_waited_for(
    start, push, base_path, wait_until, caplog
):
    caplog.set_level("INFO")
    push(base_path, "1")
    manager = start()

    manager.reload([ModelConfig("tiny", base_path, Specific(frozenset({5})))])

    wait_until(lambda: states(manager) == {1: "END"})
    assert "none of the versions to serve" in caplog.text
    push(base_path, "5", plus=3.0)
    wait_until(lambda: states(manager) == {5: "AVAILABLE", 1: "END"})
    assert answer(manager) == 3.0


def test_reload_replaces_the_whole_list(start, push, tmp_path, wait_until):
    paths = {name: tmp_path / name for name in ("one", "two", "three")}
    for name, path in paths.items():
        push(path, "1", plus={"one": 2.0}.get(name, 3.0))
    models = {name: ModelConfig(name, path) for name, path in paths.items()}
    manager = start(models["one"], models["two"])
    with manager.lease("two") as lease:
        before = lease.servable

    manager.reload([models["two"], models["three"]])

    assert answer(manager, name="three") == 3.0
    with manager.lease("two") as lease:
        assert lease.servable is before
    assert refusal(lambda: answer(manager, name="one")) == (
        "NOT_FOUND: Servable not found for request: Latest(one)"
    )
    wait_until(lambda: states(manager, "one") == {1: "END"})

    manager.reload([models["one"]])

    assert answer(manager, name="one") == 2.0


def test_running_request_finishes_on_a_model_that_was_removed(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    manager = start()

    with manager.lease("tiny") as lease:
        manager.reload([])
        wait_until(lambda: states(manager) == {1: "UNLOADING"})
        signature = lease.servable.signatures["serving_default"]
        outputs = lease.servable.run(signature, {"x": np.zeros(1, np.float32)}, ["y"])
        assert outputs["y"].item() == 2.0

    wait_until(lambda: states(manager) == {1: "END"})


def test_removed_model_takes_no_request_while_its_versions_are_held_up(
    start, push, base_path, wait_until
):
    def load(path: Path) -> Servable:
        if path.name == "2":
            released.wait(60)
        return load_servable(path)

    released = threading.Event()
    push(base_path, "1", plus=2.0)
    manager = start(load=load)
    push(base_path, "2", plus=3.0)
    wait_until(lambda: states(manager) == {2: "LOADING", 1: "AVAILABLE"})

    manager.reload([])

    assert "Servable not found" in refusal(lambda: answer(manager))
    released.set()
    wait_until(lambda: states(manager) == {2: "END", 1: "END"})


def test_reload_tells_which_new_model_failed(start, push, tmp_path):
    push(tmp_path / "tiny", "1")
    (tmp_path / "broken" / "7").mkdir(parents=True)
    tiny = ModelConfig("tiny", tmp_path / "tiny")
    manager = start(tiny)

    told = refusal(lambda: manager.reload([tiny, ModelConfig("broken", tmp_path / "broken")]))

    assert told.startswith(
        "UNKNOWN: 1 model(s) did not become available: {{{name: broken version: 7} due to error:"
        f" NOT_FOUND: {tmp_path / 'broken' / '7' / 'saved_model.pb'} is missing"
    )
    assert told.endswith("}, }")
    assert answer(manager) == 2.0


def test_reload_waits_for_a_new_model_no_longer_than_told(start, push, tmp_path):
    push(tmp_path / "tiny", "1")
    tiny, absent = (ModelConfig(name, tmp_path / name) for name in ("tiny", "absent"))
    manager = start(tiny)

    told = refusal(lambda: manager.reload([tiny, absent], timeout_seconds=0.05))

    assert told == "DEADLINE_EXCEEDED: Deadline Exceeded"
    manager.reload([tiny])
    assert answer(manager) == 2.0


def test_reload_ends_when_the_manager_stops(start, push, tmp_path, wait_until):
    push(tmp_path / "tiny", "1")
    tiny, absent = (ModelConfig(name, tmp_path / name) for name in ("tiny", "absent"))
    manager = start(tiny)
    told = []
    waiting = threading.Thread(
        target=lambda: told.append(refusal(lambda: manager.reload([tiny, absent])))
    )
    waiting.start()

    manager.begin_stop()
    waiting.join(timeout=60)

    assert told == ["UNAVAILABLE: The server is stopping."]


def labelled(base_path: Path, **labels: int) -> ModelConfig:
    return ModelConfig("tiny", base_path, All(), labels)


def test_labels_name_versions(start, push, base_path, wait_until):
    push(base_path, "1", plus=2.0)
    push(base_path, "2", plus=3.0)
    manager = start(labelled(base_path))
    wait_until(lambda: states(manager) == {1: "AVAILABLE", 2: "AVAILABLE"})

    manager.reload([labelled(base_path, stable=1, canary=2)])
    assert answer(manager, label="stable") == 2.0
    assert answer(manager, label="canary") == 3.0

    manager.reload([labelled(base_path, stable=2)])
    assert answer(manager, label="stable") == 3.0
    assert refusal(lambda: answer(manager, label="canary")) == (
        "INVALID_ARGUMENT: Unrecognized servable version label: canary"
    )


def test_label_of_a_version_that_is_not_loaded_changes_nothing(
    start, push, base_path, tmp_path, wait_until
):
    push(base_path, "1", plus=2.0)
    push(tmp_path / "other", "1")
    manager = start(labelled(base_path))
    manager.reload([labelled(base_path, stable=1)])

    told = refusal(
        lambda: manager.reload(
            [ModelConfig("other", tmp_path / "other"), labelled(base_path, stable=2, fresh=1)]
        )
    )

    assert told == (
        "FAILED_PRECONDITION: Request to assign label to version 2 of model tiny, which is not"
        " currently available for inference"
    )
    assert answer(manager, label="stable") == 2.0
    assert "label: fresh" in refusal(lambda: answer(manager, label="fresh"))
    assert "Could not find any versions" in refusal(lambda: manager.statuses("other"))


def test_label_at_start_needs_leave(start, push, base_path):
    push(base_path, "1", plus=2.0)

    with pytest.raises(UserError, match="assign label to version 1 of model tiny, which is not"):
        start(labelled(base_path, stable=1))

    manager = start(
        labelled(base_path, stable=1, later=2), allow_version_labels_for_unavailable_models=True
    )
    assert answer(manager, label="stable") == 2.0
    assert refusal(lambda: answer(manager, label="later")) == (
        "NOT_FOUND: Servable not found for request: Specific(tiny, 2)"
    )


def test_label_in_use_never_moves_to_a_version_that_is_not_loaded(start, push, base_path):
    push(base_path, "1", plus=2.0)
    manager = start(labelled(base_path, stable=1), allow_version_labels_for_unavailable_models=True)

    told = refusal(lambda: manager.reload([labelled(base_path, stable=2)]))

    assert told.startswith("FAILED_PRECONDITION: Request to assign label to version 2")
    assert answer(manager, label="stable") == 2.0
    manager.reload([labelled(base_path, stable=1, fresh=2)])
    assert answer(manager, label="stable") == 2.0


def test_same_configuration_again_changes_nothing(base_path):
    class Watched(ModelVersions):
        looks = 0

        def wake(self) -> None:
            self.looks += 1

    model = Watched("tiny", threading.Condition(), load_servable, 0.0, Retry(0, 0.0))
    looks = []

    for policy in (Latest(), Latest(), All(), All(), None, None):
        model.configure(policy and ModelConfig("tiny", base_path, policy))
        looks.append(model.looks)

    assert looks == [1, 1, 2, 2, 3, 3]
