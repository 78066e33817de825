// The report as one HTML text that needs nothing else: style, charts and pictures are inside. Pure; pictures come in as data URLs.
import { escapeHtml } from './escape-html.js';
import type { Fact } from './facts.js';
import type { PredictedImage } from './report-options.js';
import { type ChartSpec, lineChart } from './svg-chart.js';

export interface PageContent {
  readonly title: string;
  readonly subtitle: string;
  readonly headline: readonly (Fact & { readonly note: string })[];
  readonly charts: readonly ChartSpec[];
  readonly facts: readonly Fact[];
  /** `picture` is a data URL; undefined where the file cannot be read. */
  readonly predictions: readonly (PredictedImage & { readonly picture: string | undefined })[];
}

export function reportPage(content: PageContent): string {
  const sections = [
    `<header><h1>${escapeHtml(content.title)}</h1><p>${escapeHtml(content.subtitle)}</p></header>`,
    content.headline.length > 0 ? `<section class="tiles">${content.headline.map(tile).join('')}</section>` : '',
    content.charts.length > 0
      ? `<section class="charts">${content.charts.map((chart) => `<figure>${lineChart(chart)}</figure>`).join('\n')}</section>`
      : '<p class="empty">metrics.jsonl holds no steps yet.</p>',
    content.predictions.length > 0 ? predictionSection(content.predictions) : '',
    content.facts.length > 0
      ? `<section><h2>Facts</h2><table>${content.facts.map(row).join('')}</table></section>`
      : '',
  ];
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(content.title)}</title><style>${STYLE}</style></head>`,
    `<body><main>${sections.filter((section) => section !== '').join('\n')}</main></body></html>`,
    '',
  ].join('\n');
}

function tile({ name, value, note }: Fact & { note: string }): string {
  return `<div class="tile"><span>${escapeHtml(name)}</span><b>${escapeHtml(value)}</b><small>${escapeHtml(note)}</small></div>`;
}

function row({ name, value }: Fact): string {
  return `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`;
}

function predictionSection(predictions: PageContent['predictions']): string {
  const correct = predictions.filter(({ label, top }) => top[0]?.label === label).length;
  return [
    '<section><h2>Predictions</h2>',
    `<p class="hint">${predictions.length} pictures of the validation set with the three likeliest classes; the first is right for ${correct}.</p>`,
    `<div class="cards">${predictions.map(card).join('\n')}</div></section>`,
  ].join('\n');
}

function card({ label, top, picture }: PageContent['predictions'][number]): string {
  const right = top[0]?.label === label;
  const image =
    picture === undefined
      ? '<div class="nopicture">no picture</div>'
      : `<img src="${picture}" alt="${escapeHtml(label)}">`;
  return [
    `<div class="card ${right ? 'right' : 'wrong'}">${image}`,
    `<p class="truth" title="true class">${right ? '&#10003;' : '&#10007;'} ${escapeHtml(label)}</p>`,
    '<ol>',
    ...top.map((guess) => guessLine(guess, label)),
    '</ol></div>',
  ].join('');
}

function guessLine(guess: PredictedImage['top'][number], truth: string): string {
  const share = `${Math.round(100 * Math.min(1, Math.max(0, guess.probability)))}%`;
  return (
    `<li${guess.label === truth ? ' class="hit"' : ''} title="${escapeHtml(guess.label)}"><i style="width:${share}"></i>` +
    `<span>${escapeHtml(guess.label)}</span><em>${share}</em></li>`
  );
}

const STYLE = `
:root { --ink: #1d2733; --soft: #5d6b7a; --faint: #e6eaef; --green: #23854f; --red: #b3483d; }
* { box-sizing: border-box; }
body { margin: 0; background: #f6f7f9; color: var(--ink); font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { margin: 0; font-size: 25px; } h2 { margin: 32px 0 10px; font-size: 18px; }
header p, .hint, .empty { margin: 2px 0 14px; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 14px; margin: 14px 0; }
.tile, figure, .card, table { background: #fff; border: 1px solid var(--faint); border-radius: 10px; }
.tile { padding: 12px 16px; display: flex; flex-direction: column; }
.tile span { color: var(--soft); font-size: 13px; } .tile b { font-size: 25px; } .tile small { color: var(--soft); min-height: 1.4em; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 14px; }
figure { margin: 0; padding: 6px; }
.chart { display: block; width: 100%; font-family: inherit; }
.chart .title { font-size: 14px; font-weight: 600; fill: var(--ink); }
.chart .legend { font-size: 11px; fill: var(--ink); } .chart .tick, .chart .label { font-size: 11px; fill: var(--soft); }
.chart path { fill: none; } .chart .grid { stroke: #edf0f3; } .chart .axis { stroke: #a9b3be; }
.chart .line { stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; } .chart .raw { stroke-width: 1; opacity: .3; }
.chart .guide { stroke: #8895a3; stroke-dasharray: 4 4; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(172px, 1fr)); gap: 12px; }
.card { padding: 10px; border-width: 2px; } .card.right { border-color: #8fcfab; background: #f4fbf7; }
.card img, .nopicture { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px; background: #fff; }
.nopicture { display: grid; place-items: center; color: var(--soft); background: var(--faint); font-size: 12px; }
.truth { margin: 8px 0 4px; font-size: 13px; font-weight: 600; overflow-wrap: anywhere; }
.right .truth { color: var(--green); } .wrong .truth { color: var(--red); }
ol { list-style: none; margin: 0; padding: 0; font-size: 12px; }
li { position: relative; display: flex; justify-content: space-between; gap: 6px; padding: 1px 4px; margin-top: 2px; }
li i { position: absolute; inset: 0 auto 0 0; background: #e9edf2; border-radius: 3px; } li.hit i { background: #c9ead7; }
li span { position: relative; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } li em { position: relative; font-style: normal; color: var(--soft); }
table { border-collapse: separate; border-spacing: 0; width: 100%; overflow: hidden; font-size: 14px; }
th, td { padding: 6px 16px; text-align: left; border-bottom: 1px solid var(--faint); } tr:last-child > * { border-bottom: 0; }
th { width: 40%; font-weight: 400; color: var(--soft); } td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
@media (max-width: 480px) { .charts { grid-template-columns: 1fr; } }
`;
