import logging
import sys

import pytest
from train_job import sdk_output


def test_what_the_sdk_prints_is_logged_for_those_who_ask(capsys, caplog):
    caplog.set_level(logging.DEBUG, "train.sdk")
    with sdk_output.captured():
        sys.stdout.write("Preparing 1 file\rPreparing 2 files\r\n")
        sys.stderr.write("Warning: short password\n")
    assert capsys.readouterr() == ("", "")
    assert caplog.messages == ["Preparing 1 file", "Preparing 2 files", "Warning: short password"]


def test_an_error_passes_through_and_printing_works_again(capsys):
    with pytest.raises(ValueError, match="broken"), sdk_output.captured():
        raise ValueError("broken")
    sys.stdout.write("shown")
    assert capsys.readouterr().out == "shown"
