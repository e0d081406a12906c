"""Loads structlog without rich, which it would import for a renderer that we do not use: 7 MB on a gateway.

Import this before anything that logs; rich itself stays importable afterwards.
"""

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # None makes the import fail, as if it were not installed
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
