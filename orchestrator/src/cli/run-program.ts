// Runs one of our own commands as a child of another: signals are passed on, the exit code comes back.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type OwnProgram = 'slip-data' | 'slip-launch';

/**
 * @param output a file descriptor for both of its streams; the terminal's unless given
 * @returns the exit code
 */
export function runProgram(program: OwnProgram, args: readonly string[], output?: number): Promise<number> {
  const file = fileURLToPath(new URL(`../../bin/${program}.js`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...args], {
      stdio: output === undefined ? 'inherit' : ['ignore', output, output],
    });
    // The terminal signals the whole group; others are passed on, and the child decides when it has ended.
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    const ignore = () => {};
    process.on('SIGTERM', forward);
    process.on('SIGINT', ignore);
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('SIGTERM', forward);
      process.off('SIGINT', ignore);
      resolve(code ?? 1);
    });
  });
}
