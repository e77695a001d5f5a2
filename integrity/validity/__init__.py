"""Which items break an expectation that the contract declares?

A contract's ``validity:`` speaks in Great Expectations' own words. What they mean is asked of Great Expectations, which
is imported only when a contract has any; which rows they are asked of, how exactly numbers are compared, how many
failures are listed (all of them) and what a check that could not run is worth (nothing) is decided here.
"""
