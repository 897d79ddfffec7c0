"""Statistics of prepared data as one page for people."""

from tfrec.data.report.page import write_report

__all__ = ["write_report"]
