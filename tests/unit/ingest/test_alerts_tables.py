"""Every table of ``tests/rules``: the series of each case raises just the expected episodes, however it is delivered."""

from pathlib import Path

import pytest

from ingest.alerts import trial

RULES = Path(__file__).parents[2] / "rules"
TABLES = [
    pytest.param(file, id=str(file.relative_to(RULES)), marks=[pytest.mark.slow] if file.parent != RULES else [])
    for file in sorted(RULES.rglob("*.yaml"))
]


@pytest.mark.parametrize("file", TABLES)
async def test_a_series_raises_the_expected_episodes_however_it_is_delivered(file: Path) -> None:
    outcomes = [outcome async for outcome in trial.run(trial.load_table(file))]
    assert [outcome for outcome in outcomes if outcome.faults] == []
    assert {outcome.variant for outcome in outcomes} == set(trial.VARIANTS)
