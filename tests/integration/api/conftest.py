from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api_centre import Centre, running


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with running(tmp_path) as centre:
        yield centre
