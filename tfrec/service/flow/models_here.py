"""Models in this process."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tensorflow.core.framework import types_pb2

from tfrec.service.flow.models import Answer, Models
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_config import ModelConfig
from tfrec.serving.servable import Servable
from tfrec.serving.signature import Signature, TensorSpec, dtype_name
from tfrec.serving.status import ServingError

_THREADS = 4


class ModelsHere(Models):
    """Models in this process. New versions below a base path take over while requests run."""

    def __init__(self, base_paths: Mapping[str, Path]) -> None:
        """Loads the newest version of each.

        Args:
          base_paths: name -> directory that holds a directory per version.

        Raises:
          UserError: if a model cannot be loaded.
        """
        self._manager = ModelManager(ModelConfig(*named) for named in base_paths.items())
        self._known: dict[tuple[str, int], dict[str, Signature]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "model")
        self._manager.start()

    async def signatures(self, model: str) -> Mapping[str, Signature]:
        """See `Models.signatures`."""
        return self.signatures_now(model)

    def signatures_now(self, model: str) -> Mapping[str, Signature]:
        """The same, without an event loop."""
        with self._manager.lease(model) as lease:
            key = model, lease.version
            if key not in self._known:
                self._known[key] = _signatures(lease.servable)
            return self._known[key]

    async def run(
        self,
        model: str,
        signature: str,
        inputs: Mapping[str, np.ndarray],
    ) -> Answer:
        """See `Models.run`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, model, signature, inputs)

    def _run(
        self,
        model: str,
        signature: str,
        inputs: Mapping[str, np.ndarray],
    ) -> Answer:
        with self._manager.lease(model) as lease:
            loaded = lease.servable.signatures.get(signature)
            if loaded is None:
                raise ServingError("INVALID_ARGUMENT", f"{model}: has no signature {signature}")
            # All outputs, as in warming up: the first run of each choice of them takes seconds.
            found = lease.servable.run(loaded, inputs, loaded.outputs)
            return Answer(found, str(lease.version))

    async def close(self) -> None:
        """See `Models.close`."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._threads.shutdown()
        self._manager.stop()


def _signatures(servable: Servable) -> dict[str, Signature]:
    return {
        name: Signature(_specs(loaded.inputs), _specs(loaded.outputs), loaded.proto.method_name)
        for name, loaded in servable.signatures.items()
    }


def _specs(infos: Mapping) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            dtype_name(types_pb2.DataType.Name(info.dtype)),
            None
            if info.tensor_shape.unknown_rank
            else tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in infos.items()
    }
