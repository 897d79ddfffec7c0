from pathlib import Path
from typing import Any

import pytest

from tfrec.config import validate
from tfrec.deploy.tfjob import DIGEST, render_tfjob
from tfrec.deploy.tfjob_config import TFJobConfig
from tfrec.errors import UserError
from tfrec.training.config import TrainingConfig

JOB = Path("/data/runs/shop/.train-abc/job.json")
SMALLEST = {"image": "shop/trainer:1", "volume": {"claim": "shop-data", "path": "/data"}}
TWO_AND_ONE = {"workers": 2, "parameter_servers": 1}


def render(training: Any = TWO_AND_ONE, name: str = "my_shop", **values: Any) -> dict[str, Any]:
    config = validate(TFJobConfig, {**SMALLEST, **values}, "pipeline.tfjob")
    return render_tfjob(config, TrainingConfig.model_validate(training), name, JOB)


def replicas(manifest: dict[str, Any]) -> dict[str, int]:
    return {kind: spec["replicas"] for kind, spec in manifest["spec"]["tfReplicaSpecs"].items()}


def pod(manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    return manifest["spec"]["tfReplicaSpecs"][kind]["template"]["spec"]


def test_each_strategy_has_its_replicas():
    in_step = {"strategy": "multi_worker_mirrored", "workers": 3, "batch_size": 30}

    assert replicas(render()) == {"Chief": 1, "Worker": 2, "PS": 1}
    assert replicas(render({**TWO_AND_ONE, "evaluator": True}))["Evaluator"] == 1
    assert replicas(render(in_step)) == {"Worker": 3}
    assert replicas(render({"strategy": "single"})) == {"Chief": 1}


def test_every_replica_runs_the_job_from_the_shared_volume():
    manifest = render()

    for kind in ("Chief", "Worker", "PS"):
        spec = pod(manifest, kind)
        (container,) = spec["containers"]
        assert container["name"] == "tensorflow"
        assert container["image"] == "shop/trainer:1"
        assert container["command"] == ["python", "-m", "tfrec.training.task", str(JOB)]
        assert container["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]
        assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "shop-data"}
        assert manifest["spec"]["tfReplicaSpecs"][kind]["restartPolicy"] == "OnFailure"


def test_a_kind_gets_what_is_said_of_it_and_otherwise_what_is_said_of_all():
    manifest = render(
        memory="4Gi",
        cpu=0.5,
        node_selector={"pool": "cpu"},
        worker={"gpus": 1, "node_selector": {"pool": "gpu"}},
    )

    worker, server = pod(manifest, "Worker"), pod(manifest, "PS")
    gpu = {"nvidia.com/gpu": "1"}
    assert worker["containers"][0]["resources"] == {
        "limits": {"memory": "4Gi", **gpu},
        "requests": {"memory": "4Gi", "cpu": "0.5", **gpu},
    }
    assert worker["nodeSelector"] == {"pool": "gpu"}
    assert server["nodeSelector"] == {"pool": "cpu"}
    assert server["containers"][0]["resources"]["limits"] == {"memory": "4Gi"}


def test_secrets_are_named_and_not_read():
    manifest = render(
        secrets=[
            {"name": "store", "env": {"TOKEN": "token"}},
            {"name": "keys", "path": "/keys"},
        ],
        pull_secrets=["registry"],
        service_account="trainer",
    )

    spec = pod(manifest, "Chief")
    (container,) = spec["containers"]
    reference = {"name": "store", "key": "token"}
    assert container["env"] == [{"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}}]
    mount = container["volumeMounts"][1]
    assert mount == {"name": "secret-1", "mountPath": "/keys", "readOnly": True}
    assert spec["volumes"][1] == {"name": "secret-1", "secret": {"secretName": "keys"}}
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["serviceAccountName"] == "trainer"


def test_a_run_has_limits():
    manifest = render(clean_pods="All", restarts=2, deadline="2h", kept="1h")

    assert manifest["spec"]["runPolicy"] == {
        "cleanPodPolicy": "All",
        "backoffLimit": 2,
        "activeDeadlineSeconds": 7200,
        "ttlSecondsAfterFinished": 3600,
    }


def test_the_same_training_has_the_same_name_and_another_one_another():
    first, again = render()["metadata"], render()["metadata"]

    assert first == again
    assert first["name"] == f"tfrec-my-shop-{first['annotations'][DIGEST][:8]}"
    assert render(memory="1Gi")["metadata"]["name"] != first["name"]
    assert render(name="your_shop")["metadata"]["annotations"] != first["annotations"]


@pytest.mark.parametrize("name", ["Käse & Wein", "x" * 100, "3_shops", "_-_"])
def test_any_experiment_has_a_name_that_services_can_be_named_after(name):
    named = render(name=name)["metadata"]["name"]

    assert named.isascii()
    assert named.replace("-", "").isalnum()
    assert named == named.lower()
    assert "--" not in named
    assert len(f"{named}-evaluator-000") <= 63


def test_a_job_that_replicas_cannot_see_is_refused():
    config = TFJobConfig.model_validate({**SMALLEST, "volume": {"claim": "c", "path": "/mnt"}})

    with pytest.raises(
        UserError, match=r"volume.path: /mnt does not hold /data/runs/shop.*--runs /mnt/runs"
    ):
        render_tfjob(config, TrainingConfig(), "shop", JOB)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"namespace": "My Shop"}, "pipeline.tfjob.namespace: 'My Shop'"),
        ({"memory": "lots"}, "pipeline.tfjob.memory: 'lots'"),
        ({"clean_pods": "Some"}, "pipeline.tfjob.clean_pods: 'Some'"),
        ({"worker": {"gpus": -1}}, "pipeline.tfjob.worker.gpus: -1"),
        ({"deadline": "soon"}, "pipeline.tfjob.deadline: 'soon': not a duration"),
        ({"volume": {"path": "/data"}}, "pipeline.tfjob.volume.claim: missing"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_at_once(values, message):
    with pytest.raises(UserError) as refused:
        render(**values)

    assert str(refused.value).startswith(message)
