// For tests: a small image-caption set, and runs of the real slip-launch on it.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { RandomStream } from '@slip/core';
import sharp from 'sharp';

export const root = path.resolve(import.meta.dirname, '../../..');
const program = path.join(root, 'orchestrator/bin/slip-launch.js');

/** Sizes that make a step take milliseconds. */
export const TINY_MODEL = [
  ...['--image-size', '16', '--patch-size', '8', '--vision-width', '32', '--vision-depth', '2', '--vision-heads', '2'],
  ...['--text-width', '16', '--text-depth', '2', '--text-heads', '2', '--context-length', '8', '--embed-dim', '16'],
  ...['--ssl-mlp-dim', '32', '--ssl-emb-dim', '16', '--workers', '0', '--threads', '1', '--val-dataset', 'none'],
];

/** The same with room for longer captions, so that texts are cut to two lengths. */
export const TINY_MODEL_OF_TWO_LENGTHS = [...TINY_MODEL, '--context-length', '12'];

export interface TinySet {
  readonly root: string;
  readonly metadata: string;
}

export function datasetFlags({ root, metadata }: TinySet): string[] {
  return ['--dataset', 'coco', '--root', root, '--metadata', metadata];
}

/** `count` coloured pictures with one caption each, in COCO's layout; a third of the captions make their batch a longer one. */
export async function makeTinySet(folder: string, count: number): Promise<TinySet> {
  const images = path.join(folder, 'train2017');
  mkdirSync(images, { recursive: true });
  const colours = ['red', 'green', 'blue', 'yellow', 'purple', 'orange', 'black', 'white'];
  const annotations: unknown[] = [];
  for (let id = 1; id <= count; id++) {
    const random = new RandomStream('tiny set', id);
    const colour = colours[random.integer(colours.length)];
    const [x, y] = [random.integer(20), random.integer(20)];
    const svg =
      `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><rect width="32" height="32" fill="#888"/>` +
      `<rect x="${x}" y="${y}" width="${6 + random.integer(14)}" height="${6 + random.integer(14)}" fill="${colour}"/></svg>`;
    await sharp(Buffer.from(svg))
      .jpeg()
      .toFile(path.join(images, `${String(id).padStart(12, '0')}.jpg`));
    const place = id % 3 === 0 ? ' on a table' : '';
    annotations.push({ id, image_id: id, caption: `a ${colour} box number ${id}${place}` });
  }
  const metadata = path.join(folder, 'captions.json');
  writeFileSync(metadata, JSON.stringify({ annotations }));
  return { root: folder, metadata };
}

export function temporaryFolder(context: { after(fn: () => void): void }): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-test-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Finished {
  readonly code: number | null;
  readonly output: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Resolves when a line of the output matches. */
  until(pattern: RegExp): Promise<void>;
}

export function start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let wake = () => {};
  const collect = (chunk: Buffer) => {
    output += chunk.toString();
    wake();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const finished = new Promise<Finished>((resolve) => child.on('close', (code) => resolve({ code, output })));
  const until = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(output)) {
      const ended = await Promise.race([
        finished.then(() => true),
        new Promise<false>((resolve) => {
          wake = () => resolve(false);
        }),
      ]);
      if (ended && !pattern.test(output)) throw new Error(`the run ended without ${pattern}:\n${output}`);
    }
  };
  return { child, finished, until };
}

export function launch(args: readonly string[]): Promise<Finished> {
  return start(args).finished;
}

/** The step records of a run, oldest first. */
export function stepRecords(runFolder: string): Record<string, number>[] {
  return readFileSync(path.join(runFolder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter((record) => record.kind === 'step');
}

/** SHA-256 of model and optimizer files of the newest checkpoint, as its manifest has them. */
export function finalWeights(runFolder: string): { step: number; digests: Record<string, string> } {
  const latest = path.join(runFolder, 'checkpoints', 'latest');
  const manifest = JSON.parse(readFileSync(path.join(latest, 'manifest.json'), 'utf8'));
  return { step: manifest.step, digests: digestsOf(manifest) };
}

function digestsOf(value: unknown, at = ''): Record<string, string> {
  if (value === null || typeof value !== 'object') return {};
  const record = value as Record<string, unknown>;
  if (typeof record.sha256 === 'string') return { [String(record.name ?? record.file ?? at)]: record.sha256 };
  return Object.assign({}, ...Object.entries(record).map(([key, inner]) => digestsOf(inner, `${at}/${key}`)));
}
