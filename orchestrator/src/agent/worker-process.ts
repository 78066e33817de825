// One worker as an operating-system process: started in a group of its own, logged, signalled, and ended with all of
// its descendants. Knows nothing of ranks' work or of the coordinator.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseWorkerLine, SilenceWatch } from '@slip/protocol';
import type { StreamRoute } from './log-routing.js';

export interface WorkerCommand {
  /** The JavaScript file to run with this Node. */
  readonly executable: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Logical processors it may use, as taskset takes them; all of this process unless given. */
  readonly cpus?: string;
  /** Receives both streams; appended to. */
  readonly logFile: string;
  readonly route: StreamRoute;
  /** Put before each line on the terminal when the route asks for it. */
  readonly linePrefix: string;
  readonly terminal: Terminal;
  /** Called with what the worker's progress bar shows. */
  readonly onProgress?: (share: number, text: string) => void;
}

/** Descriptor on which a worker writes its heartbeats and its progress; named to it as SLIP_HEARTBEAT_FD. */
export const HEARTBEAT_FD = 3;

/** Of the pipe; what is longer is no line of ours. */
const LONGEST_LINE = 1000;

export interface Terminal {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface WorkerExit {
  readonly exitCode?: number;
  readonly signal?: NodeJS.Signals;
  /** Why the process could not even be started. */
  readonly spawnError?: string;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

export class WorkerProcess {
  /** Resolves once the process and its group are gone and its output is written. */
  readonly exited: Promise<WorkerExit>;
  /** Set when `end` was called before the process left by itself. */
  wasEnded = false;
  /** The last step the worker beat with. */
  step = 0;
  private readonly child: ChildProcess;
  private isGone = false;
  private isSwept = false;
  private hasBeaten = false;
  private silence: SilenceWatch | undefined;

  constructor(command: WorkerCommand) {
    const { route } = command;
    const log = openSync(command.logFile, 'a');
    const program = [process.execPath, command.executable];
    // taskset becomes the worker: same process, same group.
    const [file, ...args] = command.cpus === undefined ? program : ['taskset', '-c', command.cpus, ...program];
    this.child = spawn(file!, args, {
      env: command.environment,
      // A group of its own, so that its descendants can be ended with it and Ctrl-C reaches only the launcher.
      detached: true,
      stdio: ['ignore', route.stdoutToTerminal ? 'pipe' : log, route.stderrToTerminal ? 'pipe' : log, 'pipe'],
    });
    this.listen(this.child.stdio[HEARTBEAT_FD] as Readable, command.onProgress);
    const prefix = route.prefixed ? command.linePrefix : '';
    copyLines(this.child.stdout, log, command.terminal.stdout, prefix);
    copyLines(this.child.stderr, log, command.terminal.stderr, prefix);
    this.exited = this.untilGone().finally(() => closeSync(log));
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /**
   * Milliseconds since the last heartbeat, undefined before the first one (loading takes its time).
   * @param checkEveryMs the intended time between two calls
   */
  silenceMs(checkEveryMs: number): number | undefined {
    if (!this.hasBeaten || this.isGone) return undefined;
    this.silence ??= new SilenceWatch(checkEveryMs, performance.now());
    return Math.round(this.silence.check(performance.now()));
  }

  /** Passes a signal to the worker itself, not to its descendants. */
  forward(signal: NodeJS.Signals): void {
    if (!this.isGone) this.child.kill(signal);
  }

  /** SIGTERM, and after the grace SIGKILL to the whole group. */
  async end(graceMs: number): Promise<void> {
    if (this.isGone) return;
    this.wasEnded = true;
    this.child.kill('SIGTERM');
    const timer = new AbortController();
    const left = this.exited.then(() => timer.abort());
    await sleep(graceMs, undefined, { signal: timer.signal }).catch(() => undefined);
    this.killGroup();
    await left;
  }

  /** SIGKILL to the whole group, at once and without waiting: for the very end of the agent. */
  killGroup(): void {
    // Once the group is known to be empty its number may belong to somebody else.
    if (this.child.pid === undefined || this.isSwept) return;
    if (!this.isGone) this.wasEnded = true;
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch {
      // Nobody is left in the group.
    }
  }

  private listen(pipe: Readable, onProgress: WorkerCommand['onProgress']): void {
    let partial = '';
    pipe.on('data', (chunk: Buffer) => {
      const lines = (partial + chunk.toString('latin1')).split('\n');
      partial = lines.pop() ?? '';
      if (partial.length > LONGEST_LINE) partial = '';
      for (const line of lines.map(parseWorkerLine)) {
        if (line?.kind === 'beat') this.step = Math.max(this.step, line.step);
        else if (line !== undefined) onProgress?.(line.share, line.text);
      }
      this.hasBeaten = true;
      this.silence?.heard();
    });
    pipe.on('error', () => undefined);
  }

  private async untilGone(): Promise<WorkerExit> {
    const exit = await new Promise<WorkerExit>((resolve) => {
      this.child.once('error', (error) => resolve({ spawnError: error.message, timeMs: Date.now() }));
      this.child.once('exit', (exitCode, signal) =>
        resolve({
          ...(exitCode === null ? {} : { exitCode }),
          ...(signal === null ? {} : { signal }),
          timeMs: Date.now(),
        }),
      );
    });
    this.isGone = true;
    this.killGroup();
    this.isSwept = true;
    // The pipes close when the last holder is gone; a descendant that left the group must not hold us up.
    const streams = [this.child.stdout, this.child.stderr].filter((stream) => stream !== null && !stream.closed);
    const drained = Promise.all(streams.map((stream) => once(stream as Readable, 'close')));
    await Promise.race([drained, sleep(1000, undefined, { ref: false })]);
    return exit;
  }
}

/** Copies a stream to the log as it comes and to the terminal line by line. */
function copyLines(source: Readable | null, log: number, terminal: Writable, prefix: string): void {
  if (source === null) return;
  let partial = '';
  let logIsOpen = true;
  source.on('data', (chunk: Buffer) => {
    if (logIsOpen) logIsOpen = writeWhole(log, chunk);
    if (prefix === '') {
      terminal.write(chunk);
      return;
    }
    const lines = (partial + chunk.toString('utf8')).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) terminal.write(`${prefix}${line}\n`);
  });
  source.once('end', () => {
    if (partial !== '') terminal.write(`${prefix}${partial}\n`);
  });
  source.on('error', () => undefined);
}

/** False when the log cannot take more (closed, disk full): the run goes on without it. */
function writeWhole(log: number, chunk: Buffer): boolean {
  try {
    for (let written = 0; written < chunk.length; ) written += writeSync(log, chunk, written);
    return true;
  } catch {
    return false;
  }
}
