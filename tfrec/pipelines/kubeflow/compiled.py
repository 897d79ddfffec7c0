"""The file that Kubeflow Pipelines runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    PipelineDeploymentConfig,
    PipelineSpec,
    PipelineTaskSpec,
    PlatformSpec,
)


class Compiled(NamedTuple):
    """What Kubeflow runs: the pipeline, and what Kubernetes is told of its pods.

    Attributes:
      spec: tasks and components, schema 2.1.0.
      deployment: what runs the components.
      platform: executor -> what its pod is given by Kubernetes.
    """

    spec: PipelineSpec
    deployment: PipelineDeploymentConfig
    platform: PlatformSpec

    @property
    def tasks(self) -> Mapping[str, PipelineTaskSpec]:
        """The tasks by name."""
        return self.spec.root.dag.tasks

    def container(self, task: str) -> PipelineDeploymentConfig.PipelineContainerSpec:
        """The container of a task."""
        component = self.spec.components[self.tasks[task].component_ref.name]
        return self.deployment.executors[component.executor_label].container

    @property
    def order(self) -> list[str]:
        """Names of the tasks, each behind those that it waits for.

        Raises:
          ValueError: if some wait for each other.
        """
        waits = {name: {*task.dependent_tasks} for name, task in self.tasks.items()}
        order: list[str] = []
        while len(order) < len(waits):
            ready = sorted(n for n, on in waits.items() if n not in order and on <= {*order})
            if not ready:
                stuck = ", ".join(sorted({*waits} - {*order}))
                raise ValueError(f"tasks wait for each other: {stuck}")
            order += ready
        return order

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What people want to see of each task, in order.

        Each has `task`, `after` (names of tasks), `cpu`, `memory` in bytes, `gpus`, `retries` and
        `cached`.
        """
        rows = []
        for name in self.order:
            resources, task = self.container(name).resources, self.tasks[name]
            rows.append(
                {
                    "task": name,
                    "after": list(task.dependent_tasks),
                    "cpu": resources.cpu_limit,
                    "memory": resources.memory_limit * 1e9,
                    "gpus": resources.accelerator.count,
                    "retries": task.retry_policy.max_retry_count,
                    "cached": task.caching_options.enable_cache,
                }
            )
        return rows

    def write(self, path: Path) -> None:
        """Writes both as YAML documents of one file."""
        spec = json_format.MessageToDict(self.spec)
        spec["deploymentSpec"] = json_format.MessageToDict(self.deployment)
        documents = [spec]
        if self.platform.platforms:
            documents.append(json_format.MessageToDict(self.platform))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(yaml.safe_dump_all(documents, sort_keys=True))
        partial.rename(path)

    @classmethod
    def read(cls, path: Path) -> "Compiled":
        """Reads what `write` wrote; a field that the schema does not know is an error."""
        spec, *others = yaml.safe_load_all(path.read_text())
        return cls(
            json_format.ParseDict(spec, PipelineSpec()),
            json_format.ParseDict(spec["deploymentSpec"], PipelineDeploymentConfig()),
            json_format.ParseDict(others[0] if others else {}, PlatformSpec()),
        )
