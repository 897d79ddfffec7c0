"""The batches of a run: who reads which, and from where on."""

from collections.abc import Callable, Iterable

import tensorflow as tf
import tf_keras

from tfrec.data.input_pipeline import Batch, read_shuffled
from tfrec.data.prepared import TRAIN, VALIDATION
from tfrec.data.uniform_items import with_uniform_items
from tfrec.errors import UserError
from tfrec.features.parsing import REPEAT, TIME
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob
from tfrec.training.step import WORKER


class Batches:
    """Input for `fit`: one reader, or one for each worker of a cluster with files of its own.

    Attributes:
      per_epoch: whole batches of the training examples.
      validation_steps: batches that validation takes; 0 where there are not enough examples.
    """

    def __init__(self, job: TrainingJob) -> None:
        """Counts a job's batches.

        Raises:
          UserError: if the examples, or those of one worker, do not fill a batch.
        """
        self._job, self._config = job, job.training
        self._train, self._validation = job.training_files, job.example_files(VALIDATION)
        self._labels = job.labels
        self.per_epoch = steps_per_epoch(self._train.examples, self._config.batch_size)
        self._shares = {
            "parameter_server": self._config.workers,
            "multi_worker_mirrored": self._config.workers,
        }.get(self._config.strategy, 1)
        check_shares(self._train.files.values(), self._config, self._shares)
        self._validation_batch = self._fitting(self._validation.files.values())
        self.validation_steps = (
            self._validation.examples // self._validation_batch if self._validation_batch else 0
        )

    def training(
        self, strategy: tf.distribute.Strategy, step: int, worker_steps: tf.Variable
    ) -> object:
        """Shuffled training batches for ever.

        Args:
          strategy: the strategy.
          step: number of batches that were read before, by all.
          worker_steps: `[workers]`, how many of them each worker of a cluster read.
        """
        config, parts = self._config, self._parts(strategy)
        weight = example_weight(config, self._job.data.parts[TRAIN].last or 0)

        def read(start: int | tf.Tensor, share: tuple[int, int | tf.Tensor]) -> tf.data.Dataset:
            batches = read_shuffled(
                self._train.folder,
                self._train.files,
                self._job.features,
                self._per_reader(config.batch_size) // parts,
                config.seed,
                weight,
                start * parts,
                share,
                self._labels,
                self._job.kind,
                self._job.taught,
            )
            return self._with_items(
                batches, config.batch_size, parts, config.seed, start * parts, share[1]
            )

        def read_own(worker: tf.Tensor) -> tf.data.Dataset:
            start = tf.gather(worker_steps, worker)
            batches = read(start, (config.workers, worker))
            return batches.map(lambda batch: {**batch, WORKER: tf.cast(worker, tf.int64)})

        return self._by_reader(strategy, lambda share: read(step, share), read_own)

    def validation(self, strategy: tf.distribute.Strategy) -> object:
        """The batches of the validation part, the same ones each time."""
        parts = self._parts(strategy)

        def read(share: tuple[int, int | tf.Tensor]) -> tf.data.Dataset:
            batches = read_shuffled(
                self._validation.folder,
                self._validation.files,
                self._job.features,
                max(1, self._per_reader(self._validation_batch) // parts),
                seed=0,
                share=share,
                labels=self._labels,
                kind=self._job.kind,
            )
            return self._with_items(batches, self._validation_batch, parts, 0, 0, share[1])

        return self._by_reader(strategy, read, lambda worker: read((self._config.workers, worker)))

    def _with_items(
        self,
        batches: tf.data.Dataset,
        batch_size: int,
        parts: int,
        seed: int,
        start: int | tf.Tensor,
        reader: int | tf.Tensor,
    ) -> tf.data.Dataset:
        """Adds each part's share of the items that a batch brings."""
        count = self._job.uniform_items(batch_size)
        if not count:
            return batches
        each = -(-self._per_reader(count) // parts)
        folder, spec = self._job.data.items, self._job.features
        return with_uniform_items(batches, folder, spec, each, seed, start, reader)

    def _fitting(self, examples: Iterable[int]) -> int:
        """The largest batch, up to that of training, that readers and replicas can fill."""
        readers_in_step = self._shares if self._in_step else 1
        most = readers_in_step * _smallest_share(examples, self._shares)
        fitting = min(self._config.batch_size, most)
        return fitting - fitting % self._config.replicas_in_step

    @property
    def _in_step(self) -> bool:
        return self._config.strategy == "multi_worker_mirrored"

    def _per_reader(self, batch_size: int) -> int:
        return -(-batch_size // self._shares) if self._in_step else batch_size

    def _parts(self, strategy: tf.distribute.Strategy) -> int:
        """Parts of a batch that a reader reads one by one, for the replicas of its process.

        Raises:
          UserError: if a batch cannot be cut into them.
        """
        if self._config.strategy == "single":
            return 1
        replicas, batch_size = strategy.num_replicas_in_sync, self._config.batch_size
        if batch_size % replicas:
            raise UserError(
                f"training.batch_size: {batch_size} cannot be cut into equal parts for "
                f"{replicas} replicas; take {-(-batch_size // replicas) * replicas}"
            )
        return replicas // self._shares if self._in_step else replicas

    def _by_reader(
        self,
        strategy: tf.distribute.Strategy,
        read: Callable[[tuple[int, int]], tf.data.Dataset],
        read_of_worker: Callable[[tf.Tensor], tf.data.Dataset],
    ) -> object:
        if isinstance(strategy, tf.distribute.ParameterServerStrategy):
            current = tf.distribute.coordinator.experimental_get_current_worker_index
            return tf_keras.utils.experimental.DatasetCreator(lambda _: read_of_worker(current()))
        if self._config.strategy != "single":
            return strategy.distribute_datasets_from_function(
                lambda context: read((context.num_input_pipelines, context.input_pipeline_id))
            )
        return read((1, 0))


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Counts the whole batches of the training examples."""
    if examples < batch_size:
        raise UserError(
            f"training.batch_size: {batch_size} is more than the {examples} training examples; "
            "lower it"
        )
    return examples // batch_size


def check_shares(examples: Iterable[int], config: TrainingConfig, shares: int) -> None:
    """Checks that each reader's files fill a batch.

    Args:
      examples: the number of examples in each file.
      config: the `training` section.
      shares: number of readers.

    Raises:
      UserError: if they do not.
    """
    examples = list(examples)
    smallest = _smallest_share(examples, shares)
    needed = config.batch_size
    if config.strategy == "multi_worker_mirrored":
        needed //= shares
    if smallest < needed:
        raise UserError(
            f"training.workers: {shares} share {len(examples)} files of training examples, "
            f"and one of them gets {smallest} examples, less than a batch; lower it or "
            "training.batch_size, or raise data.shards"
        )


def _smallest_share(examples: Iterable[int], shares: int) -> int:
    counts = list(examples)
    return min(sum(counts[reader::shares]) for reader in range(shares))


def example_weight(config: TrainingConfig, newest: int) -> Callable[[Batch], tf.Tensor]:
    """Weighs examples by their age and by whether they repeat an earlier one.

        weight = 2 ^ -(age / recency_half_life) * (repeat_weight if a repeat else 1)

    Args:
      config: the `training` section.
      newest: the moment, in seconds since 1970, at which age is 0.

    Returns:
      A map of a batch to float32 `[batch]`.
    """

    def weight(batch: Batch) -> tf.Tensor:
        weights = tf.where(batch[REPEAT] > 0, config.repeat_weight, 1.0)
        if config.recency_half_life is None:
            return weights
        age = tf.cast(newest - batch[TIME], tf.float32)
        return weights * tf.pow(2.0, -age / config.recency_half_life)

    return weight
