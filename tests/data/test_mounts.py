from pathlib import Path

import pytest

from tfrec.data.mounts import is_remote

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
tmpfs /dev/shm tmpfs rw 0 0
server:/shop /data/shop nfs4 rw 0 0
/dev/vdb /data/shop/scratch xfs rw 0 0
shop-bucket /mnt/my\\040bucket fuse.gcsfuse rw 0 0
overlay /containers fuse.fuse-overlayfs rw 0 0
server:/old /data/twice nfs rw 0 0
/dev/vdc /data/twice ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "remote"),
    [
        ("/data", False),
        ("/dev/shm/prepared", False),
        ("/data/shop", True),
        ("/data/shop/runs/prepare/examples", True),
        ("/data/shop/scratch/prepare", False),
        ("/data/shopping", False),
        ("/mnt/my bucket/prepare", True),
        ("/containers/prepare", False),
        ("/data/twice/prepare", False),
    ],
)
def test_the_innermost_mount_tells_where_files_are(
    tmp_path: Path, folder: str, remote: bool
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    assert is_remote(Path(folder), mounts) is remote


def test_links_are_followed(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    link = tmp_path / "prepare"
    link.symlink_to("/data/shop/runs")

    assert is_remote(link, mounts)


def test_all_is_local_where_the_system_has_no_table_of_mounts(tmp_path: Path) -> None:
    assert not is_remote(tmp_path, tmp_path / "none")


def test_the_table_of_this_machine_can_be_read(tmp_path: Path) -> None:
    assert is_remote(tmp_path) in (True, False)
