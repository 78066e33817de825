// The page of the emoji study: tables and a plot of whatever results there are. Pure.
import { MEASURES, METHODS, type Measure, type Method, type StudyStep } from './study-plan.js';
import type { StudyResults } from './study-results.js';

const TITLES: Readonly<Record<Measure, string>> = {
  'zero-shot': 'zero-shot',
  linear: 'linear probe',
  finetune: 'fine-tuned',
};
const NAMES: Readonly<Record<Method, string>> = { clip: 'CLIP', simclr: 'SimCLR', slip: 'SLIP' };

export interface StudyFacts {
  readonly date: string;
  readonly machine: string;
  readonly command: string;
  /** How the page's plot is reached from it. */
  readonly plot: string;
  readonly heldOut: { readonly images: number; readonly classes: number; readonly largestClass: number };
}

/** Of a method and a measure, in order of seeds; those that are there. */
export function accuraciesOf(
  steps: readonly StudyStep[],
  results: StudyResults,
  method: Method,
  measure: Measure,
): { seed: number; acc1: number }[] {
  return steps
    .filter((step) => step.method === method && step.measure === measure)
    .flatMap(({ seed, key }) => {
      const acc1 = results[key]?.acc1;
      return acc1 === undefined ? [] : [{ seed, acc1 }];
    });
}

export function studyPage(steps: readonly StudyStep[], results: StudyResults, facts: StudyFacts): string {
  const { images, classes, largestClass } = facts.heldOut;
  const done = steps.filter(({ key }) => results[key] !== undefined).length;
  const unfinished = done === steps.length ? [] : [`**Unfinished: ${done} of ${steps.length} runs are done.**`, ''];
  return [
    '# CLIP, SimCLR and SLIP on emoji',
    '',
    `${facts.date}, ${facts.machine}. \`${facts.command}\``,
    '',
    ...unfinished,
    'Each method is trained on the same pictures and captions of three art styles (noto, twemoji, openmoji), with the same tower,',
    'optimizer, number of epochs and seeds: the same number of pictures seen, not the same time (SLIP computes three views of a picture,',
    'SimCLR two, CLIP one). All are judged on a fourth style that no run has seen: ' +
      `${images} pictures in ${classes} classes;`,
    `chance is ${(100 / classes).toFixed(1)} %, the largest class ${largestClass.toFixed(1)} %. The weights after the last step count, not the best ones. The`,
    "recipes are `configs/emoji_*.yaml`; their rates are the quickstart's, which were chosen for SLIP on this same style.",
    '',
    'Top-1 in percent, mean ± standard deviation over seeds:',
    '',
    `| | ${MEASURES.map((measure) => TITLES[measure]).join(' | ')} |`,
    `|---|${MEASURES.map(() => '---|').join('')}`,
    ...METHODS.map(
      (method) => `| ${NAMES[method]} | ${MEASURES.map((m) => cell(steps, results, method, m)).join(' | ')} |`,
    ),
    '',
    `![Top-1 of each seed and their mean](${facts.plot})`,
    '',
    'Every run:',
    '',
    '| run | top-1 | top-5 | ms a step |',
    '|---|---|---|---|',
    ...steps.map(({ key }) => {
      const { acc1, acc5, stepMs } = results[key] ?? {};
      const shown = [acc1?.toFixed(1), acc5?.toFixed(1), results[key] === undefined ? 'not done' : stepMs?.toFixed(0)];
      return `| ${key} | ${shown.map((value) => value ?? '-').join(' | ')} |`;
    }),
    '',
    'Milliseconds are medians, with other runs and other programs on the same cores.',
    '',
  ].join('\n');
}

function cell(steps: readonly StudyStep[], results: StudyResults, method: Method, measure: Measure): string {
  const values = accuraciesOf(steps, results, method, measure).map(({ acc1 }) => acc1);
  if (values.length === 0) return '-';
  const { mean, deviation } = spreadOf(values);
  return values.length === 1 ? `${mean.toFixed(1)} (1 seed)` : `${mean.toFixed(1)} ± ${deviation.toFixed(1)}`;
}

/** @returns the mean and the deviation of a sample (divisor n - 1; 0 of a single value) */
export function spreadOf(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)) };
}

const [WIDTH, HEIGHT, MARGIN] = [260, 280, 45];
const COLOURS: Readonly<Record<Method, string>> = { clip: '#1b6ca8', simclr: '#588157', slip: '#c8553d' };

/** A panel for each measure, a column for each method: a dot for each seed, a line for their mean. */
export function studyPlot(steps: readonly StudyStep[], results: StudyResults, chance: number): string {
  const all = steps.flatMap(({ key }) => results[key]?.acc1 ?? []);
  const top = Math.max(5, Math.ceil(Math.max(0, ...all) / 5) * 5);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH * MEASURES.length}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    '<title>Top-1 on an art style never seen, of each seed and their mean</title>',
    '<rect width="100%" height="100%" fill="white"/>',
    ...MEASURES.map((measure, i) => panel(steps, results, { measure, left: i * WIDTH, top, chance })),
    '</svg>',
    '',
  ].join('\n');
}

function panel(
  steps: readonly StudyStep[],
  results: StudyResults,
  { measure, left, top, chance }: { measure: Measure; left: number; top: number; chance: number },
): string {
  const y = (percent: number) => (HEIGHT - MARGIN - (percent / top) * (HEIGHT - 2 * MARGIN)).toFixed(1);
  const [from, to] = [left + MARGIN, left + WIDTH - 10];
  const x = (column: number) => from + ((column + 0.5) / METHODS.length) * (to - from);
  const line = (percent: number, colour: string, dash = '') =>
    `<line x1="${from}" x2="${to}" y1="${y(percent)}" y2="${y(percent)}" stroke="${colour}"${dash}/>`;
  const ticks = Array.from({ length: 6 }, (_, i) => (top * i) / 5);
  return [
    `<text x="${(from + to) / 2}" y="25" text-anchor="middle" font-size="14">${TITLES[measure]}, top-1</text>`,
    ...ticks.map(
      (percent) =>
        line(percent, '#dddddd') +
        `<text x="${from - 6}" y="${Number(y(percent)) + 4}" text-anchor="end">${percent} %</text>`,
    ),
    line(chance, '#888888', ' stroke-dasharray="4 3"'),
    ...METHODS.map((method, column) => {
      const values = accuraciesOf(steps, results, method, measure).map(({ acc1 }) => acc1);
      const name = `<text x="${x(column)}" y="${HEIGHT - MARGIN + 18}" text-anchor="middle">${NAMES[method]}</text>`;
      if (values.length === 0) return name;
      const { mean } = spreadOf(values);
      const dots = values.map(
        (value, i) =>
          `<circle cx="${(x(column) + (i - (values.length - 1) / 2) * 8).toFixed(1)}" cy="${y(value)}" r="3.5" fill="${COLOURS[method]}"/>`,
      );
      const bar = `<line x1="${x(column) - 18}" x2="${x(column) + 18}" y1="${y(mean)}" y2="${y(mean)}" stroke="${COLOURS[method]}" stroke-width="2"/>`;
      return [name, ...dots, bar].join('');
    }),
  ].join('\n');
}
