// What the steps of the emoji study came to: read from their run folders, kept in one file so that a study that is stopped goes on.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import type { StudyStep } from './study-plan.js';

export interface StepResult {
  /** Arguments of slip-launch; others make another study. */
  readonly command: string;
  readonly seconds: number;
  /** Percent of the held-out pictures. */
  readonly acc1?: number;
  readonly acc5?: number;
}
export type StudyResults = Readonly<Record<string, StepResult>>;

const FILE = 'study.json';

/** @throws SlipError `config` where the folder holds another study */
export async function readResults(folder: string, steps: readonly StudyStep[]): Promise<StudyResults> {
  const file = path.join(folder, FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return {};
  }
  const results = JSON.parse(text) as StudyResults;
  for (const step of steps) {
    const found = results[step.key]?.command;
    if (found !== undefined && found !== commandOf(step)) {
      throw new SlipError(
        'config',
        `${file} has ${step.key} from "${found}", not from "${commandOf(step)}"; choose another --output-dir`,
      );
    }
  }
  return results;
}

export async function writeResults(folder: string, results: StudyResults): Promise<void> {
  await writeFileAtomic(path.join(folder, FILE), `${JSON.stringify(results, null, 1)}\n`);
}

/** Of a step that has ended. @throws SlipError `data` */
export async function resultOf(step: StudyStep, seconds: number): Promise<StepResult> {
  return { command: commandOf(step), seconds, ...(step.measure === undefined ? {} : await figuresOf(step)) };
}

/** Always those of the last weights: the best ones would be chosen by the pictures that are to be unseen. */
async function figuresOf({ measure, folder }: StudyStep): Promise<{ acc1: number; acc5: number }> {
  const file = path.join(
    folder,
    { 'zero-shot': 'evaluation.json', linear: 'probe.json', finetune: 'log.txt' }[measure!],
  );
  try {
    const text = await readFile(file, 'utf8');
    if (measure === 'finetune') {
      const last = JSON.parse(text.trimEnd().split('\n').at(-1)!) as { test_acc1: number; test_acc5: number };
      return numbers(last.test_acc1, last.test_acc5);
    }
    const { figures } = JSON.parse(text) as { figures: { acc1: number; acc5: number } };
    return numbers(figures.acc1, figures.acc5);
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
