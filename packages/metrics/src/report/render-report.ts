// Writes the report page of a run: reads the run folder and the pictures, leaves the rest to pure functions.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomic } from '@slip/core';
import { type JsonLine, readJsonLines } from '../sinks/json-lines.js';
import { METRICS_FILE } from '../sinks/metrics-file.js';
import { chartsOf } from './curves.js';
import { factsOf, headlineOf } from './facts.js';
import type { EvaluationFacts, PredictedImage, ReportOptions } from './report-options.js';
import { reportPage } from './report-page.js';

const MAX_PREDICTIONS = 36;
/** Larger pictures are left out: the page should stay small enough to mail. */
const MAX_PICTURE_BYTES = 1 << 20;
const PICTURE_TYPES: Readonly<Record<string, string>> = {
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.gif': 'image/gif',
  '.svg': 'image/svg+xml',
};

/**
 * @returns the path of the page
 * @throws the system's own error when the page cannot be written
 */
export async function renderReport(options: ReportOptions): Promise<string> {
  const { runDir, title, facts = {} } = options;
  const out = options.out ?? path.join(runDir, 'report.html');
  const lines = readJsonLines(path.join(runDir, METRICS_FILE));
  const stored = await readEvaluation(runDir);
  const evaluation = options.evaluation ?? stored?.evaluation ?? lastValidation(lines);
  const items = options.predictions?.items ?? stored?.items ?? [];
  const page = reportPage({
    title,
    subtitle: path.resolve(runDir),
    headline: headlineOf(lines, evaluation),
    charts: chartsOf(lines),
    facts: factsOf(lines, evaluation, facts),
    predictions: await Promise.all(
      items.slice(0, MAX_PREDICTIONS).map(async (item) => ({ ...item, picture: await dataUrl(item.file) })),
    ),
  });
  await writeFileAtomic(out, page);
  return out;
}

interface EvaluationDocument {
  readonly dataset: string;
  readonly step: number;
  readonly figures: EvaluationFacts;
  readonly predictions: readonly PredictedImage[];
}

/** `<run>/evaluation.json` as a validation leaves it; a missing or foreign one is no reason to have no page. */
async function readEvaluation(
  runDir: string,
): Promise<{ evaluation: EvaluationFacts; items: readonly PredictedImage[] } | undefined> {
  try {
    const text = await readFile(path.join(runDir, 'evaluation.json'), 'utf8');
    const { dataset, step, figures, predictions } = JSON.parse(text) as EvaluationDocument;
    return { evaluation: { ...figures, dataset, step }, items: predictions };
  } catch {
    return undefined;
  }
}

function lastValidation(lines: readonly JsonLine[]): EvaluationFacts | undefined {
  return lines.findLast(({ kind }) => kind === 'eval') as EvaluationFacts | undefined;
}

async function dataUrl(file: string): Promise<string | undefined> {
  const type = PICTURE_TYPES[path.extname(file).toLowerCase()];
  const bytes = type === undefined ? undefined : await readFile(file).catch(() => undefined);
  if (bytes === undefined || bytes.length > MAX_PICTURE_BYTES) return undefined;
  return `data:${type};base64,${bytes.toString('base64')}`;
}
