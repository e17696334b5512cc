"""One module a verb of the command line; each ends in a result that can be printed.

What makes, searches and keeps video libraries is in `library`.
"""
