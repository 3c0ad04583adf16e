"""The commands of ``reel builder``: options in, a plain function called, lines out.

Heavy modules are imported by the commands that need them, so that --help stays quick.
"""
