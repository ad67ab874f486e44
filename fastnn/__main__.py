"""The command line as ``python -m fastnn``, which selects the Python that runs it."""

from fastnn.cli import main

if __name__ == "__main__":
    main()
