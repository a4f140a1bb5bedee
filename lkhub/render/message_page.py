"""A page with a single message, for where the web application can't be shown. It loads no other file."""

import re
from html import escape

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
{reload}<title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f4f6f4; color: #14201c;
  font: 1rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 34rem; padding: 1.5rem; }}
h1 {{ font-size: 1.625rem; line-height: 1.2; }}
code {{ font-family: ui-monospace, monospace; }}
a {{ display: inline-block; padding: .75rem 0; color: inherit; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #0f1514; color: #e9efec; }} }}
</style>
</head>
<body>
<main>
<div role="status">
<h1>{title}</h1>
<p>{text}</p>
</div>
{link}</main>
</body>
</html>
"""


_LINK = '<a href="/">To the start page</a>\n'


def render_message_page(title: str, text: str, reload_seconds: int = 0, *, leads_on: bool = False) -> str:
    """HTML of the page. `text` may name commands in backticks; with `reload_seconds` the page reloads itself, and with
    `leads_on` it has a link to the start page."""
    reload = f'<meta http-equiv="refresh" content="{reload_seconds}">\n' if reload_seconds else ""
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return _PAGE.format(title=escape(title), text=shown, reload=reload, link=_LINK if leads_on else "")
