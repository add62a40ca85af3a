"""Reports as JSON: in files, on stdout, and always valid."""

import json
import math
from pathlib import Path

from tilewright.flows.report.json_files import STDOUT, finite, write_json


def test_files_and_stdout_have_the_same(tmp_path, capsys):
    path = tmp_path / "found.json"
    assert write_json([path, STDOUT], {"cycles": 3})
    assert json.loads(path.read_text()) == json.loads(capsys.readouterr().out) == {"cycles": 3}


def test_files_alone_leave_stdout_to_tables(tmp_path, capsys):
    assert not write_json([tmp_path / "found.json"], {})
    assert not write_json([], {})
    assert capsys.readouterr().out == ""


def test_what_json_lacks_is_null(capsys):
    write_json([Path("-")], {"ratios": (1.5, math.inf, [math.nan]), "none": None})
    assert json.loads(capsys.readouterr().out) == {"ratios": [1.5, None, [None]], "none": None}
    assert finite({"a": True, "b": "inf", "c": 7}) == {"a": True, "b": "inf", "c": 7}
