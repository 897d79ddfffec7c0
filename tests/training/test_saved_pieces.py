import os
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

PROGRAM = Path(__file__).parents[1] / "saves_in_pieces.py"
KEY = "table/.ATTRIBUTES/VARIABLE_VALUE"


def test_servers_save_their_tables_in_pieces_that_are_restored_as_one(tmp_path: Path) -> None:
    prefix = str(tmp_path / "saved")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    done = subprocess.run(
        [sys.executable, PROGRAM, prefix],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    # 13 rows on the first server, 12 on the second, five at a time; none of its own.
    assert done.stdout.splitlines() == [
        "25 4 0,5:0,4, 25 4 5,5:0,4, 25 4 10,3:0,4",
        "25 4 13,5:0,4, 25 4 18,5:0,4, 25 4 23,2:0,4",
        "",
    ]
    reader = tf.train.load_checkpoint(prefix)
    assert reader.get_tensor(KEY)[:, 1].tolist() == list(range(1, 100, 4))
    assert reader.get_tensor("small/.ATTRIBUTES/VARIABLE_VALUE") == 7
