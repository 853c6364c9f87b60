"""Modules that are imported when they are first asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from public import is_inner, public_modules

import skhand


def test_every_public_module_is_an_attribute():
    # of a fresh interpreter: here others may have imported them
    modules = [name.split(".")[1] for name in public_modules() if name.count(".") == 1]
    wanted = [name for name in modules if not is_inner(f"skhand.{name}.")]
    code = "import skhand, types\n" + "\n".join(
        f"assert isinstance(skhand.{name}, types.ModuleType)" for name in wanted
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert set(wanted) <= set(dir(skhand))


def test_what_is_no_module_is_no_attribute():
    with pytest.raises(AttributeError, match="'skhand' has no attribute 'estimator'"):
        _ = skhand.estimator
