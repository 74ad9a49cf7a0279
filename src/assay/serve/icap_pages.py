"""What a person sees instead of a message that was not let through: one small page without anything from elsewhere."""

from __future__ import annotations

import html
from email.utils import formatdate

from assay.serve.exchange import Answer
from assay.types import Action

TITLES = {
    Action.HOLD: "Held for review",
    Action.QUARANTINE: "Put into quarantine",
    Action.REJECT: "Rejected",
}
RETRY_S = 300  # a hold may be lifted by then
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em;color:#222;background:#fff}}
dt{{color:#555}}dd{{margin:0 0 .5em}}@media(prefers-color-scheme:dark){{body{{color:#ddd;background:#111}}dt{{color:#aaa}}}}</style>
</head><body><h1>{title}</h1><p>Assay screens media for signs that they are synthetic or manipulated. What you sent or
asked for was not let through.</p><p>{summary}</p><dl><dt>Rule</dt><dd>{rule}</dd>{reference}</dl></body></html>
"""


def blocking_page(answer: Answer) -> bytes:
    """The page, in UTF-8."""
    found = html.escape(answer.reference)
    text = PAGE.format(
        title=TITLES.get(answer.action, "Not let through"),
        summary=html.escape(answer.summary or "A person can look into it and release it."),
        rule=html.escape(answer.decision.rule),
        reference=f"<dt>Reference</dt><dd>{found}</dd>" if found else "",
    )
    return text.encode("utf-8", "replace")


def blocking_head(answer: Answer, size: int) -> bytes:
    """The head of the HTTP response that carries the page."""
    lines = [
        "HTTP/1.1 403 Forbidden",
        f"Date: {formatdate(usegmt=True)}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {size}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
        "X-Content-Type-Options: nosniff",
    ]
    if answer.action is Action.HOLD:
        lines.append(f"Retry-After: {RETRY_S}")
    return "\r\n".join((*lines, "", "")).encode("ascii")
