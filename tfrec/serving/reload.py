"""ModelService's HandleReloadConfigRequest, apart from any transport."""

import logging

from tensorflow_serving.apis import model_management_pb2

from tfrec.serving.manager import ModelManager
from tfrec.serving.model_config import listed_models
from tfrec.serving.status import ServingError

logger = logging.getLogger(__name__)


def handle_reload_config(
    manager: ModelManager,
    request: model_management_pb2.ReloadConfigRequest,
    timeout_seconds: float | None = None,
) -> model_management_pb2.ReloadConfigResponse:
    """Replaces the whole list of models, and answers once the new ones can be asked.

    Args:
      manager: serves the models.
      request: its `model_config_list` says which; those that it leaves out are unloaded.
      timeout_seconds: how long to wait for models that are new; None sets no limit.

    Returns:
      A response with status OK.

    Raises:
      ServingError: if the list is refused, and then nothing has changed; or a new model cannot be
        loaded, or not in time.
    """
    if not request.config.HasField("model_config_list"):
        raise ServingError(
            "INVALID_ARGUMENT",
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only"
            " ModelConfigList is currently supported",
        )
    try:
        manager.reload(listed_models(request.config), timeout_seconds)
    except ServingError as error:
        logger.error("ReloadConfig failed: %s", error.message)
        raise
    response = model_management_pb2.ReloadConfigResponse()
    response.status.SetInParent()
    return response
