// Weights & Biases through the user's own Python: records go as JSON lines to `python/stream_wandb.py`. Whatever goes wrong
// there is one warning, never the end of a run.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Logger } from '@slip/core';
import type { StepRecord } from '../step-record.js';
import type { MetricSink } from './metric-sink.js';

export interface WandbOptions {
  readonly project: string;
  /** The same id continues the same curves. */
  readonly id: string;
  /** Python that has wandb; default `python3`. */
  readonly python?: string | undefined;
}

const SCRIPT = fileURLToPath(new URL('../../python/stream_wandb.py', import.meta.url));
/** Exit status of the script when it cannot import wandb. */
const NO_WANDB = 3;
/** Lines that the script has not taken are dropped beyond this; a stuck upload must not fill the memory. */
const MAX_WAITING_BYTES = 32 << 20;

/** @param finishMs how long `close` waits for the upload */
export function openWandb(runDir: string, options: WandbOptions, log: Logger, finishMs = 60_000): MetricSink {
  const python = options.python ?? 'python3';
  const output = openSync(path.join(runDir, 'wandb-stream.log'), 'a');
  const child = spawn(python, [SCRIPT], { stdio: ['pipe', output, output] });
  const input = child.stdin as Writable;
  closeSync(output);
  let open = true;
  const exited = new Promise<void>((resolve) => {
    const stop = (why: string | undefined) => {
      if (why !== undefined) log.warn(`--wandb: ${why}; training goes on without it`);
      open = false;
      resolve();
    };
    child.on('error', (error) => stop(`cannot run ${python} (${error.message})`));
    child.on('exit', (code, signal) => stop(exitReason(code, signal, python, runDir)));
  });
  input.on('error', () => undefined);
  const send = (message: object) => {
    if (open && input.writableLength < MAX_WAITING_BYTES) input.write(`${JSON.stringify(message)}\n`);
  };
  send({ init: { project: options.project, id: options.id, dir: runDir, config: readConfig(runDir) } });
  return {
    name: 'wandb',
    step: (record) => send({ step: record.step, log: stepLog(record) }),
    epoch: (line, step) => send({ step, log: line }),
    evaluation: ({ step, ...figures }) =>
      send({ step, log: Object.fromEntries(Object.entries(figures).map(([name, value]) => [`eval/${name}`, value])) }),
    // Committed steps later, when wandb's own step has moved on.
    checkpoint: () => undefined,
    async close() {
      input.end();
      const timer = setTimeout(() => {
        log.warn(`--wandb: not finished after ${finishMs / 1000} s; "wandb sync" can upload ${runDir}/wandb later`);
        child.kill('SIGKILL');
      }, finishMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Undefined for an ordinary end. */
function exitReason(code: number | null, signal: string | null, python: string, runDir: string): string | undefined {
  if (code === 0 || signal === 'SIGKILL') return undefined;
  if (code === NO_WANDB) return `${python} has no wandb, install it with "${python} -m pip install wandb"`;
  return `its script ended with ${signal ?? `status ${code}`}, see ${path.join(runDir, 'wandb-stream.log')}`;
}

/** The original's names, `logit` for the logit scale, plus speed. */
function stepLog({ step, iteration, logit_scale, ...record }: StepRecord): Record<string, number> {
  return { ...record, ...(logit_scale === undefined ? {} : { logit: logit_scale }) };
}

/** The run's resolved configuration, where there is one. */
function readConfig(runDir: string): unknown {
  try {
    return JSON.parse(readFileSync(path.join(runDir, 'config.json'), 'utf8'));
  } catch {
    return {};
  }
}
