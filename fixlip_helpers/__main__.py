"""``python -m fixlip_helpers`` is the command ``fixlip``."""

from fixlip_helpers.cli import main

if __name__ == "__main__":
    main()
