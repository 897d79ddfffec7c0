"""A client's connection: from bytes to requests."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tfrec.serving.gathered_writes import GatheredWrites

MOST_UNFINISHED_BYTES = 65_536
"""What a client may send of headers, or of trailers, before they end."""


class Connection(GatheredWrites, HttpToolsProtocol):
    """uvicorn's protocol on httptools, whose parser is not written in Python as h11 is.

    It gathers headers for as long as they go on; here they have to end.
    """

    _unfinished, _goes_on = 0, False

    def data_received(self, data: bytes) -> None:
        """Parses what has come, and refuses a client that sends headers without end."""
        self._goes_on = False
        super().data_received(data)
        self._unfinished = 0 if self._goes_on else self._unfinished + len(data)
        if self._unfinished > MOST_UNFINISHED_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers do not end.")

    def on_headers_complete(self) -> None:
        """Begins a request."""
        self._goes_on = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Goes on with a request."""
        self._goes_on = True
        super().on_body(body)
