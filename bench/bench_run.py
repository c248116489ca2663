"""`bench/run` as a module, for the parts that all benchmarks share."""

import importlib.machinery
import importlib.util
import pathlib
import sys


def load_run():
    loader = importlib.machinery.SourceFileLoader("run", str(pathlib.Path(__file__).resolve().parent / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
    sys.modules["run"] = module
    loader.exec_module(module)
    return module


run = load_run()
