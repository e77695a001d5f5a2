"""``python -m integrity`` is the command line."""

from integrity.cli import main

if __name__ == "__main__":
    main()
