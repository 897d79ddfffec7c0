"""Where each feature's values are, found in prepared data themselves."""

import pyarrow.parquet

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import BEHAVIOUR, CALENDAR, Columns, Place
from tfrec.data.config import DataConfig
from tfrec.data.events import event_files
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec


def prepared_columns(data: PreparedData, config: DataConfig, spec: FeatureSpec) -> Columns:
    """Finds the places that preparation read features from; its sources need not be there any more.

    Args:
      data: prepared data.
      config: the `data` section that they were prepared with.
      spec: the features.

    Returns:
      The same as `find_columns` on the sources.

    Raises:
      UserError: if the data lack a feature.
    """
    events = set(pyarrow.parquet.read_schema(event_files(data.events)[0]).names)
    catalogue = set(Catalogue(data.catalogue).table.column_names)
    places: dict[str, Place] = {}
    for name, feature in spec.columns.items():
        if name == config.user:
            places[name] = "user"
        elif name == config.item:
            places[name] = "item"
        elif feature.role == "item" and name in catalogue:
            places[name] = "catalogue"
        elif name in events:
            places[name] = "promotion" if feature.role == "item" else "event"
        elif name in CALENDAR:
            places[name] = "calendar"
        elif name in BEHAVIOUR:
            places[name] = "behaviour"
        else:
            raise UserError(f"features.{name}: not in {data.path}; run `tfrec prepare` again")
    return Columns(places)
