"""Models on a server."""

from collections.abc import Mapping

import numpy as np

from tfrec.service.flow.models import Answer, Models
from tfrec.serving.async_client import AsyncClient
from tfrec.serving.signature import Signature


class ModelsThere(Models):
    """Models on a server."""

    def __init__(self, url: str) -> None:
        """Describes the server; the first call connects.

        Args:
          url: `grpc://host:port` or `http://host:port`.

        Raises:
          UserError: if `url` is something else.
        """
        self._client = AsyncClient(url)

    async def signatures(self, model: str) -> Mapping[str, Signature]:
        """See `Models.signatures`."""
        return await self._client.metadata(model)

    async def run(
        self,
        model: str,
        signature: str,
        inputs: Mapping[str, np.ndarray],
    ) -> Answer:
        """See `Models.run`."""
        found = await self._client.predict(model, inputs, signature=signature)
        return Answer(found, str(await self._client.newest(model)))

    async def close(self) -> None:
        """See `Models.close`."""
        await self._client.close()
