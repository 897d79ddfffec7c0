"""Templates that learn several labels of an impression at once."""

from tfrec.models.multi_task.esmm import ESMM
from tfrec.models.multi_task.mmoe import MMoE
from tfrec.models.multi_task.multi_task import MultiTask
from tfrec.models.multi_task.ple import PLE
from tfrec.models.multi_task.shared_bottom import SharedBottom

__all__ = ["ESMM", "PLE", "MMoE", "MultiTask", "SharedBottom"]
