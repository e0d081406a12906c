"""What an installer can ask of a gateway, and what comes back: one value each way, the same with an agent and without."""

from typing import assert_never

from edge.provisioning.add import Add, Added, Remove, Removed, add, remove
from edge.provisioning.probe import Probe, Probed, probe
from edge.provisioning.scan import Progress, Scan, Scanned, scan
from edge.provisioning.site import Site

Verb = Scan | Probe | Add | Remove
Result = Scanned | Probed | Added | Removed


async def perform(site: Site, verb: Verb, progress: Progress) -> Result:
    """Does it. Raises errors of ours."""
    match verb:
        case Scan():
            return await scan(site, verb, progress)
        case Probe():
            return await probe(site, verb)
        case Add():
            return await add(site, verb)
        case Remove():
            return await remove(site, verb)
        case _:
            assert_never(verb)
