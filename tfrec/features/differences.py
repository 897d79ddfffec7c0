"""What differs between two feature specs."""

from collections.abc import Iterator

from tfrec.features.spec import FeatureSpec


def differences(old: FeatureSpec, new: FeatureSpec) -> Iterator[str]:
    """Names the features that differ, and what in them, e.g. `sku.embedding was 8, is 16`.

    Args:
      old: a spec.
      new: another one.

    Yields:
      A difference in words.
    """
    for name in dict.fromkeys([*old.root, *new.root]):
        if name not in new.root:
            yield f"{name} is gone"
        elif name not in old.root:
            yield f"{name} is new"
        elif old[name].kind != new[name].kind:
            yield f"{name}.kind was {old[name].kind}, is {new[name].kind}"
        else:
            was, now = old[name].model_dump(), new[name].model_dump()
            yield from (
                f"{name}.{key} was {was[key]}, is {now[key]}" for key in was if was[key] != now[key]
            )
    # A tower takes its features side by side, in the order of the config.
    for roles in (("user", "context"), ("item",)):
        before, after = old.of_role(*roles), new.of_role(*roles)
        if before != after and sorted(before) == sorted(after):
            yield f"the order was {', '.join(before)}, is {', '.join(after)}"
