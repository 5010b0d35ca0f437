"""Run the command line with `python -m compete`."""

from compete.cli import main

if __name__ == "__main__":
    main()
