"""The vocabulary that gateway and centre share: readings, batches, topics, acknowledgements, identities, errors.

Pure: no input or output, no logging, no clock, no asyncio. Import the modules by name:
``from telemetry.batch import Batch``; each opens with what it promises.
"""

__version__ = "0.1.0"
