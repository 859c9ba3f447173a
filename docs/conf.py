"""Configure the documentation: `make docs`, or ``sphinx-build -W docs docs/_build``."""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator
from typer.main import get_command

from brainfit import __version__
from brainfit.cli.app import app as brainfit

project = "brainfit"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False
default_role = "py:obj"  # a name in backticks is a link where it is documented

html_theme = "furo"
html_title = "brainfit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_copyright = html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

_CLI = Path(__file__).parent / "_generated" / "cli.md"
_WIDTH = 92


def _commands(command: Any, path: str) -> list[tuple[str, str]]:
    """Return the name and help of a command and all below it."""
    widths = {"terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = command.context_class(command, info_name=path, **widths)
    pages = [(path, command.get_help(context))]
    for name, below in sorted(getattr(command, "commands", {}).items()):
        pages += _commands(below, f"{path} {name}")
    return pages


def _write_cli(_: Sphinx) -> None:
    """Write the reference of the command line as the commands themselves give it."""
    parts = ["# Command line", "What `brainfit COMMAND --help` prints."]
    parts += [
        f"## {path}\n\n```text\n{text}\n```" for path, text in _commands(get_command(brainfit), "brainfit")
    ]
    _CLI.parent.mkdir(exist_ok=True)
    _CLI.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _formula(page: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers draw without loading anything."""
    page.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Have the reference of the command line written before pages are read."""
    app.connect("builder-inited", _write_cli)
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
