"""What systemd says of our units."""
import pathlib
import re
import subprocess

import pytest

from harness import tool

UNITS = sorted((pathlib.Path(__file__).parents[2] / "packaging" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands(unit, tmp_path):
    """Every line, as if our programs and manuals were installed."""
    text = re.sub(r"(?m)^Documentation=.*\n", "", unit.read_text())
    text = re.sub(r"(?m)^(Exec\w+=[-+!@]*)/usr/s?bin/exeat\S*", r"\1/bin/true", text)
    (tmp_path / unit.name).write_text(text)
    verified = subprocess.run([tool("systemd-analyze"), "verify", tmp_path / unit.name], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
