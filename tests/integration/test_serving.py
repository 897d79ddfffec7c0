import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from command import Run, tfrec

import tfrec as framework
from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer, ServingError
from tfrec.stages.recommender import Recommender

MOMENT = datetime(2020, 9, 12)


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[ModelServer]:
    root = run.shop.folder / "serving" / "shop"
    with ModelServer({"shop": root}, port=0, rest_api_port=0) as server:
        yield server


@pytest.fixture(scope="module", params=["grpc", "http"])
def remote(run: Run, server: ModelServer, request: pytest.FixtureRequest) -> Iterator[Recommender]:
    port = server.port if request.param == "grpc" else server.rest_api_port
    with Client(f"{request.param}://127.0.0.1:{port}") as client:
        yield Recommender.connect(client, "shop", run.experiment.prepared)


@pytest.fixture(scope="module")
def local(run: Run) -> Recommender:
    return framework.Recommender.load(run.experiment.bundle)


def test_both_protocols_answer_as_the_process_itself(
    local: Recommender, remote: Recommender
) -> None:
    expected = local.recommend(k=10, moment=MOMENT, shopper="user-3")

    items = remote.recommend(k=10, moment=MOMENT, shopper="user-3")

    assert [item.id for item in items] == [item.id for item in expected]
    assert [i.score for i in items] == pytest.approx([i.score for i in expected], rel=1e-5)
    assert [i.score for i in items] == sorted((i.score for i in items), reverse=True)


def test_excluded_items_are_never_recommended(remote: Recommender) -> None:
    first = remote.recommend(k=5, moment=MOMENT, shopper="user-3")
    banned = [first[0].id, first[2].id]

    items = remote.recommend(k=5, exclude=banned, moment=MOMENT, shopper="user-3")

    assert not {item.id for item in items} & set(banned)
    assert items[0] == first[1]
    assert len(items) == 5


def test_an_unknown_shopper_gets_a_cold_start_answer(remote: Recommender) -> None:
    assert len(remote.recommend(k=5, moment=MOMENT, shopper="nobody")) == 5


def test_all_but_everything_can_be_recommended(remote: Recommender) -> None:
    everything = remote.recommend(k=120, moment=MOMENT, shopper="user-3")
    assert len({item.id for item in everything}) == 120


@pytest.mark.parametrize("k", [0, 121])
def test_k_out_of_range_is_refused_before_and_by_the_server(
    run: Run, server: ModelServer, remote: Recommender, k: int
) -> None:
    with pytest.raises(UserError, match=rf"k: {k} is not between 1 and 120"):
        remote.recommend(k=k, shopper="user-3")
    question = remote.question({"shopper": "user-3"}) | {"k": k}
    with (
        Client(f"grpc://127.0.0.1:{server.port}") as client,
        pytest.raises(ServingError, match=rf"k: {k} is not between 1 and 120") as refusal,
    ):
        client.predict("shop", question, signature="recommend")
    assert refusal.value.code == "INVALID_ARGUMENT"


def test_an_unknown_feature_is_named(remote: Recommender) -> None:
    with pytest.raises(UserError, match="shoper: no such feature; the model takes channel, recent"):
        remote.recommend(shoper="user-3")


def test_the_default_signature_takes_rows_over_rest(server: ModelServer) -> None:
    with Client(f"http://127.0.0.1:{server.rest_api_port}") as client:
        answer = client.predict(
            "shop",
            {
                "shopper": ["user-3", "nobody"],
                "recent": [["sku-001", "sku-002"], ["", ""]],
                "channel": ["web", ""],
                "weekday": ["Monday", ""],
            },
        )
    assert answer["ids"].shape == answer["scores"].shape == (2, 5)


def serve(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Starts `tfrec serve` on ports of its choice."""
    command = [sys.executable, "-m", "tfrec.cli.main", "serve", *map(str, arguments)]
    return subprocess.Popen([*command, "--port=0", "--rest_api_port=0"], text=True, **options)


def test_the_command_line_serves_and_asks(run: Run) -> None:
    root = run.shop.folder / "serving" / "shop"
    process = serve(root, stdout=subprocess.PIPE)
    timer = threading.Timer(240, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        _, grpc, http = process.stdout.readline().rsplit(maxsplit=2)
        prepared = run.experiment.prepared.path
        answers = [
            tfrec("query", "shop", "--shopper", "user-3", "-k", 3, "--server", url, "--json",
                  "--weekday", "Monday", "--prepared", prepared)
            for url in (grpc, http)
        ]  # fmt: skip
        filtered = tfrec(
            "query", "shop", "--shopper", "user-3", "-k", 50, "--server", grpc, "--json",
            "--only", "aisle=aisle-1,aisle-4", "--prepared", prepared,
        )  # fmt: skip
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        timer.cancel()
        process.kill()
    over_grpc, over_http = (json.loads(answer.stdout) for answer in answers)
    assert [item["id"] for item in over_grpc] == [item["id"] for item in over_http]
    assert len(over_grpc) == 3
    # Items stand by their numbers in six aisles; these two hold 40 of the 120.
    numbers = [int(item["id"].removeprefix("sku-")) for item in json.loads(filtered.stdout)]
    assert sorted(numbers) == [number for number in range(120) if number % 6 in (1, 4)]


def test_a_port_in_use_is_one_clear_line(run: Run, server: ModelServer) -> None:
    root = run.shop.folder / "serving" / "shop"

    done = tfrec("serve", root, "--port", server.port, "--rest_api_port", 0)

    assert done.returncode == 255
    assert f"{server.port}" in done.stderr.splitlines()[-1]
    assert "--port" in done.stderr.splitlines()[-1]


def test_a_half_written_version_is_refused_by_its_missing_file(tmp_path: Path) -> None:
    (tmp_path / "shop" / "1").mkdir(parents=True)

    done = tfrec("serve", tmp_path / "shop", "--port", 0, "--rest_api_port", 0)

    assert done.returncode == 255
    assert "saved_model.pb is missing" in done.stderr


def test_a_config_file_with_a_syntax_error_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text("model_config_list { config { nmae: 'shop' } }")

    done = tfrec("serve", f"--model_config_file={file}")

    assert done.returncode == 255
    assert f"Invalid protobuf file: '{file}'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_base_path_is_waited_for(tmp_path: Path) -> None:
    process = serve(f"--model_base_path={tmp_path}", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    timer = threading.Timer(240, process.kill)
    timer.start()
    try:
        assert process.stderr is not None
        assert any("waiting" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    finally:
        timer.cancel()
        process.kill()
    assert process.returncode == 0
    assert output == ""
