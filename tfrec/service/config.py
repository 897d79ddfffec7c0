"""The `service` section of a config."""

from pathlib import Path
from typing import Any

from pydantic import model_validator

from tfrec.config import Section
from tfrec.service.assortment import AssortmentConfig
from tfrec.service.experiments.config import ExperimentsConfig
from tfrec.service.flow.config import FlowConfig
from tfrec.service.flow.offers import PromotionsConfig
from tfrec.service.guide.config import GuideConfig
from tfrec.service.http.config import HttpConfig
from tfrec.service.resilience.config import ResilienceConfig
from tfrec.service.search.config import SearchConfig
from tfrec.service.secrets import from_environment, refuse_secrets


class ServiceConfig(Section):
    """The `service` section.

    Attributes:
      folder: where events, tombstones and the embedded feature store are kept.
      store: URL of the feature store, or `env:NAME` of an environment variable that holds it; by
        default SQLite below `folder`.
      server: URL of the model server, `grpc://host:port`; by default models run in this process.
      complementary: name on the server, or config, of the experiment that says what goes with an
        item; by default what is bought together.
      assortment: what the shop knows of its items today.
      promotions: which offers change what for whom.
      flow: candidate sources and steps.
      resilience: budgets, breakers, cache.
      experiments: arms and exploration.
      search: how items are found by what a shopper writes.
      guide: the shopping guide.
      http: addresses, keys, limits.
    """

    folder: Path = Path("service")
    store: str | None = None
    server: str | None = None
    complementary: Path | None = None
    assortment: AssortmentConfig | None = None
    promotions: PromotionsConfig | None = None
    flow: FlowConfig = FlowConfig()
    resilience: ResilienceConfig = ResilienceConfig()
    experiments: ExperimentsConfig = ExperimentsConfig()
    search: SearchConfig = SearchConfig()
    guide: GuideConfig = GuideConfig()
    http: HttpConfig = HttpConfig()

    @property
    def store_url(self) -> str:
        """URL of the feature store."""
        if self.store:
            return from_environment(self.store, "service.store")
        return f"sqlite:///{self.folder}/features.sqlite"

    @property
    def erased(self) -> Path:
        """Tombstones of those who asked to be forgotten, where `data.clean.erased` names none."""
        return self.folder / "erased"

    @model_validator(mode="before")
    @classmethod
    def _has_no_secrets(cls, content: Any) -> Any:
        refuse_secrets(content, "service")
        return content
