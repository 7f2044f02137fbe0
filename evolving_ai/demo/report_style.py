"""The style sheet of the report: light and dark as the reader's system is, narrow screens, and paper.

Colours of candidates, front, incumbent and winner are those of `evolution/pareto_plot.py`. Text has a contrast of 4.5
and more to what it stands on; lines that mean something differ in their dashes, too, not in colour alone.
"""

__all__ = ["STYLE"]

_LIGHT = """
  --paper: #ffffff; --card: #f5f7f9; --ink: #1c222b; --quiet: #56606d; --rule: #dde2e8; --grid: #eceef1;
  --dot: #b8bcc2; --front: #1f5fa8; --winner: #c5384c; --incumbent: #2b2d33; --reference: #7a5195; --cheapest: #0f766e;
  --good: #156f43; --good-card: #e2f3e9; --bad: #a8263a; --bad-card: #fbe7e9; --open: #6b4e00; --open-card: #f8efd6;
  --quality: #1f5fa8; --cost: #a85f00; --latency: #0f766e; --errors: #7a5195;
"""
_DARK = """
  --paper: #12161b; --card: #1b2128; --ink: #e8ebef; --quiet: #a3adba; --rule: #323a45; --grid: #252c35;
  --dot: #59626e; --front: #6fb0f2; --winner: #ff8091; --incumbent: #e8ebef; --reference: #c39bdc; --cheapest: #4fc7b8;
  --good: #69d39b; --good-card: #16301f; --bad: #ff93a1; --bad-card: #3a1a20; --open: #e6c15c; --open-card: #332a10;
  --quality: #6fb0f2; --cost: #f0a44a; --latency: #4fc7b8; --errors: #c39bdc;
"""

_PAGE = """
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 1000px; margin: 0 auto; padding: 0 24px; overflow-wrap: anywhere; }
header { padding-top: 44px; }
footer { padding: 28px 24px 48px; color: var(--quiet); font-size: 14px; }
h1 { font-size: 34px; line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 6px; text-wrap: balance; }
h2 { font-size: 23px; line-height: 1.25; letter-spacing: -0.01em; margin: 0 0 10px; padding-top: 26px; }
h3 { font-size: 16px; margin: 0; }
section { margin-top: 26px; border-top: 1px solid var(--rule); }
p { margin: 8px 0; max-width: 76ch; text-wrap: pretty; }
a { color: var(--front); text-underline-offset: 2px; }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--front); outline-offset: 2px; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; }
code { font-size: 0.92em; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; overflow-x: auto;
  font-size: 13.5px; line-height: 1.7; overflow-wrap: normal; }
.quiet, figcaption p { color: var(--quiet); font-size: 14px; }
nav ul { list-style: none; padding: 0; margin: 18px 0 0; display: flex; flex-wrap: wrap; gap: 4px 20px;
  font-size: 15px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 12px; top: 12px; background: var(--paper); padding: 8px; }
"""

_PARTS = """
.story { padding-left: 0; list-style: none; font-size: 18px; margin: 22px 0; }
.story li { margin: 9px 0; max-width: 80ch; text-wrap: pretty; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 250px), 1fr)); gap: 12px;
  margin: 22px 0 8px; }
.tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 18px;
  display: flex; flex-direction: column; }
.tiles dt { font-size: 14.5px; }
.tiles dd { margin: 0; font-size: 13px; color: var(--quiet); }
.tiles .big { order: -1; font-size: 30px; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em;
  color: var(--ink);
  font-variant-numeric: tabular-nums; }
.facts { display: flex; flex-wrap: wrap; gap: 10px 30px; margin: 14px 0; }
.facts dt { font-size: 13px; color: var(--quiet); }
.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.reason { max-width: 84ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; margin: 14px 0 6px;
  font-variant-numeric: tabular-nums; }
table { overflow-wrap: break-word; }
caption { text-align: left; color: var(--quiet); font-size: 14px; padding-bottom: 6px; }
th, td { text-align: left; vertical-align: top; padding: 8px 14px 8px 0; border-bottom: 1px solid var(--rule); }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-size: 13px; font-weight: 600; color: var(--quiet); vertical-align: bottom;
  border-bottom-color: var(--quiet); }
tbody th { font-weight: 600; }
td svg { display: block; margin: 4px 0; }
td p { margin: 4px 0; }
td small, th small { display: block; }
td small, th small { color: var(--quiet); font-weight: 400; font-size: 12.5px; }
.number { text-align: right; } td.number, .policy { white-space: nowrap; }
.policy::before { content: ""; display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 8px;
  background: var(--quiet); }
.policy.cheapest::before { background: var(--cheapest); } .policy.seed::before { background: var(--incumbent); }
.policy.evolved::before { background: var(--winner); } .policy.oracle::before { background: var(--reference); }
.verdict { display: inline-block; border-radius: 99px; padding: 1px 10px; font-size: 13px; font-weight: 600;
  white-space: nowrap; }
.verdict.good { color: var(--good); background: var(--good-card); }
.verdict.bad { color: var(--bad); background: var(--bad-card); }
.verdict.open { color: var(--open); background: var(--open-card); }
details { margin: 6px 0; }
summary { cursor: pointer; color: var(--front); font-size: 14px; width: fit-content; }
.plainly { margin: 6px 0; padding-left: 18px; font-size: 13px; color: var(--quiet); }
.lineage { list-style: none; margin: 18px 0 0 6px; padding: 0; border-left: 2px solid var(--rule); }
.lineage > li { position: relative; padding: 0 0 26px 26px; }
.lineage > li::before { content: ""; position: absolute; left: -8px; top: 6px; width: 10px; height: 10px;
  border-radius: 50%;
  background: var(--paper); border: 2px solid var(--front); }
.lineage > li:target > h3 { background: var(--card); }
.lineage .scroll { max-width: 640px; }
"""

_PICTURES = """
figure { margin: 14px 0 20px; }
figcaption p { max-width: 110ch; }
.plot { display: block; width: 100%; height: auto; }
.plot text { font-family: inherit; font-size: 12px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.plot .name { font-size: 12.5px; }
.plot .said, .plot .event { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 4px;
  stroke-linejoin: round; }
.plot .said { font-weight: 650; font-size: 13px; }
.plot .event { font-size: 12px; }
.plot .said.harmful { fill: var(--bad); font-weight: 500; font-size: 12px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--quiet); stroke-width: 1; }
.moment { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3; opacity: 0.75; }
.threshold { stroke: var(--bad); stroke-width: 1.3; stroke-dasharray: 6 4; fill: none; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.line.front { stroke: var(--front); }
.line.quality { stroke: var(--quality); stroke-width: 2.4; } .line.cost { stroke: var(--cost); stroke-dasharray: 8 3; }
.line.latency { stroke: var(--latency); stroke-dasharray: 2 3; stroke-width: 2.2; }
.line.errors { stroke: var(--errors); stroke-dasharray: 9 3 2 3; }
.candidate { fill: var(--dot); } .kept { fill: var(--front); }
.mark { stroke: var(--paper); stroke-width: 1.2; fill: var(--quiet); }
.whisker { stroke: var(--quiet); stroke-width: 1.8; }
.mark.cheapest { fill: var(--cheapest); } .whisker.cheapest { stroke: var(--cheapest); }
.mark.seed { fill: var(--incumbent); } .whisker.seed { stroke: var(--incumbent); }
.mark.evolved { fill: var(--winner); } .whisker.evolved { stroke: var(--winner); }
.mark.oracle { fill: var(--reference); } .whisker.oracle { stroke: var(--reference); }
.plot .said.cheapest { fill: var(--cheapest); }
.plot .said.evolved { fill: var(--winner); }
.plot .said.oracle { fill: var(--reference); }
.layer { stroke: var(--paper); stroke-width: 0.6; }
.model0 { fill: #3f7fc1; } .model1 { fill: #e5a83b; } .model2 { fill: #35a08f; } .model3 { fill: #9067b0; }
.model4 { fill: #e2805a; } .model5 { fill: #97a83a; } .model6 { fill: #79b8de; } .model7 { fill: #96705a; }
.model-rest { fill: #a4adb8; } .failed { fill: #d3243f; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 8px 0; padding: 0;
  font-size: 13.5px; }
.legend li { display: inline-flex; align-items: center; gap: 7px; }
.swatch { flex: none; overflow: visible; }
"""

_MEDIA = f"""
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
@media screen and (max-width: 760px) {{
  body {{ font-size: 15px; }} h1 {{ font-size: 27px; }} .story {{ font-size: 16px; }}
  main, header, footer {{ padding-left: 16px; padding-right: 16px; }}
  .wide > .plot {{ min-width: 720px; }} .scroll > table {{ min-width: 640px; }}
}}
@media (prefers-reduced-motion: reduce) {{ html {{ scroll-behavior: auto; }} }}
@media print {{
  @page {{ margin: 14mm; }}
  :root {{ {_LIGHT} }}
  html {{ color-scheme: light; }}
  body {{ font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
  main, header, footer {{ max-width: none; padding-left: 0; padding-right: 0; }}
  header {{ padding-top: 0; }} nav, .skip {{ display: none; }}
  figure, tr, .tiles div, .facts, .lineage > li {{ break-inside: avoid; }} h2, h3, caption {{ break-after: avoid; }}
  .scroll {{ overflow: visible; }} th, td {{ padding-right: 8px; }} table {{ font-size: 8.5pt; }}
  thead th, td small, th small, td summary, .plainly, .verdict {{ font-size: 7.5pt; }}
  td svg {{ max-width: 86px; height: auto; }}
  .story {{ font-size: 11.5pt; }} .tiles .big {{ font-size: 19pt; }}
  caption, .legend, figcaption p {{ font-size: 8.5pt; }}
  summary {{ list-style: none; }} ::details-content {{ content-visibility: visible; display: block; height: auto; }}
}}
"""

STYLE = f":root {{ {_LIGHT} }}\n{_PAGE}{_PARTS}{_PICTURES}{_MEDIA}"
"""All of it. No address of anything else stands in it."""
