# SPDX-License-Identifier: Apache-2.0
"""memherd-actd alone, by hand: with a policy and a journal of the test's own."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build"))


class Actd:
    def __init__(self, folder, policy, **options):
        self.folder = folder
        folder.chmod(0o700)
        (folder / "policy").write_text(policy)
        (folder / "policy").chmod(0o600)
        self.options = {"policy": folder / "policy", "journal": folder / "journal", **options}

    def restart(self, pid, *args):
        line = [BIN / "memherd-actd"]
        for k, v in self.options.items():
            line += ["-o", f"{k}={v}"]
        r = subprocess.run([*map(str, line), "restart", str(pid), "--json", *args], capture_output=True, text=True,
                           timeout=60, check=False)
        assert r.stdout, r.stderr
        return r.returncode, json.loads(r.stdout)
