"""Where a directory's files really are."""

from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_REMOTE = {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3"}
_LOCAL_FUSE = {"fuse.fuse-overlayfs"}


def is_remote(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Tells whether a directory is on a file system of another machine.

    Args:
      folder: the directory.
      mounts: the system's table of mounts, as of Linux; without one all is local.

    Returns:
      True for network file systems and what FUSE mounts, such as buckets.
    """
    if not mounts.exists():
        return False
    folder = folder.resolve()
    types = {}
    for line in mounts.read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        # The table writes a blank in a path as \040; later mounts hide earlier ones.
        types[Path(point.encode().decode("unicode_escape"))] = kind
    kind = next(types[point] for point in [folder, *folder.parents] if point in types)
    return kind in _REMOTE or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)
