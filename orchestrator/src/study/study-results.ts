// Which steps of the emoji study are done, kept in one file so that a study that is stopped goes on; and what they came to, read from
// their run folders.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import type { StudyStep } from './study-plan.js';

export interface StepFigures {
  /** Percent of the held-out pictures; a pre-training of SimCLR has none. */
  readonly acc1?: number;
  readonly acc5?: number;
  /** Median over the steps of a training; a probe on features has none. */
  readonly stepMs?: number;
}
/** By key of the step, those that are done. */
export type StudyResults = Readonly<Record<string, StepFigures>>;

const FILE = 'study.json';

/** @throws SlipError `config` where the folder holds another study, `data` where a run folder lacks its figures */
export async function readResults(folder: string, steps: readonly StudyStep[]): Promise<StudyResults> {
  const commands = await readCommands(folder);
  const results: Record<string, StepFigures> = {};
  for (const step of steps) {
    const found = commands[step.key];
    if (found === undefined) continue;
    if (found !== commandOf(step)) {
      throw new SlipError(
        'config',
        `${path.join(folder, FILE)} has ${step.key} from "${found}", not from "${commandOf(step)}"; choose another --output-dir`,
      );
    }
    results[step.key] = await figuresOf(step);
  }
  return results;
}

/** Notes that a step has ended well. */
export async function writeDone(folder: string, step: StudyStep): Promise<void> {
  const commands = { ...(await readCommands(folder)), [step.key]: commandOf(step) };
  await writeFileAtomic(path.join(folder, FILE), `${JSON.stringify(commands, null, 1)}\n`);
}

/** By key: arguments of slip-launch; others make another study. */
async function readCommands(folder: string): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(path.join(folder, FILE), 'utf8').catch(() => '{}');
  return JSON.parse(text);
}

/**
 * Always those of the last weights: the best ones would be chosen by the pictures that are to be unseen.
 * @throws SlipError `data` naming the file that lacks them
 */
export async function figuresOf(step: StudyStep): Promise<StepFigures> {
  const stepMs = step.measure === 'linear' ? undefined : await medianStepMs(path.join(step.folder, 'metrics.jsonl'));
  return { ...(await accuraciesOf(step)), ...(stepMs === undefined ? {} : { stepMs }) };
}

async function accuraciesOf({ measure, folder }: StudyStep): Promise<{ acc1?: number; acc5?: number }> {
  switch (measure) {
    case undefined:
      return {};
    case 'zero-shot':
    case 'linear':
      return read(path.join(folder, measure === 'linear' ? 'probe.json' : 'evaluation.json'), (text) => {
        const { figures } = JSON.parse(text) as { figures: { acc1: unknown; acc5: unknown } };
        return numbers(figures.acc1, figures.acc5);
      });
    case 'finetune':
      return read(path.join(folder, 'log.txt'), (text) => {
        const last = JSON.parse(text.trimEnd().split('\n').at(-1)!) as { test_acc1: unknown; test_acc5: unknown };
        return numbers(last.test_acc1, last.test_acc5);
      });
    default:
      return measure satisfies never;
  }
}

function medianStepMs(file: string): Promise<number> {
  return read(file, (text) => {
    const records = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; stepMs: number });
    const times = records.flatMap(({ kind, stepMs }) => (kind === 'step' ? [stepMs] : [])).sort((a, b) => a - b);
    const median = times[Math.floor(times.length / 2)];
    if (median === undefined) throw new Error('no step is in it');
    return median;
  });
}

async function read<T>(file: string, parse: (text: string) => T): Promise<T> {
  try {
    return parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new SlipError('data', `${file} has no figures though the run ended: ${(cause as Error).message}`, { cause });
  }
}

function numbers(acc1: unknown, acc5: unknown): { acc1: number; acc5: number } {
  if (typeof acc1 !== 'number' || typeof acc5 !== 'number') throw new Error(`accuracies are ${acc1} and ${acc5}`);
  return { acc1, acc5 };
}

function commandOf({ args }: StudyStep): string {
  return ['slip-launch', ...args].join(' ');
}
