"""The looks of a report: one column on a phone, several beside each other where there is room."""

STYLE = """
:root { color-scheme: light; --line: #d5d9de; --soft: #f4f6f8; --text: #1b1f24; --dim: #55606c; --blue: #0b62a0 }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 0 1rem 3rem; max-width: 76rem; color: var(--text); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK KR", "Malgun Gothic", sans-serif }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.2rem 0 .5rem; overflow-wrap: anywhere }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .7rem; padding-top: .5rem; border-top: 1px solid var(--line);
  overflow-wrap: anywhere }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem }
h4 { font-size: 1rem; margin: 1.1rem 0 .3rem; overflow-wrap: anywhere }
p { margin: .5rem 0; max-width: 46rem }
a { color: var(--blue) }
:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px }
.skip { position: absolute; left: -99rem }
.skip:focus { left: 1rem; top: .5rem; background: #fff; padding: .3rem .6rem }
.headline strong { font-size: 2rem; line-height: 1.1 }
.caution { border-left: 4px solid #b54700; background: #fff5eb; padding: .4rem .7rem; overflow-wrap: anywhere }
.note, .plain { color: var(--dim); font-weight: normal }
.note { font-size: .9rem }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0; margin: .8rem 0 }
nav a { display: inline-block; padding: .3rem 0 }
.scroll { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse; font-size: .92rem }
caption { text-align: left; white-space: nowrap; color: var(--dim); padding-bottom: .3rem; font-size: .88rem }
th, td { padding: .28rem .7rem .28rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; overflow-wrap: anywhere; min-width: 7rem; max-width: 18rem }
thead th.number { min-width: 0 }
td { max-width: 18rem; overflow-wrap: anywhere }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; max-width: none }
small { color: var(--dim) }
.cell { display: inline-block; min-width: 9.5rem; text-align: left }
.bar { display: block; height: 4px; background: #0072B2; margin-top: 2px }
table.matrix { border-collapse: separate; border-spacing: 1px; font-size: .8rem }
table.matrix td { min-width: 2.2rem; height: 2.2rem; padding: .15rem .3rem; text-align: center; vertical-align: middle;
  border: 1px solid #eceff2; font-variant-numeric: tabular-nums }
table.matrix th { min-width: 5.5rem; border: 0; font-weight: 500; max-width: 10rem }
table.matrix thead th { min-width: 0; padding: .2rem 0; vertical-align: bottom; text-align: left }
table.matrix thead span { writing-mode: vertical-rl; text-orientation: sideways; transform: rotate(180deg);
  max-height: 9rem; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  display: inline-block; width: 2.2rem; line-height: 2.2rem }
tbody th { position: sticky; left: 0; background: #fff }
table.matrix tbody th { text-align: right; padding-right: .5rem }
table.matrix .corner { border: 0; color: var(--dim); text-align: right; vertical-align: bottom; min-width: 5.5rem;
  white-space: nowrap }
svg.matrix { display: block } svg.matrix text { font-size: 8.5px }
svg.matrix .axis-name { font-size: 11px; fill: var(--dim) } svg.matrix image { image-rendering: pixelated }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: .4rem 1.2rem }
figure { margin: 0 }
figure.chart { max-width: 27rem }
figure.map { max-width: 46rem } figure.map .legend { padding-left: .9rem }
.marker { width: 15px; height: 15px; vertical-align: -2px }
@media (min-width: 48rem) { figure.map svg.chart text { font-size: 6.5px } }
figure.chart figcaption { font-weight: 600; font-size: .95rem }
svg.chart { display: block; width: 100%; height: auto }
svg.chart text { font-size: 11px; fill: #3c4650 }
svg .grid { stroke: #e4e8ec } svg .axis { stroke: #8a949e }
svg line.marked { stroke: #222; stroke-dasharray: 2 3; stroke-width: 1.5 } svg.chart text.marked { fill: #111 }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .85rem; padding-left: 2.6rem }
.sample { width: 26px; height: 10px; display: inline-block }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .9rem .8rem;
  margin: .6rem 0 }
.gallery figure { font-size: .82rem; line-height: 1.35; overflow-wrap: anywhere; min-width: 0 }
.gallery img, .missing { width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--soft); display: block }
.missing { display: grid; place-items: center; color: var(--dim) }
.looks { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem 1.5rem }
.looks figure { font-size: .82rem; line-height: 1.35; overflow-wrap: anywhere; min-width: 0 }
.looks .row { display: grid; grid-template-columns: repeat(3, 1fr); gap: .4rem }
.looks .row > div { min-width: 0 }
.looks img { width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--soft); display: block }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 0 1.5rem }
.right { color: #00603f; font-weight: 600 } .wrong { color: #a63c00; font-weight: 600 } .file { color: var(--dim) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .9rem }
dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
details summary { cursor: pointer; padding: .4rem 0 }
@media (max-width: 30rem) { body { padding: 0 .8rem 2rem } .gallery { grid-template-columns: repeat(2, 1fr) }
  dl { grid-template-columns: 1fr } dt { margin-top: .4rem } td > span > small { display: block } }
@media print { nav, .skip { display: none } .scroll { overflow: visible } }
"""
