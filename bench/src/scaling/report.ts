// Shows simulated steps: a Markdown table, and a plot of efficiency over ranks as SVG. No simulating here.
import type { StepResult } from './train-step.js';

export interface Curve {
  readonly model: string;
  readonly frames: string;
  readonly variant: string;
  readonly computeSeconds: number;
  readonly results: readonly StepResult[];
}

export function asTable(curves: readonly Curve[]): string {
  const lines = [
    '| model | frames | gradients | ranks | step ms | forward | backward | reduce | update | gather | efficiency |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ];
  for (const { model, frames, variant, results } of curves) {
    for (const { ranks, stepSeconds, stages, efficiency } of results) {
      const { forward, backward, reduce, update, gather } = stages;
      const cells = [stepSeconds, forward, backward, reduce, update, gather].map((seconds) =>
        (seconds * 1000).toFixed(0),
      );
      lines.push(`| ${[model, frames, variant, ranks, ...cells, `${(efficiency * 100).toFixed(0)} %`].join(' | ')} |`);
    }
  }
  return lines.join('\n');
}

const [WIDTH, HEIGHT, MARGIN, LEGEND] = [520, 300, 50, 20];
const COLOURS = ['#1b6ca8', '#c8553d', '#588157', '#7b5ea7', '#b8860b', '#444444'];

/** One panel a model: efficiency over ranks, which double from mark to mark. */
export function asPlot(curves: readonly Curve[]): string {
  const models = [...new Set(curves.map(({ model }) => model))];
  const panels = models.map((model, i) =>
    panel(
      model,
      curves.filter((curve) => curve.model === model),
      i * WIDTH,
    ),
  );
  const height =
    HEIGHT + LEGEND * Math.max(...models.map((model) => curves.filter((curve) => curve.model === model).length));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH * models.length}" height="${height}" font-family="sans-serif" font-size="12">`,
    '<title>Share of a step spent computing, over the number of ranks</title>',
    '<rect width="100%" height="100%" fill="white"/>',
    ...panels,
    '</svg>',
    '',
  ].join('\n');
}

function panel(model: string, curves: readonly Curve[], left: number): string {
  const ranks = curves[0].results.map((result) => result.ranks);
  const [low, high] = [Math.log2(ranks[0]), Math.log2(Math.max(ranks.at(-1)!, 2 * ranks[0]))];
  const x = (count: number) => left + MARGIN + ((Math.log2(count) - low) / (high - low)) * (WIDTH - 2 * MARGIN);
  const y = (share: number) => HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN);
  const shares = [0, 0.25, 0.5, 0.75, 1];
  return [
    `<text x="${left + WIDTH / 2}" y="25" text-anchor="middle" font-size="14">${model}: share of a step spent computing</text>`,
    ...shares.map(
      (share) =>
        `<line x1="${x(ranks[0])}" x2="${x(ranks.at(-1)!)}" y1="${y(share)}" y2="${y(share)}" stroke="#dddddd"/>` +
        `<text x="${left + MARGIN - 8}" y="${y(share) + 4}" text-anchor="end">${share * 100} %</text>`,
    ),
    ...ranks.map((count) => `<text x="${x(count)}" y="${HEIGHT - MARGIN + 18}" text-anchor="middle">${count}</text>`),
    ...curves.map(({ frames, variant, results }, i) => {
      const points = results
        .map((result) => `${x(result.ranks).toFixed(1)},${y(result.efficiency).toFixed(1)}`)
        .join(' ');
      const at = HEIGHT + i * LEGEND;
      return (
        `<polyline points="${points}" fill="none" stroke="${COLOURS[i % COLOURS.length]}" stroke-width="2"/>` +
        `<rect x="${left + MARGIN}" y="${at - 10}" width="14" height="4" fill="${COLOURS[i % COLOURS.length]}"/>` +
        `<text x="${left + MARGIN + 22}" y="${at - 4}">${frames} frames, ${variant}</text>`
      );
    }),
  ].join('\n');
}
