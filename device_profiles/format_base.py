"""What every part of the profile format is made of."""

from typing import Annotated

import msgspec

Scalar = bool | int | float | str
PointName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400 * 7)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Topic = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
