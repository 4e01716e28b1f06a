# SPDX-License-Identifier: Apache-2.0
"""What deploy/ offers is what the programs take."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build")).resolve()
PROGRAMS = {"agent": "memherd-agent", "actd": "memherd-actd", "collector": "memherd-collector"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_examples_are_current(name, tmp_path):
    subprocess.run([ROOT / "tools/examples", tmp_path], check=True, env=dict(os.environ, BIN=str(BIN)))
    assert (tmp_path / f"{name}.conf").read_text() == (ROOT / f"deploy/examples/{name}.conf").read_text(), \
        "run tools/examples"


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_line_of_an_example_can_be_taken(name, tmp_path):
    text = (ROOT / f"deploy/examples/{name}.conf").read_text()
    lines = [line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in text.splitlines()]
    assert len([line for line in lines if line[:1].isalpha()]) > 5
    conf = tmp_path / "x.conf"
    conf.write_text("\n".join(lines) + "\n")
    r = subprocess.run([BIN / PROGRAMS[name], "dump-config", "-c", conf], capture_output=True, text=True,
                       check=False)
    assert r.returncode == 0, r.stderr
