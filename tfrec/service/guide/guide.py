"""The shopping guide: what a shopper writes, understood and answered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tfrec.data.catalogue import Catalogue
from tfrec.service.api import GuideReply, GuideRequest, RecommendationRequest, Slate
from tfrec.service.assortment import PRICE, Assortment
from tfrec.service.guide.config import GuideConfig
from tfrec.service.guide.conversation import Conversation
from tfrec.service.guide.language_model import LanguageModel
from tfrec.service.guide.meaning import Interpreter, Meaning
from tfrec.service.guide.sentence import Notes, sentence
from tfrec.service.guide.turn import Turn, read_turn
from tfrec.service.metrics import count_fallback
from tfrec.service.search.search import Search

Recommend = Callable[[RecommendationRequest], Awaitable[Slate]]

_MODEL = "language_model"
_SUGGESTIONS = 3
_MOST_EXCLUDED = 1000


class Guide:
    """Answers what shoppers write with a sentence and a slate.

    Rules and the catalogue's own words say what a sentence asks for. Where a language model is
    configured, it may read and phrase; what it says is checked against the catalogue.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        search: Search,
        assortment: Callable[[], Assortment],
        config: GuideConfig | None = None,
    ) -> None:
        """Reads the catalogue's words.

        Args:
          catalogue: the items.
          search: knows their words.
          assortment: gives prices and flags as they are now.
          config: the `guide` section.

        Raises:
          UserError: if the environment lacks the language model's key.
        """
        self._config = config or GuideConfig()
        self._catalogue, self._search = catalogue, search
        self._interpreter = Interpreter(catalogue, search, assortment, self._config)
        self._model = None
        if model := self._config.language_model:
            categories = self._interpreter.categories
            self._model = LanguageModel(model, categories, search.vocabulary)

    async def reply(self, request: GuideRequest, recommend: Recommend) -> GuideReply:
        """Answers one turn of a conversation.

        Args:
          request: what the shopper writes, and the conversation so far.
          recommend: makes a slate.

        Returns:
          The sentence, the slate and what to send with the next turn.

        Raises:
          UserError: if the conversation is none that a reply has given.
        """
        before = Conversation.read(request.conversation)
        by_rules = read_turn(request.message, self._interpreter.free())
        read = await self._model.read(request.message, by_rules) if self._model else by_rules
        turn, unknown = await asyncio.to_thread(self._known, read, before)
        conversation = before.after(turn)
        meaning = await asyncio.to_thread(self._interpreter.find, conversation)
        lost = not by_rules.says_something and not turn.says_something
        slate = await recommend(self._question(request, conversation, meaning, turn))
        slate = self._guarded(slate, meaning)
        shown = [item.id for item in slate.items]
        prices = [item.features.get(PRICE) for item in slate.items]
        after = conversation.with_shown(
            shown, [float(price) for price in prices if isinstance(price, int | float)]
        )
        notes = self._notes(meaning, unknown, turn, lost)
        text = sentence(
            slate, meaning.understood, conversation.excluded, notes, self._config.currency
        )
        phrased = None
        failed = self._model is not None and self._model.reads and read is by_rules
        if self._model and self._model.phrases and slate.items and not notes.nothing_known:
            phrased = await self._model.phrase(request.message, meaning.understood, slate)
            failed |= phrased is None
        if failed:
            count_fallback(_MODEL)
            fallbacks = (*slate.fallbacks, f"{_MODEL}: rules")
            slate = slate.model_copy(update={"fallbacks": fallbacks})
        return GuideReply(
            sentence=f"{phrased} {_warning(text)}".strip() if phrased else text,
            slate=slate,
            understood=meaning.understood,
            conversation=after.written(),
            phrased_by=self._model.name if self._model and phrased else "rules",
        )

    async def close(self) -> None:
        """Closes the connection to the language model."""
        if self._model:
            await self._model.close()

    def _known(self, turn: Turn, before: Conversation) -> tuple[Turn, tuple[str, ...]]:
        """A turn without a subject that the catalogue does not know, if there was one before."""
        if not turn.subject or turn.start_over or not before.subject:
            return turn, ()
        if self._interpreter.is_findable(turn.subject):
            return turn, ()
        return replace(turn, subject=""), self._search.unknown(turn.subject)

    def _question(
        self, request: GuideRequest, conversation: Conversation, meaning: Meaning, turn: Turn
    ) -> RecommendationRequest:
        excluded = self._catalogue.ids[meaning.excluded_rows].tolist()
        if turn.other:
            excluded = [*conversation.shown, *excluded]
        return RecommendationRequest(
            scenario="search" if meaning.findable else "home",
            query=meaning.understood.about if meaning.findable else None,
            user=request.user,
            session=request.session,
            k=conversation.quantity or request.k,
            filters=meaning.understood.filters,
            exclude=tuple(dict.fromkeys(excluded))[:_MOST_EXCLUDED],
        )

    def _guarded(self, slate: Slate, meaning: Meaning) -> Slate:
        """A slate without items that a word excludes, which were too many to be named."""
        if not meaning.excluded.items.any() or not slate.items:
            return slate
        rows = self._catalogue.rows([item.id for item in slate.items])
        kept = [
            item
            for item, row in zip(slate.items, rows, strict=True)
            if row < 0 or not meaning.excluded.items[row]
        ]
        if len(kept) == len(slate.items):
            return slate
        numbered = [
            item.model_copy(update={"position": place}) for place, item in enumerate(kept, 1)
        ]
        return slate.model_copy(update={"items": tuple(numbered)})

    def _notes(self, meaning: Meaning, unknown: tuple[str, ...], turn: Turn, lost: bool) -> Notes:
        about = meaning.understood.about
        nothing = lost or (bool(about) and not meaning.findable)
        suggested = self._interpreter.categories.largest(_SUGGESTIONS) if nothing else []
        return Notes(
            no_prices=meaning.no_prices,
            by_label=tuple(meaning.excluded.by_label),
            unknown=tuple(dict.fromkeys((*unknown, *meaning.understood.not_understood))),
            nothing_known=nothing,
            try_instead=tuple(suggested),
            other=turn.other,
            brands=meaning.brands,
            start_over=turn.start_over,
        )


def _warning(text: str) -> str:
    """What of the rules' reply has to be said beside a phrase of a model: all but the first."""
    _, _, rest = text.partition(". ")
    return rest
