"""What an evaluation found, as one page for people."""

from tfrec.evaluation.report.gathering import Gathering
from tfrec.evaluation.report.index_choice import IndexChoice
from tfrec.evaluation.report.page import Cost, render

__all__ = ["Cost", "Gathering", "IndexChoice", "render"]
