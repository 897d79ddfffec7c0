"""Where a pod finds what the object store's URIs name."""

from pathlib import Path

ROOT_VARIABLE = "TFREC_ARTIFACTS"
"""Variable in pods: the directory that holds the launcher's folders, `/` without it."""

_FOLDERS = {"gs": "gcs", "s3": "s3", "minio": "minio"}


def local_path(uri: str, root: Path = Path("/")) -> str:
    """The folder to which Kubeflow's launcher copies what lies at a URI.

    Args:
      uri: of an artefact.
      root: directory that holds the launcher's folders of object stores.

    Returns:
      The folder; a URI of another scheme, or a path, as it is.
    """
    scheme, separator, rest = uri.partition("://")
    if scheme == "oci" and separator:  # an image, whose models the launcher mounts
        return f"/oci/{rest.replace('/', '_')}/models"
    if scheme not in _FOLDERS or not separator:
        return uri
    return str(root / _FOLDERS[scheme] / rest)
