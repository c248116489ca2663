"""Runs a program in VRL, Vector's language, over the lines of standard input as Vector does, and prints the events as JSON."""

import json
import sys

from vrl_python import VRLRuntime

program = open(sys.argv[1], encoding="utf-8").read()
mistake = VRLRuntime.check_syntax(program)
if mistake:
    sys.exit(mistake.formatted_message)
runtime = VRLRuntime()
events = [runtime.execute(program, {"message": line}).processed_event for line in sys.stdin.read().split("\n")]
json.dump(events, sys.stdout, default=str)
