"""The benchmark: cases, peers, timing, the machine's limit and the report.

`fastnn bench` and the pytest-benchmark modules of the project's ``benchmarks`` folder run the same
cases with the same peers. Nothing else in fastnn imports this package, and importing it loads only
the standard library.
"""
