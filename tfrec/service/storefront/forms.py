"""Forms as browsers post them."""

from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from tfrec.service.storefront.errors import PageError

_MOST_BYTES = 16_384
_MOST_FIELDS = 64
_KIND = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """Reads a form that a page of this shop posted.

    Returns:
      Field -> its value; of a field that is there twice the last one.

    Raises:
      PageError: if another site posted it, or it is no form, or too large.
    """
    _check_origin(request)
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != _KIND:
        raise PageError(415, f"The shop takes forms as {_KIND}.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise PageError(413, f"A form has at most {_MOST_BYTES:,} bytes.")
    try:
        return dict(
            parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
            )
        )
    except ValueError as error:  # a UnicodeDecodeError is one
        raise PageError(400, "This is no form as browsers send it.") from error


def within_shop(address: str) -> str:
    """The address to go back to, if it is a page of this shop; else the shop's first page."""
    plain = address.startswith("/") and address.isprintable() and "\\" not in address
    return address if plain and not address.startswith("//") else "/"


def _check_origin(request: Request) -> None:
    """Refuses what another site's page posts in the visitor's name.

    A browser says where a form comes from, and no page can make it say something else. Where it
    does not trust the connection it leaves out `sec-fetch-site`, and says only the origin.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        comes_from_here = site == "same-origin"
    else:
        origin = urlsplit(request.headers.get("origin", ""))
        comes_from_here = origin.netloc.lower() == request.headers.get("host", "").lower() != ""
    if not comes_from_here:
        raise PageError(403, "This form comes from another site; use the shop's own pages.")
