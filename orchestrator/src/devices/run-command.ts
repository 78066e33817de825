// Runs the programs that set devices up, and says what failed; not for anything that trains.
import { spawn } from 'node:child_process';
import { SlipError } from '@slip/core';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** @returns what it printed. @throws SlipError `unsupported` when it is missing or fails, with the end of its output */
export async function runCommand(
  command: string,
  args: readonly string[],
  { cwd, env }: CommandOptions = {},
): Promise<string> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += String(chunk);
    });
  }
  const code = await new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (status, signal) => resolve(status ?? signal ?? 'no status'));
  });
  if (code === 0) return output;
  const last = output.trim().split('\n').slice(-8).join('\n  ');
  throw new SlipError('unsupported', `${command} ${args.slice(0, 3).join(' ')} ended with ${code}:\n  ${last}`);
}
