"""A TFX pipeline of three components: examples, their statistics, and an executor of ours."""

from pathlib import Path

import tensorflow as tf
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.pipeline import Pipeline
from tfx.types.artifact_utils import encode_split_names, get_single_instance
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import Examples, ExampleStatistics

from tfrec.errors import UserError
from tfrec.pipelines.artifacts import Evaluation

ROWS = 20


class WriteExamplesExecutor(BaseExecutor):
    def Do(self, input_dict, output_dict, exec_properties):  # noqa: N802
        examples = get_single_instance(output_dict["examples"])
        examples.split_names = encode_split_names(["train"])
        folder = Path(examples.uri) / "Split-train"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "part.gz"), "GZIP") as writer:
            for row in range(exec_properties["rows"]):
                value = tf.train.Feature(float_list=tf.train.FloatList(value=[row]))
                features = tf.train.Features(feature={"price": value})
                writer.write(tf.train.Example(features=features).SerializeToString())


class WriteExamplesSpec(ComponentSpec):
    PARAMETERS = {"rows": ExecutionParameter(type=int)}  # noqa: RUF012
    INPUTS = {}  # noqa: RUF012
    OUTPUTS = {"examples": ChannelParameter(type=Examples)}  # noqa: RUF012


class WriteExamples(BaseComponent):
    SPEC_CLASS = WriteExamplesSpec
    EXECUTOR_SPEC = ExecutorClassSpec(WriteExamplesExecutor)

    def __init__(self, rows=ROWS):
        super().__init__(WriteExamplesSpec(rows=rows, examples=Channel(type=Examples)))


class MeasureExecutor(BaseExecutor):
    def Do(self, input_dict, output_dict, exec_properties):  # noqa: N802
        if exec_properties["refuse"]:
            raise UserError(f"measure: {exec_properties['refuse']}")
        statistics = get_single_instance(input_dict["statistics"])
        evaluation = get_single_instance(output_dict["evaluation"])
        evaluation.set_string_custom_property("splits", statistics.split_names)
        found = sorted(path.name for path in Path(statistics.uri).iterdir())
        (Path(evaluation.uri) / "splits.txt").write_text(statistics.split_names)
        versions = Path(evaluation.uri) / "versions"
        (versions / "1").mkdir(parents=True)
        (versions / "1" / "found.txt").write_text(" ".join(found))
        (versions / "last").symlink_to("1")


class MeasureSpec(ComponentSpec):
    PARAMETERS = {"refuse": ExecutionParameter(type=str)}  # noqa: RUF012
    INPUTS = {"statistics": ChannelParameter(type=ExampleStatistics)}  # noqa: RUF012
    OUTPUTS = {"evaluation": ChannelParameter(type=Evaluation)}  # noqa: RUF012


class Measure(BaseComponent):
    SPEC_CLASS = MeasureSpec
    EXECUTOR_SPEC = ExecutorClassSpec(MeasureExecutor)

    def __init__(self, statistics, refuse=""):
        super().__init__(
            MeasureSpec(statistics=statistics, refuse=refuse, evaluation=Channel(type=Evaluation))
        )


def toy_pipeline(name: str = "toy", cache: bool = True, refuse: str = "") -> Pipeline:
    """The pipeline; `refuse` is the error that its last component ends with."""
    written = WriteExamples()
    statistics = StatisticsGen(examples=written.outputs["examples"])
    measured = Measure(statistics.outputs["statistics"], refuse)
    return Pipeline(
        pipeline_name=name,
        pipeline_root="pipeline",
        components=[written, statistics, measured],
        enable_cache=cache,
        beam_pipeline_args=[],
    )
