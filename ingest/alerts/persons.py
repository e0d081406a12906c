"""Which kinds of alert are about a person. Pure."""

KINDS = frozenset({"duress", "watchlist_hit"})
PREFIX = "elder_"


def is_personal(kind: str) -> bool:
    """Whether alerts of this kind are about a person."""
    return kind in KINDS or kind.startswith(PREFIX)
