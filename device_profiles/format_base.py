"""What every part of the profile format is made of."""

from typing import Annotated

import msgspec

Scalar = bool | int | float | str
PointName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
