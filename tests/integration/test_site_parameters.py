"""A meter behind transformers: what the installer says of the site reaches every value, read from a foreign server."""

from pathlib import Path

import pytest
import yaml

from edge.provisioning.add import Add, add
from edge.provisioning.site import Offline
from telemetry.errors import ConfigInvalid
from tests.installers import opened, tcp_units, write_gateway

REGISTERS = [0] * 0x180
REGISTERS[0x0A:0x0C] = [0x0001, 0xE240]  # 1234.56 kWh
REGISTERS[0x61:0x67] = [2300, 2310, 2290, 150, 151, 149]  # tenths of a volt, hundredths of an ampere
REGISTERS[0x77] = 5000
REGISTERS[0x17F] = 980
FEEDER = {"id": "b3-feeder", "profile": "acrel-adl3000", "address": {"bus": "meters", "unit_id": 1}}


async def test_the_ratio_of_the_site_is_in_what_is_read(tmp_path: Path) -> None:
    async with tcp_units({1: REGISTERS}) as port:
        file = write_gateway(tmp_path / "gw", buses=[f"{{id: meters, type: modbus-tcp, host: 127.0.0.1, port: {port}}}"])
        site = Offline(*opened(file))
        try:
            with pytest.raises(ConfigInvalid, match="ct: is missing: current transformer ratio"):
                await add(site, Add(device=FEEDER))
            added = await add(site, Add(device={**FEEDER, "parameters": {"ct": 20}}))
        finally:
            await site.close()
    assert added.probed is not None and added.waived == ()
    values = {row.point: row.value for row in added.probed.points}
    assert (values["voltage_l1"], values["current_l1"], values["energy_import"]) == (230.0, 30.0, 24691.2)
    assert yaml.safe_load((tmp_path / "gw" / "devices.yaml").read_text())["devices"][0]["parameters"] == {"ct": 20.0}
