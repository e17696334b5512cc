"""`python -m videolatent_cli`."""

from videolatent_cli.cli import app

app(prog_name="vl")
