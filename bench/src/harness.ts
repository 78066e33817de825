// Runs a comparison: ours and the peer in turns, each as a fresh process that prints one JSON line with its figures.
import { spawn } from 'node:child_process';
import { advantage, type Summary, summarise } from './statistics.js';

/** A process whose last line on standard output is a JSON object of numbers. */
export interface Subject {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Measure {
  /** Key in the JSON line. */
  readonly key: string;
  readonly unit: string;
  readonly higherIsBetter: boolean;
}

export interface Case {
  readonly name: string;
  readonly ours: Subject;
  readonly peer: Subject;
}

export interface Bench {
  readonly name: string;
  /** What is compared with what, in one sentence. */
  readonly question: string;
  readonly rounds: number;
  readonly measures: readonly Measure[];
  readonly cases: readonly Case[];
  /** What is missing for the bench as a whole, where it needs more than a CPU. */
  cannotRun?(): Promise<string | undefined>;
  /** Undefined when the peer is here; else what is missing and how to get it. */
  peerMissing(): Promise<string | undefined>;
}

export interface CaseResult {
  readonly bench: string;
  readonly name: string;
  readonly measure: Measure;
  readonly ours: Summary;
  readonly peer: Summary | undefined;
  /** Above 1: ours is ahead. */
  readonly ratio: number | undefined;
}

export async function runBench(
  bench: Bench,
  options: { rounds?: number; say: (line: string) => void },
): Promise<CaseResult[]> {
  const impossible = await bench.cannotRun?.();
  if (impossible !== undefined) {
    options.say(`${bench.name}: not run: ${impossible}`);
    return [];
  }
  const missing = await bench.peerMissing();
  if (missing !== undefined) options.say(`${bench.name}: the peer is missing, only ours is measured: ${missing}`);
  const rounds = options.rounds ?? bench.rounds;
  const results: CaseResult[] = [];
  for (const one of bench.cases) {
    const ours: Record<string, number>[] = [];
    const peer: Record<string, number>[] = [];
    for (let round = 0; round < rounds; round++) {
      ours.push(await measure(one.ours));
      if (missing === undefined) peer.push(await measure(one.peer));
      options.say(
        `${bench.name} ${one.name}: round ${round + 1} of ${rounds} ${describeRound(bench, ours.at(-1)!, peer.at(-1))}`,
      );
    }
    for (const figure of bench.measures) {
      const mine = summarise(ours.map((run) => run[figure.key]));
      const theirs = peer.length > 0 ? summarise(peer.map((run) => run[figure.key])) : undefined;
      const ratio = theirs === undefined ? undefined : advantage(mine, theirs, figure.higherIsBetter);
      results.push({ bench: bench.name, name: one.name, measure: figure, ours: mine, peer: theirs, ratio });
    }
  }
  return results;
}

function describeRound(bench: Bench, ours: Record<string, number>, peer: Record<string, number> | undefined): string {
  return bench.measures
    .map(
      ({ key, unit }) =>
        `${key} ${ours[key].toFixed(2)}${peer === undefined ? '' : ` against ${peer[key].toFixed(2)}`} ${unit}`,
    )
    .join(', ');
}

function measure(subject: Subject): Promise<Record<string, number>> {
  return new Promise((resolve, reject) => {
    const child = spawn(subject.command, subject.args, {
      env: { ...process.env, ...subject.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      errors += String(chunk);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const line = output.trim().split('\n').at(-1) ?? '';
      if (code !== 0) reject(new Error(`${subject.command} ${subject.args.join(' ')} ended with ${code}:\n${errors}`));
      else resolve(JSON.parse(line) as Record<string, number>);
    });
  });
}
