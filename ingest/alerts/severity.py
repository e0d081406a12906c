"""How severe an alert is: four colours, in the order of the Emergency Response Law."""

from enum import StrEnum


class Colour(StrEnum):
    """Red: life or break-in, now. Orange: serious, jointly. Yellow: act this shift. Blue: plan and maintain."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    BLUE = "blue"


RANKS = (Colour.BLUE, Colour.YELLOW, Colour.ORANGE, Colour.RED)


def rank(colour: Colour) -> int:
    """0 for blue to 3 for red."""
    return RANKS.index(colour)
