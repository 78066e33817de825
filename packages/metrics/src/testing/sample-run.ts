// For tests: a temporary run folder, a log that remembers, and step records with numbers that are easy to check.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { type Logger, silentLogger } from '@slip/core';
import type { RunMetricsOptions } from '../run-metrics.js';
import type { Family, StepRecord } from '../step-record.js';

export const STEPS_PER_EPOCH = 4;

export function temporaryRun(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-metrics-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function recordingLog(): Logger & { infos: string[]; warnings: string[] } {
  const [infos, warnings]: string[][] = [[], []];
  return { ...silentLogger, infos, warnings, info: (line) => infos.push(line), warn: (line) => warnings.push(line) };
}

export function sampleStep(step: number, family: Family = 'SLIP'): StepRecord {
  return {
    step,
    epoch: Math.floor((step - 1) / STEPS_PER_EPOCH),
    iteration: (step - 1) % STEPS_PER_EPOCH,
    lr: 3e-4,
    loss: 10 / step,
    ...lossesOf(step, family),
    imagesPerSecond: 120.25,
    stepMs: 500 + step,
    dataWaitMs: 20,
    commMs: 30,
    commExposedMs: 30,
    memoryBytes: 1.25e9,
  };
}

function lossesOf(step: number, family: Family): Partial<StepRecord> {
  if (family === 'LINEAR' || family === 'FINETUNE') return { acc1: 5 * step, acc5: 10 * step };
  return {
    ...(family === 'SIMCLR' ? {} : { clip_loss: 5 / step, clip_acc: 10 * step, logit_scale: 14.5 }),
    ...(family === 'CLIP' ? {} : { ssl_loss: 4 / step, ssl_acc: 5 * step }),
  };
}

export function sampleOptions(runDir: string, more: Partial<RunMetricsOptions> = {}): RunMetricsOptions {
  return {
    runDir,
    enabled: true,
    totalSteps: 12,
    stepsPerEpoch: STEPS_PER_EPOCH,
    startStep: 0,
    family: 'SLIP',
    log: silentLogger,
    ...more,
  };
}

export function jsonLines(runDir: string, name: string): Record<string, number | string>[] {
  return readFileSync(path.join(runDir, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
