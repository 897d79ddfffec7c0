"""Open Bandit: what a fashion shop showed, with the probability of showing it."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.datasets.dataset import Column, Dataset, Table, Wheel
from tfrec.data.datasets.delimited import read_delimited
from tfrec.data.datasets.source_file import SourceFile

_TEXT, _NUMBER, _FLOAT = pa.string(), pa.int64(), pa.float64()
_POLICIES = {"random": "random", "bts": "bernoulli_ts"}
_CAMPAIGN_ITEMS = {"all": 80, "men": 34, "women": 46}


def _read_impressions(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    for file in files:
        policy, campaign, _ = file.name.split("/")[-3:]
        affinities = [f"user-item_affinity_{item}" for item in range(_CAMPAIGN_ITEMS[campaign])]
        types = {
            "timestamp": pa.timestamp("us", "UTC"),
            "item_id": _TEXT,
            "position": _NUMBER,
            "click": _NUMBER,
            "propensity_score": _FLOAT,
            **{column.name: _TEXT for column in _USER_FEATURES},
            **dict.fromkeys(affinities, _FLOAT),
        }
        for piece in read_delimited(file, types):
            columns = {
                "policy": pa.array([_POLICIES[policy]] * len(piece)),
                "campaign": pa.array([campaign] * len(piece)),
                **{name: piece[name] for name in types if name not in affinities},
                "item_id": _shop_wide(campaign, piece["item_id"]),
                "user_item_affinity": _lists([piece[name] for name in affinities]),
            }
            yield pa.table(columns)


def _read_items(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = {
        "item_id": _TEXT,
        "item_feature_0": _FLOAT,
        **dict.fromkeys(("item_feature_1", "item_feature_2", "item_feature_3"), _TEXT),
    }
    for file in files:
        campaign = file.name.split("/")[-2]
        for piece in read_delimited(file, types):
            columns = dict(zip(types, piece.columns, strict=True))
            yield pa.table({
                **columns,
                "item_id": _shop_wide(campaign, piece["item_id"]),
                "campaign": pa.array([campaign] * len(piece)),
            })  # fmt: skip


def _shop_wide(campaign: str, items: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each campaign counts its items from 0."""
    return pc.binary_join_element_wise(campaign, items, "/")


def _lists(columns: Sequence[pa.ChunkedArray]) -> pa.ListArray:
    """Joins columns into one of lists."""
    values = np.column_stack([column.to_numpy() for column in columns])  # [rows, columns]
    offsets = np.arange(len(values) + 1, dtype=np.int32) * len(columns)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


_CAMPAIGN = Column("campaign", _TEXT, "all, men or women")
_ITEM = Column("item_id", _TEXT, "campaign/number; campaigns share no ids")
_USER_FEATURES = tuple(
    Column(f"user_feature_{number}", _TEXT, "hashed property of the user") for number in range(4)
)

OPEN_BANDIT = Dataset(
    summary="impressions and clicks of two policies in a fashion shop, with propensities",
    licence="CC BY 4.0",
    citation="Y. Saito et al. (2021), Open Bandit Dataset and Pipeline, NeurIPS Datasets and "
    "Benchmarks, https://arxiv.org/abs/2008.07146",
    origin=Wheel("obp==0.4.1", "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208"),
    tables={
        "impressions": Table(
            "an item shown to a user",
            (
                Column("policy", _TEXT, "that chose the item: random, or bernoulli_ts"),
                _CAMPAIGN,
                Column("timestamp", pa.timestamp("us"), "when, UTC"),
                _ITEM,
                Column("position", _NUMBER, "place on the page: 1 left, 2 middle, 3 right"),
                Column("click", _NUMBER, "1 if clicked, else 0"),
                Column("propensity_score", _FLOAT, "probability that the policy chose so"),
                *_USER_FEATURES,
                Column(
                    "user_item_affinity",
                    pa.list_(_FLOAT),
                    "per item of the campaign, score from the user's past clicks",
                ),
            ),
            _read_impressions,
            tuple(
                rf"obd/{policy}/{campaign}/{campaign}\.csv"
                for policy, campaign in product(_POLICIES, _CAMPAIGN_ITEMS)
            ),
            rows=60_000,
        ),
        "items": Table(
            "an item of a campaign",
            (
                _ITEM,
                _CAMPAIGN,
                Column("item_feature_0", _FLOAT, "scaled within the campaign"),
                *(
                    Column(f"item_feature_{number}", _TEXT, "hashed property of the item")
                    for number in (1, 2, 3)
                ),
            ),
            _read_items,
            # The other policy's files say the same under other hashes.
            tuple(rf"obd/random/{campaign}/item_context\.csv" for campaign in _CAMPAIGN_ITEMS),
            rows=160,
        ),
    },
    data=None,
    note="The sample of 10,000 rows per policy and campaign that the package obp carries, not the "
    "26 million of the full release. It has no shopper ids: use it for click models and "
    "off-policy evaluation.",
)
