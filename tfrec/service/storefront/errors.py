"""What a page cannot do."""


class PageError(Exception):
    """What was sent cannot be answered.

    Attributes:
      status: of HTTP.
      message: for the visitor.
    """

    def __init__(self, status: int, message: str) -> None:
        """Takes the status and what to say."""
        super().__init__(message)
        self.status, self.message = status, message
