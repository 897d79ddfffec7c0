"""A guide to a small grocery, and talking with it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from small_grocery import SlateMaker, assortment, search_of, small_grocery

from tfrec.data.catalogue import Catalogue
from tfrec.service.api import GuideReply, GuideRequest
from tfrec.service.assortment import Assortment
from tfrec.service.guide.config import GuideConfig
from tfrec.service.guide.guide import Guide
from tfrec.service.search.search import Search


@pytest.fixture(scope="session")
def grocery(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return small_grocery(tmp_path_factory.mktemp("grocery"))


@pytest.fixture(scope="session")
def grocery_search(grocery: Catalogue) -> Search:
    return search_of(grocery)


@dataclass
class Talk:
    """A conversation with a guide.

    Attributes:
      slates: makes the slates, and knows what was asked.
    """

    guide: Guide
    slates: SlateMaker
    conversation: str | None = None

    def say(self, message: str, k: int = 10) -> GuideReply:
        request = GuideRequest(message=message, k=k, conversation=self.conversation, user="u1")
        reply = asyncio.run(self.guide.reply(request, self.slates))
        self.conversation = reply.conversation
        return reply


Begin = Callable[..., Talk]


@pytest.fixture
def begin(grocery: Catalogue, grocery_search: Search) -> Begin:
    """Begins a conversation."""

    def run(config: GuideConfig | None = None, known: Assortment | None = None) -> Talk:
        today = known or assortment()
        guide = Guide(grocery, grocery_search, lambda: today, config)
        return Talk(guide, SlateMaker(grocery, grocery_search, today))

    return run
