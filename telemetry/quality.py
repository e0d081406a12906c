"""How far a value may be trusted."""

from enum import StrEnum


class Quality(StrEnum):
    """Worst wins when several are joined: ``bad`` > ``stale`` > ``uncertain`` > ``good``."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    STALE = "stale"
    BAD = "bad"


_RANK = {quality: rank for rank, quality in enumerate(Quality)}


def worst(*qualities: Quality) -> Quality:
    return max(qualities, key=_RANK.__getitem__, default=Quality.GOOD)
