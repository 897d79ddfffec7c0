"""A program that saves a table of two parameter servers in pieces, and restores it.

    python saves_in_pieces.py PREFIX

It prints the slices that the servers wrote, a line for each of them and for itself.
"""

import sys

import tensorflow as tf

from tfrec.training.ports import reserve_port
from tfrec.training.saved_pieces import InPieces

ROWS, DIM, ROWS_AT_ONCE = 25, 4, 5


class Shown(InPieces):
    def __call__(self, shardable_tensors):
        (file,) = super().__call__(shardable_tensors)
        print(*(part for slices in file.values() for part in slices if part), sep=", ")
        return [file]


def main(prefix: str) -> None:
    strategy, servers = _cluster()
    with strategy.scope():
        table = tf.Variable(tf.reshape(tf.range(ROWS * DIM, dtype=tf.float32), [ROWS, DIM]))
        small = tf.Variable(7.0)
    state = tf.train.Checkpoint(table=table, small=small)
    callback = Shown(piece_bytes=ROWS_AT_ONCE * DIM * 4)
    state.write(prefix, options=tf.train.CheckpointOptions(experimental_sharding_callback=callback))
    for shard in table.variables:
        shard.assign(tf.zeros_like(shard))
    state.read(prefix).assert_consumed()
    assert tf.concat(table.variables, 0)[:, 0].numpy().tolist() == list(range(0, ROWS * DIM, DIM))
    del servers


def _cluster() -> tuple[tf.distribute.ParameterServerStrategy, list[tf.distribute.Server]]:
    jobs = {"worker": 1, "ps": 2}
    addresses = {job: [f"127.0.0.1:{reserve_port()}" for _ in range(n)] for job, n in jobs.items()}
    cluster = tf.train.ClusterSpec(addresses)
    servers = [
        tf.distribute.Server(cluster, job, task, "grpc")
        for job, n in jobs.items()
        for task in range(n)
    ]
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")
    cut = tf.distribute.experimental.partitioners.FixedShardsPartitioner(2)
    return tf.distribute.ParameterServerStrategy(resolver, cut), servers


if __name__ == "__main__":
    main(sys.argv[1])
