"""Parts of a gateway are killed and exchanged while shoppers ask."""

import re
import shutil
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gateway_load import Answer, Load
from gateway_processes import Child

_SHOPPERS, _PAUSE_SECONDS = 4, 0.02
_WHOLE = 50


class Parts(NamedTuple):
    """What runs.

    Attributes:
      url: of the gateway.
      server: of the models.
      redis: the store and the cache.
      versions: model -> its newest version's directory, below which another one can be put.
    """

    url: str
    server: Child
    redis: Child
    versions: Mapping[str, Path]


def cause_faults(parts: Parts, users: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Kills and exchanges one part after the other.

    Args:
      parts: what runs.
      users: who asks.

    Returns:
      What was done -> how many requests, how many of them failed or got a short slate, and in how
      many something stood in, by part; and whether the gateway counts the same.

    Raises:
      TimeoutError: if no answer tells that a part is away, or that it is back.
    """
    faults: dict[str, Callable[[Load], None]] = {
        "model server killed": lambda load: _kill(parts.server, "ranker", load),
        "redis killed": lambda load: _kill(parts.redis, "store", load),
        "versions swapped": lambda load: _swap(parts.versions, load),
    }
    counts: dict[str, dict[str, Any]] = {}
    before = _counted(parts.url)
    with Load(parts.url, users, _SHOPPERS, _PAUSE_SECONDS) as load:
        load.until(_is_whole, _WHOLE)
        for name, cause in faults.items():
            since = len(load.answers)
            cause(load)
            load.until(_is_whole, _WHOLE)
            counts[name] = _count(load.answers[since:])
        answers = load.answers
    told = Counter(part for answer in answers for part in answer.fallbacks)
    counted = _counted(parts.url) - before
    counts["metrics"] = {"agree": counted == told, **counted}
    return counts


def _kill(part: Child, stood_in: str, load: Load) -> None:
    """Kills a part, and starts it again once another one stands in for it."""
    part.kill()
    load.until(lambda answer: stood_in in answer.fallbacks, _WHOLE)
    part.start()


def _swap(versions: Mapping[str, Path], load: Load) -> None:
    """Puts a next version of each model beside the one that is served."""
    newer = {}
    for model, version in versions.items():
        target = version.with_name(str(int(version.name) + 1))
        partial = target.with_name(f"partial-{target.name}")
        shutil.copytree(version, partial)
        partial.rename(target)
        newer[model] = target.name
    load.until(lambda answer: newer.items() <= answer.models.items())


def _is_whole(answer: Answer) -> bool:
    return answer.status == 200 and not answer.fallbacks


def _count(answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "requests": len(answers),
        "failed": sum(answer.status != 200 for answer in answers),
        "short": sum(answer.status == 200 and answer.items < 10 for answer in answers),
        "slowest_ms": round(1000 * max(answer.seconds for answer in answers)),
        "fallbacks": dict(Counter(part for answer in answers for part in answer.fallbacks)),
    }


def _counted(url: str) -> Counter[str]:
    """Fallbacks as the gateway counts them, by part."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        text = response.read().decode()
    found = re.findall(r'^\w*fallbacks_total\{part="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return Counter({part: int(float(count)) for part, count in found})
