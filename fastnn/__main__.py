"""The command line as ``python -m fastnn``, for the Python that it is to run in."""

from fastnn.cli import main

if __name__ == "__main__":
    main()
