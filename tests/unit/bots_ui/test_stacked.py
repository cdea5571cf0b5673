"""Cells of wide tables say which column they are of."""

import re

from markupsafe import Markup

from bots_ui.assets import Assets, build_environment
from bots_ui.shown.stacked import stacked

HEAD = '<table class="plain"><thead><tr><th scope="col">bot</th><th scope="col" class="num">gain &amp; loss, %</th><th>why</th></tr></thead><tbody>'


def labels(html: str) -> list[str]:
    return re.findall(r'data-label="([^"]*)"', html)


def test_each_cell_has_its_heading() -> None:
    html = stacked(f'{HEAD}<tr><th scope="row">a</th><td class="num">1</td><td>b</td></tr></tbody></table>')
    assert labels(html) == ["bot", "gain &amp; loss, %", "why"]
    assert '<td class="num" data-label="gain &amp; loss, %">1</td>' in html


def test_a_cell_that_says_nothing_is_told_from_one_that_does() -> None:
    html = stacked(f'{HEAD}<tr><th>a</th><td><span class="dim">–</span></td><td><svg><use href="#x"/></svg></td></tr></tbody></table>')
    assert re.findall(r"<(t[dh])[^>]* data-none>", html) == ["td"]
    assert labels(html) == ["bot", "why"]


def test_cells_over_rows_and_columns_shift_the_others() -> None:
    rows = '<tr><th rowspan="2">a</th><td>1</td><td>b</td></tr><tr><td>2</td><td>c</td></tr><tr><td colspan="3">whole</td></tr><tr><th>z</th><td>3</td><td>d</td></tr>'
    html = stacked(f"{HEAD}{rows}</tbody></table>")
    assert labels(html) == ["bot", "gain &amp; loss, %", "why", "gain &amp; loss, %", "why", "bot", "gain &amp; loss, %", "why"]
    assert '<td colspan="3">whole</td>' in html


def test_words_of_a_heading_are_words_and_the_rest_is_as_it_was() -> None:
    head = '<table class="plain"><thead><tr><th><abbr title="x">&lt;b&gt; &quot;q&quot;</abbr></th></tr></thead>'
    html = stacked(f"{head}<tbody><tr><td>v</td></tr></tbody></table>")
    assert labels(html) == ["&lt;b&gt; &quot;q&quot;"]
    assert stacked("<table></table>") == Markup("<table></table>")


def test_every_wide_table_of_a_template_is_labelled_without_being_told() -> None:
    environment = build_environment(Assets({}, ()))
    template = environment.from_string(
        '<table class="plain more"><thead><tr><th>one</th></tr></thead><tbody>{% for x in items %}<tr><td>{{ x }}</td></tr>{% endfor %}</tbody></table>'
        '<table class="bots"><thead><tr><th>two</th></tr></thead><tbody><tr><td>{{ items[0] }}</td></tr></tbody></table>'
    )
    html = template.render(items=["<i>", "b"])
    assert labels(html) == ["one", "one"]
    assert "&lt;i&gt;" in html
    assert "<i>" not in html
