"""Files as a person has them, and what is said of them."""

from pathlib import Path

from lkhub.host.engine import bundled_engine, check_config
from lkhub.inspect.given import GivenFile, JudgedFile
from lkhub.inspect.judge.livekit_yaml import judge_livekit_yaml
from lkhub.source.yaml import parse_document


def judge(path: Path) -> JudgedFile:
    """A livekit.yaml, by the real parser."""
    text = path.read_text()
    document = parse_document(text.encode(), path.name)
    return judge_livekit_yaml(GivenFile(path.name, text), document, check_config(bundled_engine(), text))


def show(judged: JudgedFile) -> str:
    """The verdict, and each finding with its place and its fixes."""
    lines: list[str] = [judged.verdict]
    for finding in judged.findings:
        where = finding.where
        place = "" if where is None else f"{where.line or '-'} {where.key}".rstrip()
        lines.append(f"{finding.severity} {finding.code} {place}: {finding.title}")
        lines += [f"    {text}" for text in (finding.detail, *(fix.text for fix in finding.fix)) if text]
        lines += [f"    edit {fix.edit.as_json()}" for fix in finding.fix if fix.edit]
    return "\n".join(lines) + "\n"
