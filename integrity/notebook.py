"""How is an auditor's notebook run over a ledger, and kept?

Each notebook is a plain script of cells (``notebooks/*.py``, jupytext's percent form) that reads a ledger and holds no
logic of its own. It is run from its first cell to its last with papermill, so that what it shows is what it computed;
where a check fails the run fails, and the notebook up to there is kept, for it is evidence, too. Beside it lies the
same as one page of HTML that opens offline. No password is in either: see :mod:`integrity.handing`.
"""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import itertools
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from integrity.errors import IntegrityError, MissingExtraError, UsageError, did_you_mean
from integrity.handing import environment, shown
from integrity.writing import atomically

__all__ = ["CheckFailedError", "Notebook", "as_html", "notebooks", "run_notebook"]

_PACKAGE: Final = Path(__file__).parent
_SECONDS: Final = 3_600
#: What nbconvert would fetch from elsewhere.
_ELSEWHERE: Final = ("mathjax_url", "require_js_url", "jquery_url", "widget_renderer_url", "html_manager_semver_range",
                     "mermaid_js_url")  # fmt: skip
#: What is left in its place: an element that names nothing.
_NO_SCRIPT: Final = re.compile(r'<script src="">\s*</script>')


class CheckFailedError(IntegrityError):
    """A check in a notebook did not hold. The notebook up to there was kept."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook that comes with the library.

    Attributes:
        name: Its name.
        about: Its title.
        path: Of its script.
        parameters: What may be given, and what it is otherwise.
    """

    name: str
    about: str
    path: Path
    parameters: Mapping[str, Any]


def notebooks() -> dict[str, Notebook]:
    """Return the notebooks that come with the library, by name.

    Example:
        >>> sorted(notebooks())
        ['casework', 'quarter', 'reperformance', 'walk-drive', 'walk-mail', 'walk-message']
    """
    folder = next(place for place in (_PACKAGE / "notebooks", _PACKAGE.parent / "notebooks") if place.is_dir())
    scripts = (path for path in sorted(folder.glob("*.py")) if path.name != "execute.py")
    return {path.stem: _described(path) for path in scripts}


def _described(path: Path) -> Notebook:
    text = path.read_text(encoding="utf-8")
    title = next(line.removeprefix("# # ") for line in text.splitlines() if line.startswith("# # "))
    cell = text.split('tags=["parameters"]\n', 1)[1].split("\n# %%", 1)[0]
    said = [each for each in ast.parse(cell).body if isinstance(each, ast.Assign)]
    return Notebook(
        path.stem, title, path, {ast.unparse(each.targets[0]): ast.literal_eval(each.value) for each in said}
    )


def run_notebook(
    name: str,
    ledger: str | os.PathLike[str],
    *,
    parameters: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] = ".",
) -> Path:
    """Run a notebook over a ledger, and keep it with its output as ``NAME.ipynb`` and ``NAME.html``.

    Args:
        name: Of the notebook; :func:`notebooks` lists them.
        ledger: The URL of the ledger. Its password, as that of any other parameter, is in the environment of the
            notebook's kernel while it runs, and nowhere in what is kept.
        parameters: Others that the notebook has.
        directory: Where it is kept; an older one of this name gets the moment of its making into its name.

    Returns:
        The notebook.

    Raises:
        UsageError: there is no such notebook, or it has no such parameter.
        MissingExtraError: what runs notebooks is not installed.
        CheckFailedError: a check in it did not hold.
        IntegrityError: something else in it went wrong, or it cannot be written.
    """
    known = notebooks()
    if name not in known:
        raise UsageError(f"there is no notebook {name!r}", did_you_mean(name, known) or f"there are {', '.join(known)}")
    chosen, given = known[name], {"ledger": os.fspath(ledger), **(parameters or {})}
    for key in given:
        if key not in chosen.parameters:
            raise UsageError(f"notebook {name!r} has no parameter {key!r}", did_you_mean(key, chosen.parameters))
    target = Path(directory) / f"{name}.ipynb"
    page = target.with_suffix(".html")
    with _kept(target), contextlib.ExitStack() as both:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Opened before anything is run, so that a place which cannot be written to is known at once.
        files = [both.enter_context(atomically(path)) for path in (target, page)]
        with tempfile.TemporaryDirectory(prefix="notebook-") as work:
            failed = _executed(chosen, given, draft := Path(work) / target.name, target)
            texts = (draft.read_text(encoding="utf-8"), as_html(draft))
        for file, text in zip(files, texts, strict=True):
            file.write(text.encode(errors="backslashreplace"))
            file.flush()
        for path in (target, page):
            _put_aside(path)
    if failed is not None:
        raise failed
    return target


@contextmanager
def _kept(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        why = error.strerror if isinstance(error, OSError) else error
        raise IntegrityError(f"cannot keep the notebook {str(target)!r}: {why}", "name a writable place") from error


def _put_aside(path: Path) -> None:
    """An older notebook is evidence: it is not written over, and neither is one that was put aside before."""
    if not path.exists():
        return
    made = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    for number in itertools.count(1):
        again = f"-{number}" if number > 1 else ""
        aside = path.with_name(f"{path.stem}-{made:%Y%m%dT%H%M%S}{again}{path.suffix}")
        try:
            aside.touch(exist_ok=False)  # whoever makes it has it, should two put theirs aside at once
        except FileExistsError:
            continue
        path.replace(aside)
        return


def _executed(chosen: Notebook, given: Mapping[str, str], made: Path, target: Path) -> IntegrityError | None:
    """Run all cells; return what went wrong in one of them. The notebook is made in any case."""
    with _quiet():
        try:
            import jupytext
            import nbformat
            import papermill
        except ImportError as error:
            raise MissingExtraError("running notebooks", "notebooks") from error
        draft = made.with_name(f"draft-{made.name}")
        book = jupytext.read(chosen.path)
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        draft.write_text(nbformat.writes(book), encoding="utf-8")  # type: ignore[no-untyped-call]
        try:
            with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
                papermill.execute_notebook(
                    draft,
                    made,
                    {name: shown(each) for name, each in given.items()},
                    kernel_name="python3",
                    kernel_manager_class=_private_kernels(folder, environment(given)),
                    progress_bar=False,
                    log_output=False,
                    execution_timeout=_SECONDS,
                )
        except papermill.exceptions.PapermillExecutionError as error:
            said = " ".join(str(error.evalue).split())
            if error.ename == "AssertionError":
                return CheckFailedError(f"a check in {chosen.name} does not hold: {said}", f"look at {target}")
            return IntegrityError(f"{chosen.name} could not be run to its end: {said}", f"look at {target}")
        except (RuntimeError, TimeoutError) as error:  # the kernel died, or a cell took too long
            said = " ".join(str(error).split())
            return IntegrityError(f"{chosen.name} could not be run to its end: {said}", f"look at {target}")
        finally:
            _named(made, chosen, target)
    return None


def _named(made: Path, chosen: Notebook, target: Path) -> None:
    """Write into a notebook where it lies, instead of where it was made."""
    import nbformat

    last = made if made.exists() else made.with_name(f"draft-{made.name}")  # none, where no kernel could be started
    book = nbformat.read(last, nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    book.metadata.get("papermill", {}).update(input_path=chosen.path.name, output_path=target.name)
    made.write_text(nbformat.writes(book), encoding="utf-8")  # type: ignore[no-untyped-call]


def _private_kernels(folder: str, secrets: Mapping[str, str]) -> type:
    """Kernels that are spoken to by files of this user, not over TCP, where others on the machine could listen.

    The files lie in a folder of this run: elsewhere, two that begin at once would take each other's. What is secret is
    in their environment, and not in ours, which others share.
    """
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import Unicode

    class Kernels(AsyncKernelManager):
        transport = Unicode("ipc" if os.name == "posix" else "tcp")
        connection_file = Unicode(os.path.join(folder, "k.json"))

        async def _async_pre_start_kernel(self, **options: Any) -> tuple[list[str], dict[str, Any]]:
            told = {**(options.pop("env", None) or os.environ), **secrets}
            return await super()._async_pre_start_kernel(**options, env=told)

    return Kernels


def as_html(path: str | os.PathLike[str]) -> str:
    """Return a notebook as one page of HTML that fetches nothing from anywhere.

    Raises:
        MissingExtraError: what exports notebooks is not installed.
    """
    with _quiet():
        try:
            from nbconvert import HTMLExporter
        except ImportError as error:
            raise MissingExtraError("exporting notebooks", "notebooks") from error
        exporter = HTMLExporter(embed_images=True, **dict.fromkeys(_ELSEWHERE, ""))  # type: ignore[no-untyped-call]
        text, _ = exporter.from_filename(os.fspath(path))
    return _NO_SCRIPT.sub("", str(text))


@contextmanager
def _quiet() -> Iterator[None]:
    """Jupyter's packages warn of each other's ways, which are not the reader's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
