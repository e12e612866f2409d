"""Faults in the studio's pages, in formulas and in exported pages."""

from mutants.plant import Mutant

HERE = "gdm_core/course/export"
LATEX, COMMANDS, PAGE = f"{HERE}/latex.py", f"{HERE}/commands.py", f"{HERE}/page.py"
PAGES, STUDIO = "gdm_core/course/studio/pages.py", "gdm_core/course/studio/__init__.py"
LIMITS, SERVER = "gdm_core/course/studio/limits.py", "gdm_core/course/studio/server.py"


def exported(*names: str) -> str:
    return " ".join(f"tests/test_export.py::test_{name}" for name in names)


def studio(*names: str) -> str:
    return " ".join(f"tests/test_studio.py::test_{name}" for name in names)


def _turned(name: str, old: str, new: str) -> Mutant:
    test = "a_figure_to_turn_has_the_colors_of_the_page_and_room_on_a_phone"
    return Mutant(name, f"{HERE}/page.js", old, new, f"tests/test_export_turns.py::test_{test}")


MUTANTS = [
    _turned("panels-squeezed-on-a-phone", "place.clientWidth >= 560", "place.clientWidth >= 0"),
    _turned("cut-off-at-the-sides", "{ x: away * x,", "{ x,"),
    _turned("names-run-into-each-other", "...title.font, size: 11", "...title.font"),
    _turned("slate-lost-on-a-dark-page", "color: light(trace[name].color)", "color: trace[name].color"),
    _turned("slate-lightened-on-a-light-page", "(dim ? ", "(true ? "),
    _turned("title-under-buttons", "place.clientWidth < 560 &&", "false &&"),
    _turned("left-panel-below", "from < 0.4 ?", "from > 0.4 ?"),
    _turned("walls-in-their-own-ink", "...layout[name][side], ...axis }", "...layout[name][side] }"),
    Mutant(
        "figures-glare-in-a-dark-lab",
        "gdm_core/course/studio/lab.py",
        '"--LabApp.custom_css=True",',
        "",
        studio("jupyterlab_is_given_the_extension_and_the_template"),
    ),
    Mutant(
        "sign-spaced-like-a-difference",
        LATEX,
        'form="prefix" lspace="0" rspace="0"',
        'form="infix"',
        exported("a_minus_is_a_sign_or_an_operation_by_what_stands_before"),
    ),
    Mutant(
        "whole-number-as-exponent",
        LATEX,
        "if token[:1].isdigit():",
        "if False:",
        exported("formulas_become_the_tree_that_tex_would_build"),
    ),
    Mutant(
        "limits-of-a-sum-at-its-side",
        LATEX,
        'kind in ("large", "limits", "brace")',
        'kind in ("limits", "brace")',
        exported("formulas_become_the_tree_that_tex_would_build"),
    ),
    Mutant(
        "formula-breaks-inside-brackets",
        LATEX,
        " and depth == 0",
        "",
        exported("a_long_formula_in_the_text_may_break_after_its_relations_only"),
    ),
    Mutant(
        "unfinished-formula-accepted",
        LATEX,
        "    if reader.peek():\n",
        "    if False:\n",
        exported("what_is_not_known_is_refused_and_quoted"),
    ),
    Mutant(
        "aligned-at-the-wrong-side",
        COMMANDS,
        'table(rows, "rl",',
        'table(rows, "lr",',
        exported("aligned_lines_and_cases_have_their_sides"),
    ),
    Mutant(
        "environment-closed-by-another",
        COMMANDS,
        "    if reader.raw() != name:\n",
        "    if not reader.raw():\n",
        exported("what_is_not_known_is_refused_and_quoted"),
    ),
    Mutant(
        "font-without-the-root",
        f"{HERE}/fonts.py",
        "{0x210E, 0x221A, 0x0338}",
        "{0x210E, 0x0338}",
        exported("the_font_has_the_glyphs_of_the_page_and_few_others"),
    ),
    Mutant(
        "two-headings-of-one-name",
        PAGE,
        'if (n := f"{name}-{i + 1}" if i else name) not in taken',
        "if (n := name)",
        exported("a_page_has_everything_in_it"),
    ),
    Mutant(
        "limit-forgotten",
        PAGE,
        "    if size > limit:\n",
        "    if False:\n",
        exported("a_page_beyond_the_limit_is_refused_with_what_is_large"),
    ),
    Mutant(
        "plotly-in-every-page",
        PAGE,
        'if "data-figure=" in content else ""',
        "",
        exported("plotly_comes_compressed_and_only_where_it_is_needed"),
    ),
    Mutant(
        "stale-page-shown",
        f"{HERE}/__init__.py",
        'if f\'<meta name="source" content="{fingerprint}">\' in text:',
        "if text:",
        exported("the_studio_reads_the_page_of_this_very_source"),
    ),
    Mutant(
        "failure-exits-with-zero",
        f"{HERE}/__init__.py",
        "return int(failed > 0)",
        "return 0",
        exported("a_failed_chapter_leaves_its_old_page_and_the_others_go_on"),
    ),
    Mutant(
        "pages-of-old-explorers-stay",
        PAGES,
        "            old.unlink()\n",
        "            pass\n",
        studio("every_explorer_has_a_page_and_only_they"),
    ),
    Mutant(
        "picture-of-a-namesake",
        PAGES,
        r'rf"\bexplorers\.{re.escape(name)}\("',
        r'rf"\bexplorers\.{re.escape(name)}"',
        studio("pictures_come_from_the_last_page_else_from_the_lecture"),
    ),
    Mutant(
        "port-changed-in-silence",
        STUDIO,
        "if port is None and number != PORT:",
        "if False:",
        studio("a_taken_port_is_said_and_the_next_one_used"),
    ),
    Mutant(
        "taken-port-not-named",
        STUDIO,
        "            if port is not None:\n                why",
        "            if False:\n                why",
        studio("a_taken_port_is_said_and_the_next_one_used"),
    ),
    Mutant(
        "no-token-beyond-localhost",
        SERVER,
        "token is None and ip not in LOCAL",
        "False",
        studio("a_token_is_made_up_for_all_but_this_machine"),
    ),
    Mutant(
        "command-without-a-token",
        STUDIO,
        "        token=chosen.token,\n",
        '        token=chosen.token or "",\n',
        studio("a_token_is_made_up_for_all_but_this_machine"),
    ),
    Mutant(
        "everywhere-counts-as-here",
        LIMITS,
        'LOCAL = ("localhost",',
        'LOCAL = ("0.0.0.0", "localhost",',
        studio("beyond_localhost_the_studio_has_a_token"),
    ),
    Mutant(
        "empty-token-accepted",
        LIMITS,
        "if token is not None and not token.strip() and host not in LOCAL:",
        "if False:",
        studio("beyond_localhost_the_studio_has_a_token"),
    ),
    Mutant(
        "one-page-too-many",
        SERVER,
        "if self.room() > 0:",
        "if self.room() > -1:",
        studio("who_opens_a_page_goes_before_kernels_ahead_and_never_exceeds_the_pages"),
    ),
    Mutant(
        "kernels-ahead-keep-visitors-out",
        SERVER,
        "if not (ahead := self.ahead()):",
        "if ahead := self.ahead():",
        studio("who_opens_a_page_goes_before_kernels_ahead_and_never_exceeds_the_pages"),
    ),
    Mutant(
        "memory-of-the-host-for-a-container",
        "gdm_core/course/memory.py",
        "room = min(room, int(",
        "room = max(room, int(",
        studio("pages_are_as_many_as_the_memory_holds"),
    ),
    Mutant(
        "device-not-told-to-kernels",
        "gdm_core/course/runner.py",
        '        os.environ["GDM_DEVICE"] = name\n',
        "",
        studio("a_device_is_checked_before_anything_starts_and_told_to_the_kernels"),
    ),
]
