"""``python -m linli`` is the command ``linli``."""

from linli.cli import main

if __name__ == "__main__":
    main()
