// Reading what a worker left behind: its error file (ours, or torchrun's layout) and the end of its log.
import { open, readFile } from 'node:fs/promises';
import { ERROR_CODES, type ErrorCode } from '@slip/core';
import { clipText, type WorkerError } from '@slip/protocol';

const TAIL_LINES = 5;
const TAIL_BYTES = 16_384;

/** The worker's own account, or undefined when it left none that can be understood. */
export async function readErrorFile(file: string): Promise<WorkerError | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : parseErrorFile(text);
}

/**
 * Understands `{message: {message, extraInfo: {timestamp}, errorCode}}` as torchrun writes it (timestamp in seconds) with
 * our additional fields `code`, `step` and `timeMs`.
 */
export function parseErrorFile(text: string): WorkerError | undefined {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return undefined;
  }
  const inner = fieldOf(content, 'message');
  const message = typeof inner === 'string' ? inner : fieldOf(inner, 'message');
  if (typeof message !== 'string') return undefined;
  const code = fieldOf(content, 'code');
  const step = fieldOf(content, 'step');
  const timeMs = fieldOf(content, 'timeMs') ?? Number(fieldOf(fieldOf(inner, 'extraInfo'), 'timestamp')) * 1000;
  return {
    code: typeof code === 'string' && Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : 'worker-failed',
    message: clipText(message),
    step: typeof step === 'number' && Number.isInteger(step) && step >= 0 ? step : 0,
    timeMs: typeof timeMs === 'number' && Number.isFinite(timeMs) ? timeMs : Date.now(),
  };
}

/**
 * What a process that died before it could write an error file said last: Node's line for an uncaught error or for a full
 * heap. Undefined when there is none.
 */
export async function readUncaughtError(logFile: string): Promise<string | undefined> {
  const lines = await readLastLines(logFile);
  return lines.findLast((line) => /^(Uncaught )?(\w*Error( \[\w+\])?|FATAL ERROR): ./.test(line));
}

/** The last lines of a log that have something in them, oldest first; empty when there is no log. */
export async function readLogTail(file: string): Promise<string[]> {
  const lines = await readLastLines(file);
  return lines.slice(-TAIL_LINES).map((line) => clipText(line, 300));
}

async function readLastLines(file: string): Promise<string[]> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return [];
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    const lines = buffer.toString('utf8').split('\n');
    return lines.map((line) => line.trimEnd()).filter((line) => line !== '');
  } finally {
    await handle.close();
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
