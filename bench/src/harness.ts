// Runs comparisons: ours and its peers in turns, each as a fresh process that prints one JSON line with its figures.
import { spawn } from 'node:child_process';
import type { Peer } from './peers.js';
import { nextCase } from './schedule.js';
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
  /** By the name of the peer. */
  readonly peers: Readonly<Record<string, Subject>>;
  /** Too long or too much memory for a run of everything: only where it is asked for. */
  readonly isLarge?: boolean;
}

export interface Bench {
  readonly name: string;
  /** What is compared with what, in one sentence. */
  readonly question: string;
  readonly rounds: number;
  readonly measures: readonly Measure[];
  readonly cases: readonly Case[];
  readonly peers: readonly Peer[];
  /** Makes what ours needs. @returns why nothing at all can be measured on this machine */
  impossible?(): Promise<string | undefined>;
}

export interface CaseResult {
  readonly bench: string;
  readonly name: string;
  readonly measure: Measure;
  readonly ours: Summary;
  readonly peer: string;
  /** Undefined where the peer is missing or has no such figure. */
  readonly theirs: Summary | undefined;
  /** Above 1: ours is ahead. */
  readonly ratio: number | undefined;
}

export interface Measured {
  readonly results: CaseResult[];
  /** Of the peers that were found, by bench and name. */
  readonly versions: Readonly<Record<string, string>>;
  /** For people: what was not measured, and why. */
  readonly left: readonly string[];
  /** Cases in which ours failed. */
  readonly failures: readonly string[];
}

export interface HarnessOptions {
  /** Instead of what the benches want. */
  readonly rounds?: number;
  /** After so long no round is begun. */
  readonly budgetMs: number;
  readonly say: (line: string) => void;
}

type Figures = Record<string, number>;

interface Running {
  readonly bench: Bench;
  readonly one: Case;
  wanted: number;
  readonly peers: readonly string[];
  readonly ours: Figures[];
  readonly theirs: Record<string, Figures[]>;
  done: number;
  roundMs: number | undefined;
}

/** A case in which ours fails is given up, the others go on; a peer that fails is a peer that is missing from then on. */
export async function runBenches(benches: readonly Bench[], options: HarnessOptions): Promise<Measured> {
  const { budgetMs, say } = options;
  const startedAt = performance.now();
  const left: string[] = [];
  const failures: string[] = [];
  const versions: Record<string, string> = {};
  const note = (line: string) => {
    left.push(line);
    say(line);
  };
  const cases: Running[] = [];
  for (const bench of benches) {
    const impossible = await bench.impossible?.();
    if (impossible !== undefined) {
      note(`${bench.name}: cannot be measured here: ${impossible}`);
      continue;
    }
    const peers: string[] = [];
    for (const peer of bench.peers) {
      const found = await peer.probe();
      if ('missing' in found) {
        note(`${bench.name}: the peer ${peer.name} is missing: ${found.missing}`);
      } else {
        peers.push(peer.name);
        versions[peer.name] = found.version;
      }
    }
    const wanted = options.rounds ?? bench.rounds;
    for (const one of bench.cases) {
      const theirs = Object.fromEntries(peers.filter((name) => one.peers[name]).map((name) => [name, []]));
      cases.push({ bench, one, wanted, peers, ours: [], theirs, done: 0, roundMs: undefined });
    }
  }
  for (;;) {
    const next = nextCase(cases, budgetMs - (performance.now() - startedAt));
    if (next === undefined) break;
    try {
      await runRound(cases[next], say, note);
    } catch (error) {
      const { bench, one, done } = cases[next];
      cases[next].wanted = done;
      failures.push(`${bench.name} ${one.name}`);
      note(`${bench.name} ${one.name}: OURS FAILED: ${(error as Error).message}`);
    }
  }
  for (const { bench, one, done, wanted } of cases) {
    if (done < wanted) note(`${bench.name} ${one.name}: ${done} of ${wanted} rounds, for lack of time`);
  }
  return { results: cases.filter(({ done }) => done > 0).flatMap(resultsOf), versions, left, failures };
}

async function runRound(running: Running, say: (line: string) => void, note: (line: string) => void): Promise<void> {
  const { bench, one, ours, theirs, wanted } = running;
  const title = `${bench.name} ${one.name}`;
  const startedAt = performance.now();
  const mine = await measure(one.ours);
  ours.push(mine);
  const told = [describeRound(bench, 'ours', mine)];
  for (const [peer, figures] of Object.entries(theirs)) {
    try {
      figures.push(await measure(one.peers[peer]));
      told.push(describeRound(bench, peer, figures.at(-1)!));
    } catch (error) {
      delete theirs[peer];
      note(`${title}: ${peer} failed and is left out: ${(error as Error).message.split('\n').slice(-3).join(' ')}`);
    }
  }
  running.done += 1;
  running.roundMs = performance.now() - startedAt;
  say(`${title}: round ${running.done} of ${wanted}, ${(running.roundMs / 1000).toFixed(0)} s: ${told.join('; ')}`);
}

function resultsOf({ bench, one, peers, ours, theirs }: Running): CaseResult[] {
  return bench.measures.flatMap((figure) => {
    const mine = summarise(ours.map((run) => run[figure.key]));
    const ofPeer = (peer: string): CaseResult => {
      const values = (theirs[peer] ?? []).map((run) => run[figure.key]).filter((value) => value !== undefined);
      const summary = values.length > 0 ? summarise(values) : undefined;
      const ratio = summary === undefined ? undefined : advantage(mine, summary, figure.higherIsBetter);
      return { bench: bench.name, name: one.name, measure: figure, ours: mine, peer, theirs: summary, ratio };
    };
    const named = peers.filter((peer) => one.peers[peer] !== undefined);
    return named.length > 0 ? named.map(ofPeer) : [ofPeer('no peer')];
  });
}

function describeRound({ measures }: Bench, who: string, figures: Figures): string {
  return `${who} ${measures
    .filter(({ key }) => figures[key] !== undefined)
    .map(({ key, unit }) => `${key} ${figures[key].toFixed(2)} ${unit}`)
    .join(', ')}`;
}

function measure(subject: Subject): Promise<Figures> {
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
    child.on('close', (code, signal) => {
      const line = output.trim().split('\n').at(-1) ?? '';
      if (code !== 0)
        reject(new Error(`${subject.command} ${subject.args.join(' ')} ended with ${code ?? signal}:\n${errors}`));
      else resolve(JSON.parse(line) as Figures);
    });
  });
}
