"""How a request or a model version fared, in the terms of TensorFlow Serving."""

from dataclasses import dataclass

from tfrec.errors import UserError


class ServingError(UserError):
    """A request or a load that ended in a status other than OK.

    Attributes:
      code: name of the gRPC status, e.g. "NOT_FOUND".
      message: what went wrong, without the code.
    """

    def __init__(self, code: str, message: str) -> None:
        """Joins code and message into the one line that users read."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class VersionStatus:
    """Where one version of a model is in its life.

    Attributes:
      version: the number that names its directory.
      state: START, LOADING, AVAILABLE, UNLOADING or END.
      error_code: name of the gRPC status that ended it, OK where nothing failed.
      error_message: what went wrong, empty where nothing failed.
    """

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""
