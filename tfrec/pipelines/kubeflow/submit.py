"""A compiled pipeline -> a run, or a schedule of runs, on Kubeflow Pipelines."""

import hashlib
import io
import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import urllib3
from kfp import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from kfp_server_api import ApiException

from tfrec.errors import UserError
from tfrec.pipelines.kubeflow.compiled import Compiled
from tfrec.pipelines.kubeflow.schedule import to_kubeflow

TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
"""Kubeflow's own variable: the file that holds the token to sign in with."""

_TIMEOUT_SECONDS = 20


class Submitted(NamedTuple):
    """What Kubeflow took on.

    Attributes:
      id: of the run, or of the recurring run.
      page: where a browser shows it.
      version: name of the pipeline's version; the same file has the same one.
      cron: when it recurs, in Kubeflow's six fields; None of a run that starts now.
      replaced: recurring runs of this pipeline that it took the place of.
    """

    id: str
    page: str
    version: str
    cron: str | None
    replaced: int


def submit(
    package: Path,
    host: str,
    namespace: str | None = None,
    service_account: str | None = None,
    schedule: str | None = None,
) -> Submitted:
    """Uploads a pipeline and runs it, now or on a schedule.

    Args:
      package: the compiled pipeline.
      host: URL of Kubeflow Pipelines' API.
      namespace: the profile to run in, where Kubeflow has several users.
      service_account: that pods run as.
      schedule: cron line; a pipeline has one, and a new one takes the place of the last.

    Returns:
      What was started.

    Raises:
      UserError: if the cron line is wrong, nothing answers at `host`, or the user may not do this.
    """
    cron = to_kubeflow(schedule) if schedule else None
    name = Compiled.read(package).spec.pipeline_info.name
    host = host.rstrip("/")
    with _one_line_errors(host, namespace):
        _check_host(host, namespace)
        client = Client(host, namespace=namespace or "kubeflow", credentials=_credentials())
        pipeline, version, version_name = _upload(client, package, name, namespace)
        experiment = client.create_experiment(name, namespace=namespace).experiment_id
        to_run = {
            "experiment_id": experiment,
            "job_name": version_name if cron is None else name,
            "pipeline_id": pipeline,
            "version_id": version,
            "service_account": service_account,
        }
        if cron is None:
            run = client.run_pipeline(**to_run).run_id
            return Submitted(run, f"{host}/#/runs/details/{run}", version_name, None, 0)
        earlier = client.list_recurring_runs(
            experiment_id=experiment, page_size=100, filter=_named(name)
        )
        # A night that was missed is not made up for: the next run learns from the same days.
        run = client.create_recurring_run(
            **to_run, cron_expression=cron, no_catchup=True, max_concurrency=1
        ).recurring_run_id
        replaced = [each.recurring_run_id for each in earlier.recurring_runs or ()]
        for each in replaced:
            client.delete_recurring_run(each)
    page = f"{host}/#/recurringrun/details/{run}"
    return Submitted(run, page, version_name, cron, len(replaced))


def _upload(
    client: Client, package: Path, name: str, namespace: str | None
) -> tuple[str, str, str]:
    """Ids of the pipeline and of the version that is this file, and the version's name."""
    found = client.list_pipelines(filter=_named(name), namespace=namespace).pipelines
    if found:
        pipeline = found[0].pipeline_id
    else:
        pipeline = client.upload_pipeline(str(package), name, namespace=namespace).pipeline_id
    version_name = f"{name}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    listed = client.list_pipeline_versions(pipeline, filter=_named(version_name))
    if listed.pipeline_versions:
        return pipeline, listed.pipeline_versions[0].pipeline_version_id, version_name
    uploaded = client.upload_pipeline_version(str(package), version_name, pipeline_id=pipeline)
    return pipeline, uploaded.pipeline_version_id, version_name


def _named(name: str) -> str:
    """A filter of the API."""
    same = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [same]})


def _credentials() -> ServiceAccountTokenVolumeCredentials | None:
    file = os.environ.get(TOKEN_FILE_VARIABLE)
    return ServiceAccountTokenVolumeCredentials(file) if file else None


def _token() -> str | None:
    """The token to sign in with; what cannot be one is not sent, since errors would quote it."""
    file = os.environ.get(TOKEN_FILE_VARIABLE)
    if not file:
        return None
    try:
        token = Path(file).read_text(errors="replace").strip()
    except OSError:
        raise UserError(
            f"{TOKEN_FILE_VARIABLE}: {file!r}: no such file; name the token's"
        ) from None
    if not re.fullmatch("[!-~]+", token):
        raise UserError(f"{TOKEN_FILE_VARIABLE}: {file!r}: holds no token, which is one word")
    return token


def _check_host(host: str, namespace: str | None) -> None:
    """Asks for a sign of life first: the client would ask five times, for half a minute."""
    token = _token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(f"{host}/apis/v2beta1/healthz", headers=headers, timeout=_TIMEOUT_SECONDS)
    if answer.is_error:
        raise ApiException(answer.status_code, _said(answer.text) or answer.reason_phrase)
    try:
        health = answer.json()
    except ValueError:
        raise UserError(
            f"pipeline.kubeflow.host: {host!r}: not the API of Kubeflow Pipelines; its address "
            "often ends in /pipeline, and may want a token"
        ) from None
    if health.get("multi_user") and not namespace:
        raise UserError(
            "pipeline.kubeflow.namespace: missing; this Kubeflow has several users: give the "
            "profile to run in"
        )


@contextmanager
def _one_line_errors(host: str, namespace: str | None) -> Iterator[None]:
    """Turns what the client raises into errors for people, and keeps it from printing."""
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except ApiException as error:
        raise UserError(_explain(error, host, namespace)) from None
    except (httpx.HTTPError, httpx.InvalidURL, urllib3.exceptions.HTTPError) as error:
        raise UserError(
            f"pipeline.kubeflow.host: {host!r}: nothing answers ({_reason(error)}); if it is in a "
            "cluster: kubectl port-forward -n kubeflow svc/ml-pipeline 8888, and "
            "--host http://localhost:8888"
        ) from None


def _explain(error: ApiException, host: str, namespace: str | None) -> str:
    said = _said(error.body) or error.reason
    if error.status in (401, 403):
        where = f"namespace {namespace!r}" if namespace else "this Kubeflow"
        return (
            f"pipeline.kubeflow.namespace: no permission in {where} ({error.status}: {said}); ask "
            f"its owner for the role kubeflow-edit, or sign in with a token: {TOKEN_FILE_VARIABLE}"
        )
    return f"pipeline.kubeflow.host: {host!r}: answers {error.status}: {said}"


def _said(body: Any) -> str:
    """The message in an answer, in one line."""
    try:
        content = json.loads(body)
    except (TypeError, ValueError):
        return ""
    message = content.get("error") or content.get("message") if isinstance(content, dict) else ""
    return " ".join(str(message or "").split())


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.ProtocolError):
        return "not in HTTP"  # it would quote headers, and so the token
    cause = getattr(error, "reason", None) or error
    said = re.sub(r"\[Errno -?\d+\] ", "", str(cause))
    return said.rsplit(": ", 1)[-1] or type(cause).__name__
