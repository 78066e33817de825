// Starting real launchers in temporary run folders, waiting for what they do, and making sure that nothing survives.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LauncherOptions, Scenario } from './fixtures/scenario.js';

const DEADLINE_MS = 20_000;

export interface Launched {
  readonly child: ChildProcess;
  /** Everything the launcher has written so far. */
  output(): string;
  /** Exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
}

export class RunFolder {
  readonly folder: string;
  private readonly launched: Launched[] = [];

  /** Made for one test; at its end every process that was started for it is gone, or the test fails. */
  constructor(context: TestContext, scenario: Omit<Scenario, 'runFolder'>) {
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'slip-launch-'));
    writeFileSync(path.join(this.folder, 'config.json'), JSON.stringify({ runFolder: this.folder, ...scenario }));
    context.after(async () => {
      for (const { child } of this.launched) child.kill('SIGKILL');
      try {
        await this.noProcessLeft();
      } finally {
        for (const pid of this.processes()) process.kill(pid, 'SIGKILL');
        rmSync(this.folder, { recursive: true, force: true });
      }
    });
  }

  launch(options: Omit<LauncherOptions, 'runFolder'>): Launched {
    const launcher = path.join(import.meta.dirname, 'fixtures', 'launcher.js');
    const child = spawn(process.execPath, [launcher, JSON.stringify({ runFolder: this.folder, ...options })], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const ended = new Promise<number | string>((resolve) =>
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'nothing')),
    );
    const launched = { child, output: () => output, ended };
    this.launched.push(launched);
    return launched;
  }

  /** The exit code, after which no process of the run may be left, not even for a moment. */
  async endOf({ ended, output }: Launched): Promise<number | string> {
    const code = await within(ended, `the launcher to end; so far it said:\n${output()}`);
    assert.deepEqual(this.processes(), [], `processes survived their launcher, which said:\n${output()}`);
    return code;
  }

  /** Lines the workers left: generation, rank, what, text. */
  notes(what: string): { generation: number; rank: number; text: string }[] {
    return this.lines('notes.txt')
      .map((line) => /^(\d+) (\d+) (\S+) (.*)$/.exec(line))
      .flatMap((match) =>
        match?.[3] === what ? [{ generation: Number(match[1]), rank: Number(match[2]), text: match[4] ?? '' }] : [],
      );
  }

  events(): Record<string, unknown>[] {
    return this.lines('events.jsonl').map((line) => JSON.parse(line));
  }

  log(attempt: number, rank: number): string {
    return readFileSync(path.join(this.folder, `attempts/${attempt}/logs/rank-0000${rank}.log`), 'utf8');
  }

  /** Processes whose environment names this run folder: workers and all of their descendants. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => pid !== process.pid && environmentOf(pid).includes(this.folder));
  }

  async noProcessLeft(): Promise<void> {
    await until(() => this.processes().length === 0, 'all processes of the run to be gone');
  }

  private lines(name: string): string[] {
    const file = path.join(this.folder, name);
    return existsSync(file)
      ? readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
      : [];
  }
}

/** Polls a condition; a missed deadline fails the test with what was waited for. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const start = performance.now(); !condition(); await sleep(20))
    assert.ok(performance.now() - start < DEADLINE_MS, `timed out waiting for ${what}`);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const timer = new AbortController();
  const expired = sleep(DEADLINE_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`timed out waiting for ${what}`);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    timer.abort();
    expired.catch(() => undefined);
  }
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    // Gone in the meantime, a zombie, or not ours to look at.
    return '';
  }
}
