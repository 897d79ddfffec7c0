"""Submitting to an API of Kubeflow Pipelines, over real sockets."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from kubeflow_api import KubeflowApi, serve_kubeflow_api
from toy_pipeline import toy_pipeline

from tfrec.deploy.kubeflow_config import KubeflowConfig
from tfrec.errors import UserError
from tfrec.pipelines.kubeflow.compile import compile_pipeline
from tfrec.pipelines.kubeflow.submit import TOKEN_FILE_VARIABLE, submit


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    with serve_kubeflow_api() as served:
        yield served


def write(folder: Path, **section: object) -> Path:
    path = folder / "pipeline.yaml"
    compile_pipeline(toy_pipeline(), KubeflowConfig(image="tfrec:1", **section)).write(path)
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write(tmp_path)


def test_a_pipeline_is_uploaded_and_run(api: KubeflowApi, package: Path) -> None:
    submitted = submit(package, f"{api.url}/", service_account="trainer")
    (run,) = api.runs
    assert run["pipeline_version_reference"] == {
        "pipeline_id": "pipeline-1", "pipeline_version_id": "pipeline_version-1",
    }  # fmt: skip
    assert (run["service_account"], run["display_name"]) == ("trainer", submitted.version)
    assert run["experiment_id"] == api.experiments[0]["experiment_id"]
    assert api.experiments[0]["display_name"] == "toy"
    assert api.versions[0]["spec"][0]["schemaVersion"] == "2.1.0"
    assert submitted.page == f"{api.url}/#/runs/details/{submitted.id}"
    assert submitted.cron is None


def test_the_same_file_is_uploaded_once_and_another_is_a_new_version(
    api: KubeflowApi, tmp_path: Path
) -> None:
    submit(write(tmp_path), api.url)
    submit(write(tmp_path), api.url)
    assert (len(api.pipelines), len(api.versions), len(api.runs)) == (1, 1, 2)
    submit(write(tmp_path, retries=3), api.url)
    assert (len(api.pipelines), len(api.versions), len(api.experiments)) == (1, 2, 1)


def test_a_schedule_takes_the_place_of_the_last_one(api: KubeflowApi, package: Path) -> None:
    first = submit(package, api.url, schedule="0 3 * * *")
    second = submit(package, api.url, schedule="0 4 * * 7")
    (recurring,) = api.recurring_runs
    assert recurring["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 0"
    assert (recurring["mode"], recurring["no_catchup"]) == ("ENABLE", True)
    assert (first.replaced, second.replaced) == (0, 1)
    assert second.page == f"{api.url}/#/recurringrun/details/{recurring['recurring_run_id']}"
    assert not api.runs


def test_a_bad_cron_line_is_refused_before_anything_is_uploaded(
    api: KubeflowApi, package: Path
) -> None:
    with pytest.raises(UserError, match=r"hour '25': must be 0 to 23"):
        submit(package, api.url, schedule="0 25 * * *")
    assert not api.pipelines


def test_where_kubeflow_has_several_users_a_namespace_is_needed(
    api: KubeflowApi, package: Path
) -> None:
    api.multi_user = True
    with pytest.raises(UserError, match=r"^pipeline\.kubeflow\.namespace: missing; .*several"):
        submit(package, api.url)
    submit(package, api.url, namespace="shop")
    assert (api.pipelines[0]["namespace"], api.experiments[0]["namespace"]) == ("shop", "shop")


def test_no_permission_is_one_line(api: KubeflowApi, package: Path) -> None:
    api.refuse = (403, "User 'ada' is not authorized to\n create runs")
    with pytest.raises(UserError) as caught:
        submit(package, api.url, namespace="shop")
    message = str(caught.value)
    assert message.startswith("pipeline.kubeflow.namespace: no permission in namespace 'shop' (403")
    assert "User 'ada' is not authorized to create runs" in message
    assert "\n" not in message


def test_an_error_of_the_server_is_one_line(api: KubeflowApi, package: Path) -> None:
    api.refuse = (500, "database is locked")
    with pytest.raises(UserError, match=r"answers 500: database is locked$"):
        submit(package, api.url)


def test_nothing_at_the_address_is_one_line(package: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UserError, match=r"host: 'http://127.*nothing answers \(.*refused\)"):
            submit(package, url)


def test_a_host_that_is_no_url_is_one_line(package: Path) -> None:
    with pytest.raises(UserError, match=r"^pipeline\.kubeflow\.host: 'kubeflow'"):
        submit(package, "kubeflow")


def test_a_token_signs_every_call(
    api: KubeflowApi, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(token))
    submit(package, api.url)
    assert api.tokens == {"Bearer open-sesame"}


@pytest.mark.parametrize("content", ["", "open-sesame\nsecond line", "\x00open-sesame"])
def test_what_cannot_be_a_token_is_named_but_not_shown(
    content: str, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(content)
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(token))
    with pytest.raises(UserError, match=f"^{TOKEN_FILE_VARIABLE}: .*holds no token") as caught:
        submit(package, "http://127.0.0.1:1")
    assert "sesame" not in str(caught.value)


def test_headers_are_not_shown_where_something_else_than_http_goes_on(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.LocalProtocolError("Illegal header value b'Bearer open-sesame'")

    monkeypatch.setattr(httpx, "get", refuse)
    with pytest.raises(UserError, match=r"host: .*nothing answers \(not in HTTP\)") as caught:
        submit(package, "http://127.0.0.1:1")
    assert "sesame" not in str(caught.value)


def test_a_token_file_that_is_not_there_is_named(
    package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UserError, match=f"^{TOKEN_FILE_VARIABLE}: .*no such file"):
        submit(package, "http://127.0.0.1:1")
