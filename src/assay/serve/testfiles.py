"""Two harmless samples that every protocol reports, whatever the screen says: EICAR's test file and Assay's own."""

from __future__ import annotations

import os

from assay.serve.exchange import Answer, Submission
from assay.signatures import testfile
from assay.types import Action, Decision

EICAR_MOST = 128  # bytes: the 68 of the string and white space, says EICAR
EICAR_PADDING = b" \t\r\n\x1a"


def eicar() -> bytes:
    """The 68 bytes of EICAR's anti-malware test file, put together so that no scanner finds them in this source."""
    return b"".join(
        (b"X5O!P%@AP[4", b"\\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-", b"FILE!$H+H*")
    )


def recognised(submission: Submission) -> Answer | None:
    """The answer for a test file; None for anything else.

    Found are the file itself and the file with white space behind it, not one that lies in a mail or an archive: what
    such a container holds is the screen's to unpack.
    """
    if submission.sha256 == testfile.digest():
        return _found("Assay.Test.File", "This is Assay's test file. It is harmless.")
    if not len(eicar()) <= submission.size <= EICAR_MOST:
        return None
    if os.pread(submission.descriptor, EICAR_MOST, 0).rstrip(EICAR_PADDING) == eicar():
        return _found("Eicar-Test-Signature", "This is EICAR's test file. It is harmless.")
    return None


def _found(threat: str, summary: str) -> Answer:
    return Answer(decision=Decision(Action.QUARANTINE, "test_file", ""), summary=summary, threat=threat)
